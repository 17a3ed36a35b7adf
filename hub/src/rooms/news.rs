//! What a server outside is told about rooms (`livekit.WebhookEvent`): the events, what they carry and their order, as LiveKit's
//! servers have them.

use livekit_protocol as proto;

use super::{Output, Rooms};
use crate::sfu::{ParticipantKey, RoomKey};

/// An event in a room of an AppID. Whoever sends it gives it its id and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// The AppID.
    pub app: String,
    /// What happened.
    pub event: proto::WebhookEvent,
}

impl Rooms {
    /// A room began or ended.
    pub(super) fn room_news(&mut self, event: &str, room: RoomKey) {
        let whole = Some(self.room_info(room));
        self.tell(room, proto::WebhookEvent { event: event.into(), room: whole, ..Default::default() });
    }

    /// Somebody came or went.
    pub(super) fn participant_news(&mut self, event: &str, room: RoomKey, participant: proto::ParticipantInfo) {
        let (whole, participant) = (Some(self.room_info(room)), Some(participant));
        self.tell(room, proto::WebhookEvent { event: event.into(), room: whole, participant, ..Default::default() });
    }

    /// A track began or ended; room and participant are only named.
    pub(super) fn track_news(
        &mut self,
        event: &str,
        room: RoomKey,
        participant: proto::ParticipantInfo,
        track: proto::TrackInfo,
    ) {
        let Some(known) = self.rooms.get(&room) else { return };
        let named = proto::Room { sid: known.sid.clone(), name: known.name.clone(), ..Default::default() };
        let (room_named, participant, track) = (Some(named), Some(participant), Some(track));
        let event = event.into();
        self.tell(room, proto::WebhookEvent { event, room: room_named, participant, track, ..Default::default() });
    }

    /// Somebody's media is up: that is when it has joined, in these events, and when its tracks begin.
    pub(super) fn joined_news(&mut self, key: ParticipantKey) {
        let Some(person) = self.people.get(&key) else { return };
        let (room, info) = (person.room, person.info());
        let named = named(&info.sid, &info.identity);
        let tracks = info.tracks.clone();
        self.participant_news("participant_joined", room, info);
        for track in tracks {
            self.track_news("track_published", room, named.clone(), track);
        }
    }

    fn tell(&mut self, room: RoomKey, event: proto::WebhookEvent) {
        if let Some(app) = self.rooms.get(&room).map(|room| room.app.clone()) {
            self.out.push_back(Output::News(Box::new(News { app, event })));
        }
    }
}

/// A participant as the events of its tracks name it.
pub(super) fn named(sid: &str, identity: &str) -> proto::ParticipantInfo {
    proto::ParticipantInfo { sid: sid.into(), identity: identity.into(), ..Default::default() }
}
