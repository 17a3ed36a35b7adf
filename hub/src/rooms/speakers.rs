//! Who speaks: everybody in a room is told, and only what changed.

use std::collections::BTreeMap;

use livekit_protocol as proto;
use proto::signal_response::Message as Response;

use super::Rooms;
use super::participant::Participant;
use crate::sfu::{LOUDNESS_STEPS, ParticipantKey, RoomKey, TrackKey};

/// Clients of older protocols do not know the message.
const OLDEST: i32 = 3;

impl Participant {
    /// The loudest of its tracks, as it was told, or is to be told.
    pub(super) fn speaker(&self) -> proto::SpeakerInfo {
        let level = f32::from(self.speaking) / f32::from(LOUDNESS_STEPS);
        proto::SpeakerInfo { sid: self.sid.clone(), level, active: self.speaking > 0 }
    }

    fn loudest(&self) -> u8 {
        let heard = self.published.iter().filter(|p| p.announced && !p.info.muted);
        heard.map(|p| p.loudness).max().unwrap_or(0)
    }
}

impl Rooms {
    /// Tracks became louder or quieter.
    pub(super) fn loudness(&mut self, tracks: &[(TrackKey, u8)]) {
        let mut owners = Vec::new();
        for (track, step) in tracks {
            let Some(owner) = self.owners.get(track).copied() else { continue };
            let published = self.people.get_mut(&owner).map(|person| &mut person.published);
            if let Some(publication) = published.and_then(|all| all.iter_mut().find(|p| p.key == *track)) {
                publication.loudness = *step;
                owners.push(owner);
            }
        }
        owners.sort_unstable();
        owners.dedup();
        self.tell_speakers(&owners);
    }

    /// Tells their rooms which of these participants speak, as far as that changed.
    pub(super) fn tell_speakers(&mut self, keys: &[ParticipantKey]) {
        let mut changed: BTreeMap<RoomKey, Vec<proto::SpeakerInfo>> = BTreeMap::new();
        for key in keys {
            let Some(person) = self.people.get_mut(key).filter(|person| !person.claims.hidden) else { continue };
            let loudest = person.loudest();
            if std::mem::replace(&mut person.speaking, loudest) != loudest {
                changed.entry(person.room).or_default().push(person.speaker());
            }
        }
        for (room, mut speakers) in changed {
            // The loudest first, as clients expect it.
            speakers.sort_by(|a, b| b.level.total_cmp(&a.level));
            let members = self.rooms.get(&room).map(|room| room.members.clone()).unwrap_or_default();
            for member in members {
                self.send_speakers(member, speakers.clone());
            }
        }
    }

    /// Somebody who spoke has left the members' room.
    pub(super) fn tell_silence(&mut self, gone: &Participant, members: &[ParticipantKey]) {
        if gone.speaking == 0 {
            return;
        }
        let silent = proto::SpeakerInfo { sid: gone.sid.clone(), ..Default::default() };
        for member in members {
            self.send_speakers(*member, vec![silent.clone()]);
        }
    }

    /// Tells a newcomer who speaks.
    pub(super) fn introduce_speakers(&mut self, key: ParticipantKey) {
        let people = self.room_members(key).into_iter().filter_map(|member| self.people.get(&member));
        let speakers: Vec<_> = people.filter(|person| person.speaking > 0).map(Participant::speaker).collect();
        if !speakers.is_empty() {
            self.send_speakers(key, speakers);
        }
    }

    fn send_speakers(&mut self, key: ParticipantKey, speakers: Vec<proto::SpeakerInfo>) {
        if self.people.get(&key).is_some_and(|person| person.protocol >= OLDEST) {
            self.send(key, Response::SpeakersChanged(proto::SpeakersChanged { speakers }));
        }
    }
}
