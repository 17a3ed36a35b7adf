//! The rooms' rules, without a network: requests in, messages and commands out.

mod administration;
mod audience;
mod coming_and_going;
mod counts;
mod data_tracks;
mod limits;
mod news;
mod publishing;
mod quality;
mod receiving;
mod speakers;
mod tokens;
mod turn;
mod viewers;
mod zego;

use std::time::{Duration, Instant};

use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use zego_protocol::token::Claims;

use super::visitor::{self, claims};
use super::{ConnectionKey, Join, Moment, News, Output, Path, Rooms, Settings};
use crate::sfu::{Command, Notice, PeerId, Side};

const HEARTBEAT: Duration = Duration::from_secs(90);

/// Rooms, a clock that stands still until it is moved, and everything that came out.
struct Stage {
    rooms: Rooms,
    now: Moment,
    commands: Vec<Command>,
    sent: Vec<(ConnectionKey, Response)>,
    closed: Vec<ConnectionKey>,
    news: Vec<News>,
    tokens: Vec<(ConnectionKey, Claims)>,
}

impl Stage {
    fn new() -> Stage {
        let mut random = 0;
        let random = move || {
            random += 1_000_003;
            random
        };
        Stage {
            rooms: Rooms::new(
                Settings {
                    heartbeat_timeout: HEARTBEAT,
                    expire_sessions: false,
                    room: Default::default(),
                    limits: Default::default(),
                    turn: None,
                },
                Box::new(random),
            ),
            now: Moment { at: Instant::now(), unix_ms: 1_700_000_000_000 },
            commands: Vec::new(),
            sent: Vec::new(),
            closed: Vec::new(),
            news: Vec::new(),
            tokens: Vec::new(),
        }
    }

    fn join(&mut self, connection: ConnectionKey, user: &str, change: impl FnOnce(&mut Join)) {
        let mut join = visitor::join(user);
        change(&mut join);
        self.rooms.join(connection, join, self.now);
        self.collect();
    }

    /// Joins, with a first offer of `audio` and `video` receiving sections that is answered, and media that is up.
    fn enter(&mut self, connection: ConnectionKey, user: &str, audio: usize, video: usize) {
        self.join(connection, user, |join| join.offer = Some(offer(&receiving(audio, video))));
        self.answer_all();
        let participant = self.participant(connection);
        self.notice(Notice::Connected(PeerId { participant, side: Side::Publisher }));
    }

    fn participant(&self, connection: ConnectionKey) -> u64 {
        self.rooms.connections[&connection]
    }

    fn request(&mut self, connection: ConnectionKey, request: Request) {
        self.rooms.request(connection, request, self.now);
        self.collect();
    }

    fn notice(&mut self, notice: Notice) {
        self.rooms.notice(notice, self.now);
        self.collect();
    }

    /// Plays the forwarding unit: answers every offer with the offer itself.
    fn answer_all(&mut self) {
        for command in std::mem::take(&mut self.commands) {
            match command {
                Command::Offer { peer, id, sdp, .. } => self.notice(Notice::Answer { peer, id, sdp: Ok(sdp) }),
                other => self.commands.push(other),
            }
        }
    }

