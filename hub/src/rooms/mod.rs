//! The rooms: who is there, who publishes what, who receives what, and what everybody must be told about it.
//!
//! Protocol logic only. Nothing here owns a socket, reads a clock or waits: requests, news and the time go in, messages
//! and commands come out of [`Rooms::take_output`]. So every rule is tested without a network.

mod administration;
mod audience;
mod bounds;
mod counts;
mod data_tracks;
mod enumerations;
mod extra_info;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod join;
mod layers;
mod leave;
mod life;
mod message;
mod negotiate;
mod news;
mod participant;
mod publish;
mod quality;
mod relay;
mod speakers;
mod stream;
mod subscribe;
mod tally;
#[cfg(test)]
mod tests;
mod tokens;
mod viewer;
#[cfg(any(test, fuzzing))]
mod visitor;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use zego_protocol::token::Claims;

use crate::limits::Limits;
use crate::sfu::{Command, Notice, ParticipantKey, PeerId, RoomKey, Side, TrackKey};
use crate::turn::TurnServer;
pub use administration::AdministrationError;
pub use join::{Denial, Join, Path, ZegoClient};
pub use life::{RoomOptions, RoomSettings};
pub use news::News;
use participant::Participant;
pub use tally::{Census, JOIN_BOUNDS_MS, Tally};

/// One signalling connection, unique for the life of the process.
pub type ConnectionKey = u64;

/// The present.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For measuring.
    pub at: Instant,
    /// Milliseconds since 1970, for messages.
    pub unix_ms: i64,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Send a message on a signalling connection.
    Send(ConnectionKey, Box<Response>),
    /// Close a signalling connection after what was sent before.
    Close(ConnectionKey),
    /// Command the forwarding unit.
    Media(Command),
    /// Tell a server outside, if one wants to know.
    News(Box<News>),
    /// Sign a new token that grants this, and send it on a signalling connection.
    Token(ConnectionKey, Box<Claims>),
}

/// What can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a participant that is not heard stays in its room.
    pub heartbeat_timeout: Duration,
    /// Whoever's token expires is put out.
    pub expire_sessions: bool,
    /// What rooms are like.
    pub room: RoomSettings,
    /// How much one may have.
    pub limits: Limits,
    /// Where clients may have their media relayed.
    pub turn: Option<TurnServer>,
}

/// A room.
#[derive(Debug)]
struct Room {
    app: String,
    name: String,
    sid: String,
    created_ms: i64,
    /// Most people in it, 0 = no limit; set by the first.
    max_members: u32,
    extra_info: Option<extra_info::ExtraInfo>,
    options: RoomOptions,
    /// Free text, set by whoever made it or administers it.
    metadata: String,
    life: life::Life,
    told: counts::Told,
    /// Numbers of messages from outside, so that one that is sent again for want of an answer arrives once.
    nonces: VecDeque<Vec<u8>>,
    members: Vec<ParticipantKey>,
}

/// All rooms of all AppIDs.
pub struct Rooms {
    settings: Settings,
    random: Box<dyn FnMut() -> u64 + Send>,
    rooms: HashMap<RoomKey, Room>,
    people: HashMap<ParticipantKey, Participant>,
    connections: HashMap<ConnectionKey, ParticipantKey>,
    /// Owner of each published track.
    owners: HashMap<TrackKey, ParticipantKey>,
    last_key: u64,
    tally: Tally,
    out: VecDeque<Output>,
}

impl Rooms {
    /// No rooms yet. `random` makes the parts of ids that must not be guessed or repeated.
    pub fn new(settings: Settings, random: Box<dyn FnMut() -> u64 + Send>) -> Rooms {
        Rooms {
            settings,
            random,
            rooms: HashMap::new(),
            people: HashMap::new(),
            connections: HashMap::new(),
            owners: HashMap::new(),
            last_key: 0,
            tally: Tally::default(),
            out: VecDeque::new(),
        }
    }

    /// The next thing to do, in order.
    pub fn take_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// A message from a client.
    pub fn request(&mut self, connection: ConnectionKey, request: Request, now: Moment) {
        let Some(&key) = self.connections.get(&connection) else { return };
        if let Some(person) = self.people.get_mut(&key) {
            person.last_heard = now.at;
        }
        if let Err(excess) = bounds::check(&request) {
            self.refuse_excess(key, request, &excess, now);
            return;
        }
        match enumerations::known(request) {
            Request::Offer(offer) => self.client_offer(key, offer, now),
            Request::Answer(answer) => self.client_answer(key, answer, now),
            Request::Trickle(trickle) => self.trickle(key, &trickle),
            Request::AddTrack(add) => self.add_track(key, add, now),
            Request::Mute(mute) => self.mute(key, &mute.sid, mute.muted, now),
            Request::Subscription(update) => self.subscription(key, &update),
            Request::TrackSetting(settings) => self.track_settings(key, &settings),
            Request::Leave(leave) => self.client_leave(key, leave, now),
            Request::SyncState(state) => self.sync_state(key, &state),
            Request::Ping(_) => self.send(key, Response::Pong(now.unix_ms)),
            Request::PingReq(ping) => self.send(key, message::pong(ping.timestamp, now.unix_ms)),
            Request::UpdateMetadata(update) => self.update_metadata(key, update, now),
            Request::UpdateAudioTrack(update) => self.update_audio_track(key, update, now),
            Request::UpdateVideoTrack(update) => self.update_video_track(key, &update, now),
            Request::SubscriptionPermission(permission) => self.subscription_permission(key, permission),
            Request::PublishDataTrackRequest(publish) => self.publish_data_track(key, publish),
            Request::UnpublishDataTrackRequest(unpublish) => self.unpublish_data_track(key, unpublish),
            Request::UpdateDataSubscription(update) => self.data_subscription(key, &update),
            Request::Simulate(simulate) => self.simulate(key, &simulate, now),
            other => log::debug!("a request of an unsupported kind was ignored: {other:?}"),
        }
    }

