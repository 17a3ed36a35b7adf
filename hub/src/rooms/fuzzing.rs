//! Requests in the rooms, for the targets in `fuzz/`.

use std::time::{Duration, Instant};

use livekit_protocol::signal_request::Message as Request;

use super::{ConnectionKey, Join, Moment, Output, Path, Rooms, Settings, visitor};
use crate::sfu::{Command, Notice, PeerId, Side};

/// A room with two people, and the forwarding unit's part: it answers every offer with the offer itself.
pub struct Stage {
    rooms: Rooms,
    now: Moment,
}

impl Stage {
    /// The people have the connections 1 and 2.
    pub fn new() -> Stage {
        let mut random = 0;
        let random = move || {
            random += 1_000_003;
            random
        };
        let settings = Settings {
            heartbeat_timeout: Duration::from_secs(90),
            expire_sessions: false,
            room: Default::default(),
            limits: Default::default(),
            turn: None,
        };
        let now = Moment { at: Instant::now(), unix_ms: 1_700_000_000_000 };
        let mut stage = Stage { rooms: Rooms::new(settings, Box::new(random)), now };
        for (connection, user) in [(1, "door"), (2, "desk")] {
            stage.join(connection, user);
        }
        stage
    }

    fn join(&mut self, connection: ConnectionKey, user: &str) {
        let path = if connection == 1 { Path::One } else { Path::Two };
        let join = Join { path, stereo_by_offer: true, ..visitor::join(user) };
        self.rooms.join(connection, join, self.now);
        self.settle();
    }

    /// A request of one of the two, and what follows from it.
    pub fn request(&mut self, connection: ConnectionKey, request: Request) {
        self.rooms.request(connection, request, self.now);
        self.settle();
        self.now.at += Duration::from_millis(300);
        self.now.unix_ms += 300;
        self.rooms.tick(self.now);
        self.settle();
    }

    fn settle(&mut self) {
        // Offers and answers may call each other forth for ever only if the rooms have lost count.
        for _ in 0..1000 {
            let Some(output) = self.rooms.take_output() else { return };
            match output {
                Output::Send(_, message) => {
                    let frame = livekit_protocol::SignalResponse { message: Some(*message) };
                    // As it goes to clients that speak JSON.
                    assert!(serde_json::to_string(&frame).is_ok());
                }
                Output::Close(connection) => self.rooms.disconnected(connection, self.now),
                Output::Media(Command::Offer { peer, id, sdp, .. }) => {
                    self.rooms.notice(Notice::Answer { peer, id, sdp: Ok(sdp) }, self.now);
                    self.rooms.notice(Notice::Connected(PeerId { side: Side::Publisher, ..peer }), self.now);
                }
                Output::Media(_) | Output::News(_) | Output::Token(..) => {}
            }
        }
        panic!("the rooms do not come to rest");
    }
}

impl Default for Stage {
    fn default() -> Stage {
        Stage::new()
    }
}