    fn tick_after(&mut self, time: Duration) {
        self.now.at += time;
        self.now.unix_ms += time.as_millis() as i64;
        self.rooms.tick(self.now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(output) = self.rooms.take_output() {
            match output {
                Output::Send(connection, message) => self.sent.push((connection, *message)),
                Output::Close(connection) => self.closed.push(connection),
                Output::Media(command) => self.commands.push(command),
                Output::News(news) => self.news.push(*news),
                Output::Token(connection, claims) => self.tokens.push((connection, *claims)),
            }
        }
    }

    /// Messages to a connection since the last call.
    fn heard(&mut self, connection: ConnectionKey) -> Vec<Response> {
        let (heard, rest) = std::mem::take(&mut self.sent).into_iter().partition(|(to, _)| *to == connection);
        self.sent = rest;
        let heard: Vec<(ConnectionKey, Response)> = heard;
        heard.into_iter().map(|(_, message)| message).collect()
    }

    fn forget(&mut self) {
        self.sent.clear();
        self.commands.clear();
        self.closed.clear();
        self.news.clear();
        self.tokens.clear();
    }

    /// Announces a track and offers it in section `mid`.
    fn publish(&mut self, connection: ConnectionKey, mid: &str, kind: &str, cid: &str, stream: &str) {
        self.request(connection, Request::AddTrack(track(kind, cid, stream)));
        let section = Section { mid, kind, direction: "sendonly", msid: Some(cid) };
        self.request(connection, Request::Offer(offer(&[section])));
        self.answer_all();
    }
}

/// One section of a made-up offer.
#[derive(Clone)]
struct Section<'a> {
    mid: &'a str,
    kind: &'a str,
    direction: &'a str,
    msid: Option<&'a str>,
}

fn receiving(audio: usize, video: usize) -> Vec<Section<'static>> {
    const MIDS: [&str; 6] = ["r0", "r1", "r2", "r3", "r4", "r5"];
    let section = |n: usize| Section {
        mid: MIDS[n],
        kind: if n < audio { "audio" } else { "video" },
        direction: "recvonly",
        msid: None,
    };
    (0..audio + video).map(section).collect()
}

fn offer(sections: &[Section<'_>]) -> proto::SessionDescription {
    let mids: Vec<&str> = sections.iter().map(|s| s.mid).collect();
    let mut sdp = format!("v=0\r\na=group:BUNDLE {}\r\n", mids.join(" "));
    for section in sections {
        let codecs = match section.kind {
            "audio" => "111\r\na=rtpmap:111 opus/48000/2",
            _ => "96 102\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:102 H264/90000",
        };
        let (kind, mid, direction) = (section.kind, section.mid, section.direction);
        sdp += &format!("m={kind} 9 UDP/TLS/RTP/SAVPF {codecs}\r\na=mid:{mid}\r\na={direction}\r\n");
        if let Some(cid) = section.msid {
            sdp += &format!("a=msid:- {cid}\r\n");
        }
    }
    proto::SessionDescription { r#type: "offer".into(), sdp, id: 7, ..Default::default() }
}

fn track(kind: &str, cid: &str, stream: &str) -> proto::AddTrackRequest {
    let (kind, source) = match kind {
        "audio" => (proto::TrackType::Audio, proto::TrackSource::Microphone),
        _ => (proto::TrackType::Video, proto::TrackSource::Camera),
    };
    proto::AddTrackRequest {
        cid: cid.into(),
        name: stream.into(),
        stream: stream.into(),
        r#type: kind as i32,
        source: source as i32,
        ..Default::default()
    }
}

/// The participants of the updates among `messages`: identity, state, names of its tracks' streams.
fn updates(messages: &[Response]) -> Vec<(String, i32, Vec<String>)> {
    let infos = messages.iter().flat_map(|message| match message {
        Response::Update(update) => update.participants.clone(),
        _ => Vec::new(),
    });
    infos.map(|p| (p.identity, p.state, p.tracks.into_iter().map(|t| t.stream).collect())).collect()
}

/// The requirements for sections among `messages`.
fn requirements(messages: &[Response]) -> Vec<(u32, u32)> {
    let required = messages.iter().filter_map(|message| match message {
        Response::MediaSectionsRequirement(r) => Some((r.num_audios, r.num_videos)),
        _ => None,
    });
    required.collect()
}

/// The leaves among `messages`: reason and action.
fn leaves(messages: &[Response]) -> Vec<(i32, i32)> {
    let leave = messages.iter().filter_map(|message| match message {
        Response::Leave(leave) => Some((leave.reason, leave.action)),
        _ => None,
    });
    leave.collect()
}
