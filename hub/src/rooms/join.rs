//! Coming in: a new participant, one that takes another's place, one that resumes.

use std::collections::HashMap;

use livekit_protocol as proto;
use proto::leave_request::Action;
use proto::signal_response::Message as Response;
use zego_protocol::error::{sentence, with_code};
use zego_protocol::token::{Claims, RoomConfig};

use super::bounds::{self, Excess};
use super::counts::Told;
use super::data_tracks::DataTracks;
use super::life::Life;
use super::participant::Participant;
use super::viewer::Watch;
use super::{ConnectionKey, Moment, Output, Room, Rooms, enumerations, extra_info, message};
use crate::sfu::{Command, LastSequence, Member, ParticipantKey, PeerId, RoomKey, Side};

/// The room has no more place.
const ROOM_FULL: i32 = 1_002_034;
/// Whoever comes back finds its user id taken.
const LOGGED_IN_ELSEWHERE: i32 = 1_002_086;

/// The room is not there, and is not made by joining it.
const NO_ROOM: i32 = 1_002_002;

/// Participant attribute of somebody who neither sees nor is seen among the users.
const QUIET_ATTRIBUTE: &str = "zego.quiet";

/// What a client that knows ZEGO says about its login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZegoClient {
    /// A number of its own for the login, the same whenever it comes back; empty for clients that know nothing of this.
    pub login: String,
    /// It was in the room before, by the same login, and comes back.
    pub returns: bool,
    /// It neither sees nor is seen among the users.
    pub quiet: bool,
    /// Most people in the room, if it is the first there; 0 = no limit.
    pub max_members: u32,
}

/// How many peer connections a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// `/rtc/v1`: one, which the client offers.
    One,
    /// `/rtc`: one that the client offers and one that the hub offers.
    Two,
    /// `/whip/v1` and `/whep/v1`: one, which the client offers once and for all.
    Once,
}

/// A client at the door, its token verified.
#[derive(Debug, Clone)]
pub struct Join {
    /// What its token grants; the token's user is the participant's identity.
    pub claims: Claims,
    /// Room to enter.
    pub room: String,
    /// User name.
    pub name: String,
    /// Replaces the token's, when not empty and allowed.
    pub metadata: String,
    /// Added to the token's, when allowed.
    pub attributes: HashMap<String, String>,
    /// One or two peer connections.
    pub path: Path,
    /// Version of LiveKit's protocol that the client speaks.
    pub protocol: i32,
    /// What the client can do for other clients.
    pub client_protocol: i32,
    /// Likewise.
    pub capabilities: Vec<i32>,
    /// Whether `stereo=1` in its offer has to tell that it sends two channels, because its client does not say so in AddTrack. The
    /// JavaScript SDK does, and writes `stereo=1` everywhere.
    pub stereo_by_offer: bool,
    /// Send it every track.
    pub auto_subscribe: bool,
    /// Send it every data track.
    pub auto_subscribe_data: bool,
    /// It was in the room before, under this id, and wants to go on; empty when it does not know its id.
    pub resume: Option<String>,
    /// Tracks that it publishes at once.
    pub add_tracks: Vec<proto::AddTrackRequest>,
    /// Its first offer.
    pub offer: Option<proto::SessionDescription>,
    /// What it remembers, when it resumes.
    pub sync_state: Option<proto::SyncState>,
    /// What it says about its login.
    pub zego: ZegoClient,
    /// Stream that it came to watch ([`Path::Once`] only); empty: the first that there is. `None`: it watches nothing.
    pub watches: Option<String>,
}

/// Why a client with a good token may not come in. Each is a sentence with its code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The room is not there, and is not made by joining it.
    #[error("{0}")]
    NoRoom(String),
    /// The room does not take it now.
    #[error("{0}")]
    Room(String),
    /// The room holds no more people.
    #[error("{0}")]
    Full(String),
    /// Its token does not grant what it came for.
    #[error("{0}")]
    Forbidden(String),
    /// Somebody else publishes under the stream id that it came with.
    #[error("{0}")]
    StreamTaken(String),
    /// Nobody publishes what it came to watch.
    #[error("{0}")]
    NothingToWatch(String),
}

