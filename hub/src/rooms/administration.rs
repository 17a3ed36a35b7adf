//! What administrators do to rooms, from outside (`livekit.RoomService`). Whether they may was asked before.

use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_response::Message as Response;
use zego_protocol::token::RoomConfig;

use super::participant::Participant;
use super::{Moment, Rooms, bounds};
use crate::sfu::{Command, ParticipantKey, PeerId, RoomKey, Side, TrackKey};

/// A user was put out by an administrator.
const REMOVED: i32 = 1_002_055;

/// The longest message: clients take no larger data packet, and what carries it needs some room.
const DATA_LIMIT: usize = 64_000;
/// A number of a message, if there is one, has so many bytes.
const NONCE_BYTES: usize = 16;
/// Numbers of messages that a room remembers.
const NONCES: usize = 64;

/// Why it was not done. LiveKit's servers use the same words where clients look at them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdministrationError {
    /// There is no such room.
    #[error("requested room does not exist: '{0}'")]
    NoRoom(String),
    /// Nobody of that name is in the room.
    #[error("participant does not exist: '{identity}' is not in room '{room}'")]
    NoParticipant {
        /// The room.
        room: String,
        /// The user.
        identity: String,
    },
    /// Only the owner of a track unmutes it, unless the configuration says otherwise.
    #[error("remote unmute not enabled: set [room] remote_unmute in zegohub.toml")]
    NoRemoteUnmute,
    /// What is asked for cannot be.
    #[error("{0}")]
    Invalid(&'static str),
}

impl Rooms {
    /// Makes a room, if it is not there already; one that is there stays as it is.
    pub fn create_room(
        &mut self,
        app: &str,
        asked: &proto::CreateRoomRequest,
        now: Moment,
    ) -> Result<proto::Room, AdministrationError> {
        if asked.name.is_empty() {
            return Err(AdministrationError::Invalid("no room name"));
        }
        if asked.name.len() > bounds::NAME {
            return Err(AdministrationError::Invalid("room name length exceeds limits: 256 bytes"));
        }
        check_metadata(&asked.metadata)?;
        let wished = RoomConfig {
            empty_timeout: asked.empty_timeout,
            departure_timeout: asked.departure_timeout,
            max_participants: asked.max_participants,
            metadata: asked.metadata.clone(),
        };
        let key = self.room_named(app, &asked.name).unwrap_or_else(|_| self.open_room(app, &asked.name, &wished, now));
        Ok(self.room_info(key))
    }

    /// Rooms of an AppID: those with these names, or all.
    pub fn list_rooms(&self, app: &str, names: &[String]) -> Vec<proto::Room> {
        let wanted = |name: &String| names.is_empty() || names.contains(name);
        let found = self.rooms.iter().filter(|(_, room)| room.app == app && wanted(&room.name));
        found.map(|(key, _)| self.room_info(*key)).collect()
    }

    /// Closes a room; everybody in it is told so.
    pub fn delete_room(&mut self, app: &str, room: &str, now: Moment) -> Result<(), AdministrationError> {
        let key = self.room_named(app, room)?;
        log::info!("room {room} is deleted by an administrator");
        let members = self.rooms.get(&key).map(|room| room.members.clone()).unwrap_or_default();
        self.dismiss(&members, proto::DisconnectReason::RoomDeleted, now);
        // Without a departure time-out it closed with the last one.
        if self.rooms.contains_key(&key) {
            self.close_room(key);
        }
        Ok(())
    }

    /// Everybody in a room, the hidden ones too; nobody when it does not exist.
    pub fn list_participants(&self, app: &str, room: &str) -> Vec<proto::ParticipantInfo> {
        let members = self.room_named(app, room).ok().and_then(|key| self.rooms.get(&key)).map(|room| &room.members);
        members.into_iter().flatten().filter_map(|key| self.people.get(key)).map(Participant::info).collect()
    }

    /// Somebody in a room.
    pub fn get_participant(
        &self,
        app: &str,
        asked: &proto::RoomParticipantIdentity,
    ) -> Result<proto::ParticipantInfo, AdministrationError> {
        let key = self.member(app, &asked.room, &asked.identity)?;
        Ok(self.people.get(&key).map(Participant::info).unwrap_or_default())
    }

    /// Puts a user out of a room.
    pub fn remove_participant(
        &mut self,
        app: &str,
        asked: &proto::RoomParticipantIdentity,
        now: Moment,
    ) -> Result<(), AdministrationError> {
        let key = self.member(app, &asked.room, &asked.identity)?;
        log::info!("{} is removed from {} by an administrator", asked.identity, asked.room);
        self.put_out(key, REMOVED, now);
        Ok(())
    }

    /// Mutes a track; its owner is told to. `None`: that user publishes no such track.
    pub fn mute_published_track(
        &mut self,
        app: &str,
        asked: &proto::MuteRoomTrackRequest,
        now: Moment,
    ) -> Result<Option<proto::TrackInfo>, AdministrationError> {
        let key = self.member(app, &asked.room, &asked.identity)?;
        if !asked.muted && !self.settings.room.remote_unmute {
            return Err(AdministrationError::NoRemoteUnmute);
        }
        let mute = proto::MuteTrackRequest { sid: asked.track_sid.clone(), muted: asked.muted };
        self.send(key, Response::Mute(mute));
        self.mute(key, &asked.track_sid, asked.muted, now);
        let publication = self.people.get_mut(&key).and_then(|person| person.publication(&asked.track_sid));
        Ok(publication.map(|publication| publication.info.clone()))
    }

