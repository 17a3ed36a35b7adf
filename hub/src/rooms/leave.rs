//! Going: by the client's wish, by the hub's, by silence.

use std::time::Duration;

use livekit_protocol as proto;
use proto::leave_request::Action;
use proto::request_response::{Reason, Request as Refused};
use proto::signal_request::Message as Request;
use proto::simulate_scenario::Scenario;

use super::bounds::{self, Excess};
use super::life::Life;
use super::{ConnectionKey, Moment, Output, Rooms, extra_info, message, news};
use crate::sfu::{Command, ParticipantKey, PeerId, RoomKey, Side};

/// A participant whose media connection never came up is not waited for any longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// A client whose media connection ended gets so long to leave or to join anew by itself.
const MEDIA_ENDED_TIMEOUT: Duration = Duration::from_secs(5);
/// A client that is heard on its signalling connection, but not on its media connection, is to connect anew after that.
const MEDIA_SILENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A client says more than it may.
const TOO_MANY_MESSAGES: i32 = 1_002_073;

/// Attributes of participants that begin so are the API's own.
const ZEGO_ATTRIBUTES: &str = "zego.";

impl Rooms {
    /// A client says that it goes.
    pub(super) fn client_leave(&mut self, key: ParticipantKey, leave: proto::LeaveRequest, now: Moment) {
        let reason = match leave.reason {
            0 => proto::DisconnectReason::ClientInitiated as i32,
            reason => reason,
        };
        let connection = self.people.get(&key).and_then(|p| p.connection);
        self.remove(key, reason, now);
        if let Some(connection) = connection {
            self.out.push_back(Output::Close(connection));
        }
    }

    /// A signalling connection was lost without a word. Its participant stays for a while: it may come back.
    pub fn disconnected(&mut self, connection: ConnectionKey, now: Moment) {
        let Some(key) = self.connections.remove(&connection) else { return };
        let Some(person) = self.people.get_mut(&key) else { return };
        person.connection = None;
        person.lost_at = Some(now.at);
        if !person.active || person.media_ended_at.is_some() {
            self.remove(key, proto::DisconnectReason::SignalClose as i32, now);
        } else {
            log::info!("{}: the signalling connection is lost", person.identity);
        }
    }

    /// A client does not read what it is sent: its connection is given up.
    pub fn too_slow(&mut self, connection: ConnectionKey, now: Moment) {
        self.tally.limited.slow_readers += 1;
        self.disconnected(connection, now);
    }

    /// A client says more than it may, and does not stop.
    pub fn flooded(&mut self, connection: ConnectionKey, now: Moment) {
        let Some(&key) = self.connections.get(&connection) else { return };
        if let Some(person) = self.people.get(&key) {
            log::warn!("{} says too much and is put out", person.identity);
        }
        self.put_out(key, TOO_MANY_MESSAGES, now);
    }

    /// A media connection ended: the client closed it, or it cannot go on.
    pub(super) fn media_closed(&mut self, peer: PeerId, now: Moment) {
        let Some(person) = self.people.get_mut(&peer.participant) else { return };
        match peer.side {
            Side::Publisher => {
                person.media_ended_at.get_or_insert(now.at);
                if person.connection.is_none() {
                    self.remove(peer.participant, proto::DisconnectReason::SignalClose as i32, now);
                }
            }
            Side::Subscriber => {
                person.has_subscriber_peer = false;
                person.offering = false;
                person.sections.clear();
            }
        }
    }

    /// Removes whoever was silent for too long, and tells which layers nobody takes and how many there are. To be called about every
    /// second while anybody is there.
    pub fn tick(&mut self, now: Moment) {
        let keys: Vec<ParticipantKey> = self.people.keys().copied().collect();
        for key in keys {
            self.check(key, now);
        }
        self.close_empty_rooms(now);
        self.settle_layers(now.at);
        self.tell_counts(now.at);
    }

    fn check(&mut self, key: ParticipantKey, now: Moment) {
        if self.expire(key, now) {
            return;
        }
        self.refresh_when_due(key, now);
        let Some(person) = self.people.get(&key) else { return };
        let since = |at: Option<std::time::Instant>| at.map(|at| now.at.saturating_duration_since(at));
        let longer = |at, limit| since(at).is_some_and(|silent| silent >= limit);
        let ping_timeout = Duration::from_secs(message::PING_TIMEOUT_S as u64);
        if longer(person.lost_at, self.settings.heartbeat_timeout) {
            log::info!("{} did not come back", person.identity);
            self.remove(key, proto::DisconnectReason::ConnectionTimeout as i32, now);
        } else if person.connection.is_some() && longer(Some(person.last_heard), ping_timeout) {
            let heard = person.last_heard;
            if let Some(connection) = person.connection {
                self.out.push_back(Output::Close(connection));
                self.disconnected(connection, Moment { at: heard, ..now });
            }
        } else if !person.active && longer(Some(person.joined_at), CONNECT_TIMEOUT) {
            self.expel(key, proto::DisconnectReason::ConnectionTimeout, Action::Disconnect, now);
        } else if person.connection.is_some()
            && (longer(person.media_ended_at, MEDIA_ENDED_TIMEOUT) || longer(person.silent_since, MEDIA_SILENT_TIMEOUT))
        {
            self.expel(key, proto::DisconnectReason::StateMismatch, Action::Reconnect, now);
        }
    }