impl Rooms {
    /// Whether a client with a good token may come in now.
    pub fn may_join(&self, join: &Join) -> Result<(), Denial> {
        // Whether it may go on with its session is decided when it tries: it may be told to come back instead.
        if join.resume.is_some() {
            return Ok(());
        }
        self.app_has_room(join)?;
        let Some((key, room)) = self.rooms.iter().find(|(_, room)| is_room_of(room, join)) else {
            if self.settings.room.auto_create || join.claims.room_create {
                return Ok(());
            }
            // LiveKit's words, by which clients know it.
            let words = "requested room does not exist; check its id, or create it first";
            return Err(Denial::NoRoom(with_code(NO_ROOM, words)));
        };
        let most = [room.max_members, room.options.max_participants].into_iter().filter(|most| *most != 0).min();
        match self.find(*key, &join.claims.user_id) {
            // A newcomer has the place: whoever was away must not put it out. What is left of its own session is no newcomer.
            Some(present) if join.zego.returns && !self.is_same_login(present, join) => {
                let detail = format!("User '{}' logged in to room '{}' meanwhile", join.claims.user_id, join.room);
                Err(Denial::Room(sentence(LOGGED_IN_ELSEWHERE, &detail)))
            }
            None => match most {
                Some(most) if room.members.len() >= most as usize => {
                    let detail = format!("Room '{}' holds no more than {most} people", join.room);
                    Err(Denial::Full(sentence(ROOM_FULL, &detail)))
                }
                _ => Ok(()),
            },
            Some(_) => Ok(()),
        }
    }

    /// Whether the AppID may have one more participant. Whoever is in the room already only takes its own place.
    fn app_has_room(&self, join: &Join) -> Result<(), Denial> {
        let (app, most) = (&join.claims.app_id, self.settings.limits.participants_per_app as usize);
        if most == 0
            || self.people.values().filter(|p| p.claims.app_id == *app).count() < most
            || self.present(join).is_some()
        {
            return Ok(());
        }
        Err(Denial::Room(sentence(
            ROOM_FULL,
            &format!("AppID {app} has {most} users in its rooms, and no more at once"),
        )))
    }

    /// Whether a participant is the same login as a client at the door.
    pub(super) fn is_same_login(&self, key: ParticipantKey, join: &Join) -> bool {
        !join.zego.login.is_empty() && self.people.get(&key).is_some_and(|person| person.login == join.zego.login)
    }

    /// The participant that has a client's place already.
    pub(super) fn present(&self, join: &Join) -> Option<ParticipantKey> {
        let (key, _) = self.rooms.iter().find(|(_, room)| is_room_of(room, join))?;
        self.find(*key, &join.claims.user_id)
    }

    /// Lets a client in.
    pub fn join(&mut self, connection: ConnectionKey, mut join: Join, now: Moment) {
        join.add_tracks.iter_mut().for_each(enumerations::known_in_track);
        if let Err(excess) = check(&join) {
            self.turn_away(connection, &join, &excess.to_string());
            return;
        }
        // When it asked there may have been room still: many come at once.
        if let Err(denial) = self.may_join(&join) {
            self.turn_away(connection, &join, &denial.to_string());
            return;
        }
        let present = self.present(&join);
        if let Some(sid) = &join.resume {
            self.resume(connection, present, &sid.clone(), join, now);
            return;
        }
        let mut permission = None;
        if let Some(old) = present {
            log::info!("{} joins again: the older session ends", join.claims.user_id);
            // The same login goes on: what an administrator has said of it holds. Other clients have that in the token they got.
            permission =
                self.people.get(&old).filter(|_| self.is_same_login(old, &join)).and_then(|p| p.permission.clone());
            self.expel(old, proto::DisconnectReason::DuplicateIdentity, Action::Disconnect, now);
        }
        let room = self.room(&join, now);
        let key = self.enter(connection, room, &join, permission, now);
        for add in join.add_tracks {
            self.add_track(key, add, now);
        }
        if let Some(offer) = join.offer {
            self.client_offer(key, offer, now);
        }
    }

    fn turn_away(&mut self, connection: ConnectionKey, join: &Join, why: &str) {
        log::info!("{} is turned away: {why}", join.claims.user_id);
        let leave = message::leave(proto::DisconnectReason::JoinFailure, Action::Disconnect);
        self.out.push_back(Output::Send(connection, Box::new(leave)));
        self.out.push_back(Output::Close(connection));
    }

    fn room(&mut self, join: &Join, now: Moment) -> RoomKey {
        if let Some((key, _)) = self.rooms.iter().find(|(_, room)| is_room_of(room, join)) {
            return *key;
        }
        self.open_room(&join.claims.app_id, &join.room, &join.claims.room_config, now)
    }

    /// Makes a room that is not there.
    pub(super) fn open_room(&mut self, app: &str, name: &str, wished: &RoomConfig, now: Moment) -> RoomKey {
        let key = self.new_key();
        let room = Room {
            app: app.to_owned(),
            name: name.to_owned(),
            sid: self.new_sid("RM_"),
            created_ms: now.unix_ms,
            max_members: 0,
            extra_info: None,
            options: self.settings.room.options.with(wished),
            metadata: wished.metadata.clone(),
            life: Life::New(now.at),
            told: Told::default(),
            nonces: Default::default(),
            members: Vec::new(),
        };
        log::info!("room {} opens", room.name);
        self.rooms.insert(key, room);
        self.room_news("room_started", key);
        key
    }