    /// Changes what others see of a user, and what the user may do.
    pub fn update_participant(
        &mut self,
        app: &str,
        asked: &proto::UpdateParticipantRequest,
        now: Moment,
    ) -> Result<proto::ParticipantInfo, AdministrationError> {
        if asked.name.len() > bounds::NAME {
            return Err(AdministrationError::Invalid("name length exceeds limits: 256 bytes"));
        }
        check_metadata(&asked.metadata)?;
        if asked.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > bounds::TEXT {
            return Err(AdministrationError::Invalid("attribute size exceeds limits: 64000 bytes"));
        }
        let key = self.member(app, &asked.room, &asked.identity)?;
        if let Some(person) = self.people.get_mut(&key) {
            person.describe(&asked.name, &asked.metadata, &asked.attributes);
        }
        if let Some(permission) = &asked.permission {
            self.permit(key, permission);
        }
        self.announce(key);
        // A client that joins anew, with the token that it has then, is what it was made.
        self.refresh_token(key, now);
        Ok(self.people.get(&key).map(Participant::info).unwrap_or_default())
    }

    fn permit(&mut self, key: ParticipantKey, permission: &proto::ParticipantPermission) {
        let Some(person) = self.people.get_mut(&key) else { return };
        person.permit(permission.clone());
        let may_data = person.claims.can_publish_data;
        let forbidden = person.published.iter().filter(|p| !person.may_publish_from(p.info.source));
        let forbidden: Vec<TrackKey> = forbidden.map(|p| p.key).collect();
        self.media(Command::SetMayData(PeerId { participant: key, side: Side::Publisher }, may_data));
        for track in forbidden {
            self.unpublish(key, track);
        }
        self.deliver(key);
    }

    /// Chooses for a user which tracks it receives.
    pub fn update_subscriptions(
        &mut self,
        app: &str,
        asked: proto::UpdateSubscriptionsRequest,
    ) -> Result<(), AdministrationError> {
        let key = self.member(app, &asked.room, &asked.identity)?;
        let update = proto::UpdateSubscription {
            track_sids: asked.track_sids,
            subscribe: asked.subscribe,
            participant_tracks: asked.participant_tracks,
        };
        self.subscription(key, &update);
        Ok(())
    }

    /// Sends a message of nobody's to a room, or to some in it.
    #[allow(deprecated)] // Older clients read these fields, and older servers fill them.
    pub fn send_data(&mut self, app: &str, asked: proto::SendDataRequest) -> Result<(), AdministrationError> {
        if !matches!(asked.nonce.len(), 0 | NONCE_BYTES) {
            return Err(AdministrationError::Invalid("nonce should be 16-bytes or not present"));
        }
        if asked.data.len() > DATA_LIMIT {
            return Err(AdministrationError::Invalid("data size exceeds limits: 64000 bytes"));
        }
        let key = self.room_named(app, &asked.room)?;
        let Some(room) = self.rooms.get_mut(&key) else { return Ok(()) };
        if !asked.nonce.is_empty() {
            if room.nonces.contains(&asked.nonce) {
                return Ok(());
            }
            room.nonces.push_front(asked.nonce.clone());
            room.nonces.truncate(NONCES);
        }
        let everybody = asked.destination_sids.is_empty() && asked.destination_identities.is_empty();
        let meant = |p: &Participant| {
            everybody || asked.destination_sids.contains(&p.sid) || asked.destination_identities.contains(&p.identity)
        };
        let to = room.members.iter().filter(|key| self.people.get(key).is_some_and(meant)).copied().collect();
        let reliable = asked.kind == proto::data_packet::Kind::Reliable as i32;
        let user = proto::UserPacket {
            payload: asked.data,
            destination_sids: asked.destination_sids,
            destination_identities: asked.destination_identities.clone(),
            topic: asked.topic,
            nonce: asked.nonce,
            ..Default::default()
        };
        let packet = proto::DataPacket {
            kind: asked.kind,
            destination_identities: asked.destination_identities,
            value: Some(proto::data_packet::Value::User(user)),
            ..Default::default()
        };
        self.media(Command::SendData { to, reliable, bytes: packet.encode_to_vec() });
        Ok(())
    }

    /// Sets the text about a room; everybody in it is told.
    pub fn update_room_metadata(
        &mut self,
        app: &str,
        asked: proto::UpdateRoomMetadataRequest,
    ) -> Result<proto::Room, AdministrationError> {
        check_metadata(&asked.metadata)?;
        let key = self.room_named(app, &asked.room)?;
        if let Some(room) = self.rooms.get_mut(&key) {
            room.metadata = asked.metadata;
        }
        self.tell_room(key);
        Ok(self.room_info(key))
    }

    fn room_named(&self, app: &str, room: &str) -> Result<RoomKey, AdministrationError> {
        let found = self.rooms.iter().find(|(_, known)| known.app == app && known.name == room);
        found.map(|(key, _)| *key).ok_or_else(|| AdministrationError::NoRoom(room.to_owned()))
    }

    fn member(&self, app: &str, room: &str, identity: &str) -> Result<ParticipantKey, AdministrationError> {
        let found = self.room_named(app, room).ok().and_then(|key| self.find(key, identity));
        found.ok_or_else(|| AdministrationError::NoParticipant { room: room.to_owned(), identity: identity.to_owned() })
    }
}

fn check_metadata(metadata: &str) -> Result<(), AdministrationError> {
    if metadata.len() > bounds::TEXT {
        return Err(AdministrationError::Invalid("metadata size exceeds limits: 64000 bytes"));
    }
    Ok(())
}