    /// News from the forwarding unit.
    pub fn notice(&mut self, notice: Notice, now: Moment) {
        match notice {
            Notice::Answer { peer, id, sdp } => self.answered(peer, id, sdp, now),
            Notice::Offer { peer, id, sdp, added } => self.offered(peer, id, sdp, added),
            Notice::StreamState { peer, track, paused } => self.stream_state(peer, track, paused),
            Notice::Undecodable { peer, track } => self.undecodable(peer, track),
            Notice::Loudness(tracks) => self.loudness(&tracks),
            Notice::Rated(participant, rating) => self.rated(participant, rating),
            Notice::Connected(peer) => self.media_connected(peer, now),
            Notice::Silent(peer) => self.media_silent(peer, now),
            Notice::Closed(peer) => self.media_closed(peer, now),
        }
    }

    /// When [`Rooms::tick`] has something to do next: as long as anybody is there it looks for silence every `interval`; without
    /// anybody, rooms that are kept end. `None` without a room.
    pub fn next_tick(&self, last: Instant, interval: Duration) -> Option<Instant> {
        if !self.people.is_empty() {
            return Some(last + interval);
        }
        self.rooms.values().filter_map(|room| room.life.ends_at(&room.options)).min()
    }

    fn new_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }

    /// A public id: `prefix` and twelve letters or digits (embedded clients have room for fifteen characters).
    fn new_sid(&mut self, prefix: &str) -> String {
        const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut sid = prefix.to_owned();
        let mut random = (self.random)();
        for n in 0..12 {
            if n == 6 {
                random = (self.random)();
            }
            sid.push(char::from(LETTERS[(random % LETTERS.len() as u64) as usize]));
            random /= LETTERS.len() as u64;
        }
        sid
    }

    fn send(&mut self, key: ParticipantKey, response: Response) {
        if let Some(connection) = self.people.get(&key).and_then(|p| p.connection) {
            self.out.push_back(Output::Send(connection, Box::new(response)));
        }
    }

    fn media(&mut self, command: Command) {
        self.out.push_back(Output::Media(command));
    }

    /// Members of the participant's room, itself included.
    fn room_members(&self, key: ParticipantKey) -> Vec<ParticipantKey> {
        let room = self.people.get(&key).and_then(|p| self.rooms.get(&p.room));
        room.map(|room| room.members.clone()).unwrap_or_default()
    }

    /// Tells the room about a participant's present state.
    fn announce(&mut self, key: ParticipantKey) {
        let Some(person) = self.people.get_mut(&key) else { return };
        person.version += 1;
        let hidden = person.claims.hidden;
        let update = message::update(vec![person.info()]);
        for member in self.room_members(key) {
            if member == key || !hidden {
                self.send(member, update.clone());
            }
        }
    }

    fn person_of(&mut self, peer: PeerId) -> Option<&mut Participant> {
        self.people.get_mut(&peer.participant)
    }

    fn media_connected(&mut self, peer: PeerId, now: Moment) {
        let Some(person) = self.person_of(peer) else { return };
        person.silent_since = None;
        if peer.side == Side::Publisher && !person.active {
            person.active = true;
            let time = now.at.saturating_duration_since(person.joined_at);
            log::info!("{} is connected after {} ms", person.identity, time.as_millis());
            self.tally.connected_after(time);
            self.announce(peer.participant);
            self.introduce_speakers(peer.participant);
            self.joined_news(peer.participant);
        }
    }

    fn media_silent(&mut self, peer: PeerId, now: Moment) {
        if let Some(person) = self.person_of(peer)
            && peer.side == Side::Publisher
        {
            person.silent_since.get_or_insert(now.at);
        }
    }

    fn trickle(&mut self, key: ParticipantKey, trickle: &livekit_protocol::TrickleRequest) {
        let side = match livekit_protocol::SignalTarget::try_from(trickle.target) {
            Ok(livekit_protocol::SignalTarget::Subscriber) => Side::Subscriber,
            _ => Side::Publisher,
        };
        // RTCIceCandidateInit; an empty candidate marks the end.
        let Ok(init) = serde_json::from_str::<serde_json::Value>(&trickle.candidate_init) else { return };
        let line = init.get("candidate").and_then(serde_json::Value::as_str).unwrap_or_default();
        if !line.is_empty() {
            let peer = PeerId { participant: key, side };
            self.media(Command::Candidate(peer, line.to_owned()));
        }
    }
}
