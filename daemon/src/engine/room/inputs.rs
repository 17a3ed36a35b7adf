//! The handle of a room, and what can be asked of it.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use super::follower::Follower;
use crate::engine::error::EngineError;
use crate::engine::event::RemoteStream;
use crate::engine::request::MessageKind;
use crate::network::Network;
use crate::signal::{Joined, RoomExtraInfo, Session, SessionEvent, SignalError};

/// A session that has just begun, what was found in the room, and where its news arrive.
pub(in crate::engine) struct Entry {
    pub(in crate::engine) session: Session,
    pub(in crate::engine) joined: Joined,
    pub(in crate::engine) events: UnboundedReceiver<SessionEvent>,
}

/// What the task of a room is told.
pub(in crate::engine) enum RoomInput {
    /// An attempt to join ended.
    Joined {
        /// Which attempt.
        attempt: u64,
        /// How it ended.
        result: Result<Entry, SignalError>,
    },
    /// It is time for another attempt.
    Retry {
        /// After which one.
        attempt: u64,
    },
    /// The token is about to expire.
    TokenSoon {
        /// Which one, by its end.
        expires_at: u64,
    },
    /// Somebody follows from now on.
    Follow(Follower),
    /// Somebody follows no more.
    Unfollow(u64),
    /// RenewToken.
    RenewToken(String),
    /// A text message.
    Send {
        /// Which kind.
        kind: MessageKind,
        /// The text.
        text: String,
        /// To whom; empty = everybody else.
        to: Vec<String>,
        /// Gets the number of the message.
        reply: oneshot::Sender<Result<u64, EngineError>>,
    },
    /// SetRoomExtraInfo.
    SetExtraInfo {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Hears how it went.
        reply: oneshot::Sender<Result<(), EngineError>>,
    },
    /// The server answered a SetRoomExtraInfo.
    ExtraInfoSet {
        /// What was set.
        info: RoomExtraInfo,
        /// How often the extra information had changed before.
        changes: u64,
        /// What the server said.
        set: Result<(), EngineError>,
        /// Whoever asked.
        reply: oneshot::Sender<Result<(), EngineError>>,
    },
    /// What others publish.
    Streams(oneshot::Sender<Vec<RemoteStream>>),
    /// The network changed.
    Network {
        /// How it is now.
        network: Arc<Network>,
        /// Something is there that was not there before.
        gained: bool,
    },
    /// LogoutRoom.
    Logout,
}

/// A handle of a room. Cheap to clone.
#[derive(Clone)]
pub(in crate::engine) struct Room {
    /// Number of the room's object.
    pub(in crate::engine) number: u64,
    /// The way to its task.
    pub(in crate::engine) inputs: UnboundedSender<RoomInput>,
}

impl Room {
    /// Tells the task something; one that has ended does not mind.
    pub(in crate::engine) fn tell(&self, input: RoomInput) {
        let _ = self.inputs.send(input);
    }
}