    pub(super) fn find(&self, room: RoomKey, identity: &str) -> Option<ParticipantKey> {
        let members = &self.rooms.get(&room)?.members;
        members.iter().copied().find(|key| self.people.get(key).is_some_and(|p| p.identity == identity))
    }

    fn enter(
        &mut self,
        connection: ConnectionKey,
        room: RoomKey,
        join: &Join,
        permission: Option<proto::ParticipantPermission>,
        now: Moment,
    ) -> ParticipantKey {
        let key = self.new_key();
        let sid = self.new_sid("PA_");
        let claims = join.claims.clone();
        let mut attributes: HashMap<String, String> = claims.attributes.clone().into_iter().collect();
        let mut metadata = claims.metadata.clone();
        if claims.can_update_own_metadata {
            attributes.extend(join.attributes.clone());
            if !join.metadata.is_empty() {
                metadata = join.metadata.clone();
            }
        }
        if join.zego.quiet {
            attributes.insert(QUIET_ATTRIBUTE.to_owned(), "1".to_owned());
        }
        let mut person = Participant {
            login: join.zego.login.clone(),
            connection: Some(connection),
            room,
            sid: sid.clone(),
            identity: claims.user_id.clone(),
            name: join.name.clone(),
            metadata,
            attributes,
            claims,
            path: join.path,
            protocol: join.protocol,
            client_protocol: join.client_protocol,
            capabilities: join.capabilities.clone(),
            stereo_by_offer: join.stereo_by_offer,
            auto_subscribe: join.auto_subscribe,
            audience: None,
            denied: Default::default(),
            active: false,
            joined_at: now.at,
            joined_ms: now.unix_ms,
            version: 1,
            last_heard: now.at,
            lost_at: None,
            silent_since: None,
            media_ended_at: None,
            published: Vec::new(),
            data: DataTracks::new(join.auto_subscribe_data),
            wishes: HashMap::new(),
            shows: Default::default(),
            sections: Vec::new(),
            pending: Default::default(),
            asked: false,
            promised: (0, 0),
            has_subscriber_peer: false,
            offering: false,
            last_offer_id: 0,
            watch: join.watches.clone().map(Watch::new),
            permission,
            last_sequence: LastSequence::default(),
            speaking: 0,
            rating: None,
            refreshed_at: now.at,
        };
        person.keep_permission();
        log::info!("{} joins as {sid}", person.identity);
        let member = Member {
            room,
            identity: person.identity.clone(),
            sid,
            may_send_data: person.claims.can_publish_data,
            any_certificate: person.path == Path::Once,
            last_sequence: person.last_sequence.clone(),
        };
        self.people.insert(key, person);
        self.connections.insert(connection, key);
        let others = self.others(room, key);
        self.tally.joined += 1;
        if let Some(room) = self.rooms.get_mut(&room) {
            if room.members.is_empty() {
                room.max_members = join.zego.max_members;
            }
            room.life = Life::Occupied;
            room.members.push(key);
        }
        self.media(Command::Open(PeerId { participant: key, side: Side::Publisher }, member));
        let info = self.room_for_one(room);
        let response = self.join_response(key, info, others, now);
        self.send(key, response);
        self.receive_all_data(key);
        self.refresh_token(key, now);
        self.announce_to_others(key);
        key
    }

    /// Others as the participant may see them.
    fn others(&self, room: RoomKey, key: ParticipantKey) -> Vec<proto::ParticipantInfo> {
        let members = self.rooms.get(&room).map(|r| r.members.as_slice()).unwrap_or_default();
        let visible = members.iter().filter(|m| **m != key).filter_map(|m| self.people.get(m));
        visible.filter(|p| !p.claims.hidden).map(Participant::info).collect()
    }

    fn join_response(
        &self,
        key: ParticipantKey,
        room: proto::Room,
        others: Vec<proto::ParticipantInfo>,
        now: Moment,
    ) -> Response {
        let person = self.people.get(&key);
        Response::Join(proto::JoinResponse {
            room: Some(room),
            participant: person.map(Participant::info),
            other_participants: others,
            server_version: message::SERVER_VERSION.into(),
            ice_servers: self.ice_servers(key, now),
            // With two connections the client's own is the first that must be up: the other one exists only when
            // there is something to receive.
            subscriber_primary: false,
            ping_timeout: message::PING_TIMEOUT_S,
            ping_interval: message::PING_INTERVAL_S,
            server_info: Some(message::server_info()),
            fast_publish: person.is_some_and(|p| p.claims.can_publish),
            enabled_publish_codecs: ["audio/opus", "video/H264", "video/VP8", "video/VP9", "video/AV1", "video/rtx"]
                .map(|mime| proto::Codec { mime: mime.into(), fmtp_line: String::new() })
                .into(),
            ..Default::default()
        })
    }

