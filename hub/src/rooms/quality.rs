//! How good connections are: everybody is told of its own, and of those whose tracks it receives, when that changes.

use livekit_protocol as proto;
use proto::ConnectionQuality as Quality;
use proto::signal_response::Message as Response;

use super::Rooms;
use super::participant::Participant;
use super::subscribe::SectionState;
use crate::sfu::{Level, ParticipantKey, Rating};

/// Clients of older protocols are not told.
const OLDEST: i32 = 5;
/// Clients of older protocols do not know a lost connection.
const KNOWS_LOST: i32 = 11;

impl Participant {
    fn rated_for(&self, protocol: i32) -> Option<proto::ConnectionQualityInfo> {
        let rating = self.rating?;
        let quality = match rating.level {
            Level::Excellent => Quality::Excellent,
            Level::Good => Quality::Good,
            Level::Lost if protocol >= KNOWS_LOST => Quality::Lost,
            Level::Poor | Level::Lost => Quality::Poor,
        };
        let participant_sid = self.sid.clone();
        Some(proto::ConnectionQualityInfo { participant_sid, quality: quality as i32, score: rating.mos })
    }
}

impl Rooms {
    /// A participant's connection was rated first, or anew.
    pub(super) fn rated(&mut self, key: ParticipantKey, rating: Rating) {
        let Some(person) = self.people.get_mut(&key) else { return };
        let is_new = person.rating.replace(rating).is_none();
        let mut about = vec![key];
        if is_new {
            about.extend(self.received_from(key));
        }
        self.tell_quality(key, &about);
        for member in self.room_members(key).into_iter().filter(|member| *member != key) {
            if self.received_from(member).contains(&key) {
                self.tell_quality(member, &[key]);
            }
        }
    }

    /// Whose tracks somebody receives.
    fn received_from(&self, key: ParticipantKey) -> Vec<ParticipantKey> {
        let Some(person) = self.people.get(&key) else { return Vec::new() };
        let owner = |state| match state {
            SectionState::Delivering(track) => self.owners.get(&track).copied(),
            SectionState::Free => None,
        };
        let mut owners: Vec<ParticipantKey> = person.sections.iter().filter_map(|s| owner(s.state)).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    fn tell_quality(&mut self, key: ParticipantKey, about: &[ParticipantKey]) {
        let Some(protocol) = self.people.get(&key).map(|p| p.protocol).filter(|protocol| *protocol >= OLDEST) else {
            return;
        };
        let people = about.iter().filter_map(|other| self.people.get(other));
        let updates = people.filter_map(|person| person.rated_for(protocol)).collect();
        self.send(key, Response::ConnectionQuality(proto::ConnectionQualityUpdate { updates }));
    }
}