    /// Sends a participant away.
    pub(super) fn expel(&mut self, key: ParticipantKey, reason: proto::DisconnectReason, action: Action, now: Moment) {
        self.send(key, message::leave(reason, action));
        let connection = self.people.get(&key).and_then(|p| p.connection);
        self.remove(key, reason as i32, now);
        if let Some(connection) = connection {
            self.out.push_back(Output::Close(connection));
        }
    }

    /// A client wants to see for itself how it copes with what a server does; SDKs test themselves so.
    pub(super) fn simulate(&mut self, key: ParticipantKey, simulate: &proto::SimulateScenario, now: Moment) {
        match simulate.scenario {
            Some(Scenario::LeaveRequestFullReconnect(true)) => {
                self.expel(key, proto::DisconnectReason::StateMismatch, Action::Reconnect, now);
            }
            Some(Scenario::ServerLeave(true)) => {
                self.expel(key, proto::DisconnectReason::ServerShutdown, Action::Disconnect, now);
            }
            _ => {}
        }
    }

    /// Puts a participant out, with ZEGO's code.
    pub(super) fn put_out(&mut self, key: ParticipantKey, code: i32, now: Moment) {
        let Some(person) = self.people.get(&key) else { return };
        let (connection, knows_zego) = (person.connection, !person.login.is_empty());
        self.send(key, message::put_out(code, knows_zego));
        self.remove(key, proto::DisconnectReason::ParticipantRemoved as i32, now);
        if let Some(connection) = connection {
            self.out.push_back(Output::Close(connection));
        }
    }