    /// A room as clients are told about it.
    pub(super) fn room_info(&self, key: RoomKey) -> proto::Room {
        let Some(room) = self.rooms.get(&key) else { return proto::Room::default() };
        let counts = self.counts(room);
        proto::Room {
            sid: room.sid.clone(),
            name: room.name.clone(),
            creation_time: room.created_ms / 1000,
            creation_time_ms: room.created_ms,
            empty_timeout: room.options.empty_timeout.as_secs() as u32,
            departure_timeout: room.options.departure_timeout.as_secs() as u32,
            max_participants: room.options.max_participants,
            metadata: extra_info::room_metadata(&room.metadata, room.extra_info.as_ref()),
            num_participants: counts.participants,
            num_publishers: counts.publishers,
            ..Default::default()
        }
    }

    fn announce_to_others(&mut self, key: ParticipantKey) {
        let Some(person) = self.people.get(&key) else { return };
        if person.claims.hidden {
            return;
        }
        let update = message::update(vec![person.info()]);
        for member in self.room_members(key).into_iter().filter(|m| *m != key) {
            self.send(member, update.clone());
        }
    }

    fn resume(
        &mut self,
        connection: ConnectionKey,
        present: Option<ParticipantKey>,
        sid: &str,
        join: Join,
        now: Moment,
    ) {
        let same = |p: &Participant| (sid.is_empty() || p.sid == sid) && p.media_ended_at.is_none() && p.active;
        let resumable = present.filter(|key| self.people.get(key).is_some_and(same));
        let Some(key) = resumable else {
            // The client then joins anew, and takes the place of whatever is left of its old session.
            log::info!("{} cannot resume {sid}", join.claims.user_id);
            let leave = message::leave(proto::DisconnectReason::StateMismatch, Action::Reconnect);
            self.out.push_back(Output::Send(connection, Box::new(leave)));
            self.out.push_back(Output::Close(connection));
            return;
        };
        if let Some(person) = self.people.get_mut(&key) {
            log::info!("{} resumes {}", person.identity, person.sid);
            if let Some(old) = person.connection.replace(connection) {
                self.connections.remove(&old);
                self.out.push_back(Output::Close(old));
            }
            person.lost_at = None;
            person.last_heard = now.at;
            // Its media had no way either: it gets its time to come back from now on.
            person.silent_since = person.silent_since.map(|_| now.at);
            person.claims = join.claims.clone();
            person.keep_permission();
            person.asked = false;
            person.promised = (0, 0);
        }
        let peer = PeerId { participant: key, side: Side::Publisher };
        let may_data = self.people.get(&key).is_some_and(|p| p.claims.can_publish_data);
        self.media(Command::SetMayData(peer, may_data));
        self.connections.insert(connection, key);
        // What the client has sent since that number it sends again.
        let last_message_seq = self.people.get(&key).map_or(0, |person| person.last_sequence.get());
        self.send(
            key,
            Response::Reconnect(proto::ReconnectResponse {
                ice_servers: self.ice_servers(key, now),
                server_info: Some(message::server_info()),
                last_message_seq,
                ..Default::default()
            }),
        );
        let Some(room) = self.people.get(&key).map(|p| p.room) else { return };
        let mut everybody = self.others(room, key);
        everybody.extend(self.people.get(&key).map(Participant::info));
        self.send(key, message::update(everybody));
        let info = self.room_for_one(room);
        self.send(key, Response::RoomUpdate(proto::RoomUpdate { room: Some(info) }));
        self.introduce_speakers(key);
        if self.people.get(&key).is_some_and(|person| person.data.is_receiving()) {
            self.tell_data_handles(key);
        }
        self.refresh_token(key, now);
        if let Some(state) = &join.sync_state {
            self.sync_state(key, state);
        }
        for add in join.add_tracks {
            self.add_track(key, add, now);
        }
        match join.offer {
            Some(offer) => self.client_offer(key, offer, now),
            None => self.resume_delivery(key),
        }
    }
}

/// Whether what a client brings along may be looked at.
fn check(join: &Join) -> Result<(), Excess> {
    bounds::check_about("", &join.metadata)?;
    bounds::check_attributes(&HashMap::new(), &join.attributes)?;
    join.add_tracks.iter().try_for_each(bounds::check_track)?;
    join.offer.iter().try_for_each(bounds::check_description)?;
    join.sync_state.iter().try_for_each(bounds::check_state)
}

fn is_room_of(room: &Room, join: &Join) -> bool {
    room.app == join.claims.app_id && room.name == join.room
}