    /// The hub ends: everybody is told so.
    pub fn shutdown(&mut self, now: Moment) {
        let keys: Vec<ParticipantKey> = self.people.keys().copied().collect();
        self.dismiss(&keys, proto::DisconnectReason::ServerShutdown, now);
        let rooms: Vec<RoomKey> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.close_room(room);
        }
    }

    /// Sends several participants away at once. They are told first, so that nobody hears of others leaving in between.
    pub(super) fn dismiss(&mut self, keys: &[ParticipantKey], reason: proto::DisconnectReason, now: Moment) {
        let mut connections = Vec::new();
        for key in keys {
            self.send(*key, message::leave(reason, Action::Disconnect));
            if let Some(connection) = self.people.get_mut(key).and_then(|p| p.connection.take()) {
                self.connections.remove(&connection);
                connections.push(connection);
            }
        }
        for key in keys {
            self.remove(*key, reason as i32, now);
        }
        self.out.extend(connections.into_iter().map(Output::Close));
    }

    fn remove(&mut self, key: ParticipantKey, reason: i32, now: Moment) {
        let members = self.room_members(key);
        let Some(person) = self.people.remove(&key) else { return };
        log::info!("{} left", person.identity);
        if let Some(connection) = person.connection {
            self.connections.remove(&connection);
        }
        if let Some(room) = self.rooms.get_mut(&person.room) {
            room.members.retain(|member| *member != key);
            if room.members.is_empty() {
                room.life = Life::Left(now.at);
                // In ZEGO's terms the room is over.
                room.extra_info = None;
            }
        }
        self.media(Command::Close(PeerId { participant: key, side: Side::Publisher }));
        if person.has_subscriber_peer {
            self.media(Command::Close(PeerId { participant: key, side: Side::Subscriber }));
        }
        for publication in &person.published {
            self.owners.remove(&publication.key);
        }
        for publication in person.published.iter().filter(|p| person.active && p.announced) {
            let named = news::named(&person.sid, &person.identity);
            self.track_news("track_unpublished", person.room, named, publication.info.clone());
        }
        let mut info = person.info();
        info.state = proto::participant_info::State::Disconnected as i32;
        info.disconnect_reason = reason;
        info.tracks.clear();
        info.data_tracks.clear();
        info.version += 1;
        let word = if person.active { "participant_left" } else { "participant_connection_aborted" };
        self.participant_news(word, person.room, info.clone());
        *(if person.active { &mut self.tally.left } else { &mut self.tally.aborted }) += 1;
        self.tell_silence(&person, &members);
        self.forget_data_of(key, &person, &members);
        let update = message::update(vec![info]);
        for member in members.into_iter().filter(|m| *m != key) {
            if !person.claims.hidden {
                self.send(member, update.clone());
            }
            for publication in &person.published {
                self.forget_track(member, publication.key);
            }
        }
        self.close_empty_rooms(now);
    }

    /// Closes rooms that have been without anybody for their time.
    fn close_empty_rooms(&mut self, now: Moment) {
        let over = |room: &super::Room| room.life.is_over(&room.options, now.at);
        let over: Vec<RoomKey> = self.rooms.iter().filter(|(_, room)| over(room)).map(|(key, _)| *key).collect();
        for key in over {
            self.close_room(key);
        }
    }

    /// Closes a room in which nobody is any more.
    pub(super) fn close_room(&mut self, key: RoomKey) {
        self.room_news("room_finished", key);
        if let Some(room) = self.rooms.remove(&key) {
            log::info!("room {} closes", room.name);
        }
    }

    /// A client changes what it says about itself.
    pub(super) fn update_metadata(
        &mut self,
        key: ParticipantKey,
        mut update: proto::UpdateParticipantMetadata,
        now: Moment,
    ) {
        let request_id = update.request_id;
        // It belongs to the room, not to whoever wrote it.
        if let Some(text) = update.attributes.remove(extra_info::ATTRIBUTE)
            && let Err(message) = self.set_extra_info(key, &text, now)
        {
            self.send(
                key,
                message::outcome(request_id, Reason::InvalidRequest, message, Some(Refused::UpdateMetadata(update))),
            );
            return;
        }
        let Some(person) = self.people.get_mut(&key) else { return };
        if let Err(excess) = bounds::check_attributes(&person.attributes, &update.attributes) {
            self.refuse_excess(key, Request::UpdateMetadata(update), &excess, now);
            return;
        }
        // The rights of ZEGO's users do not know of metadata: what is ZEGO's own, everybody may set.
        let is_zegos = |name: &String| name.starts_with(ZEGO_ATTRIBUTES);
        let only_zegos = update.name.is_empty() && update.metadata.is_empty() && update.attributes.keys().all(is_zegos);
        if !person.claims.can_update_own_metadata && !only_zegos {
            let message = "The token does not allow changing one's own metadata".to_owned();
            let refused = Some(Refused::UpdateMetadata(update));
            self.send(key, message::outcome(request_id, Reason::NotAllowed, message, refused));
            return;
        }
        person.describe(&update.name, &update.metadata, &update.attributes);
        let knows_success = person.protocol > 14;
        let changed = !update.name.is_empty() || !update.metadata.is_empty() || !update.attributes.is_empty();
        if changed {
            self.announce(key);
            self.refresh_token(key, now);
        }
        if knows_success {
            let done = Some(Refused::UpdateMetadata(update));
            self.send(key, message::outcome(request_id, Reason::Ok, String::new(), done));
        }
    }

    /// A request that asks for too much. Nothing of it was done.
    pub(super) fn refuse_excess(&mut self, key: ParticipantKey, request: Request, excess: &Excess, now: Moment) {
        let Some(person) = self.people.get(&key) else { return };
        log::info!("{}: {excess}", person.identity);
        let limited = &mut self.tally.limited;
        *match excess {
            Excess::Text { .. } | Excess::List { .. } => &mut limited.texts,
            Excess::Description(_) => &mut limited.descriptions,
            Excess::Tracks(_) => &mut limited.tracks,
        } += 1;
        let (request_id, refused) = match request {
            // Without an answer to its offer no client can go on.
            Request::Offer(_) | Request::Answer(_) => {
                self.expel(key, proto::DisconnectReason::MediaFailure, Action::Disconnect, now);
                return;
            }
            // What is too long is not sent back.
            Request::AddTrack(add) => {
                (0, Refused::AddTrack(proto::AddTrackRequest { cid: short(add.cid), ..Default::default() }))
            }
            Request::UpdateMetadata(update) => (update.request_id, Refused::UpdateMetadata(Default::default())),
            _ => return,
        };
        self.send(key, message::outcome(request_id, Reason::LimitExceeded, excess.to_string(), Some(refused)));
    }
}

/// A client's own name for a track, by which it knows what was refused; nothing, when it is too long to be one.
fn short(cid: String) -> String {
    if cid.len() > bounds::NAME { String::new() } else { cid }
}
