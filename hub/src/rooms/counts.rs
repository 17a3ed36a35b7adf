//! How many are in a room, and how many of them publish. Its members are told when that changes, as by LiveKit's servers.

use std::time::{Duration, Instant};

use livekit_protocol as proto;
use proto::participant_info::Kind;
use proto::signal_response::Message as Response;

use super::participant::{Participant, kind};
use super::{Room, Rooms};
use crate::sfu::RoomKey;

/// A room's members are told no oftener: in a large one somebody comes or goes all the time.
const INTERVAL: Duration = Duration::from_secs(5);

/// How many there are of whom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Users. Hidden ones count: their number is no secret on LiveKit's servers, who they are is.
    pub participants: u32,
    /// Those who publish.
    pub publishers: u32,
}

/// What a room's members know of its counts.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What all of them were told last; `None`, when somebody alone was told something else.
    counts: Option<Counts>,
    /// When they were told because these changed.
    at: Option<Instant>,
}

impl Told {
    fn is_due(&self, counts: Counts, now: Instant) -> bool {
        self.counts != Some(counts) && self.at.is_none_or(|at| now >= at + INTERVAL)
    }
}

impl Participant {
    /// An agent or a recorder: it is there because of the others.
    fn is_dependent(&self) -> bool {
        matches!(kind(&self.claims.participant_kind), Kind::Agent | Kind::Egress)
    }
}

impl Rooms {
    /// How many are in a room.
    pub(super) fn counts(&self, room: &Room) -> Counts {
        let mut counts = Counts::default();
        for person in room.members.iter().filter_map(|member| self.people.get(member)) {
            counts.participants += u32::from(!person.is_dependent());
            counts.publishers += u32::from(person.is_publisher());
        }
        counts
    }

    /// A room as somebody is told about it who comes, or comes back.
    pub(super) fn room_for_one(&mut self, key: RoomKey) -> proto::Room {
        let counts = self.rooms.get(&key).map(|room| self.counts(room));
        if let Some(room) = self.rooms.get_mut(&key).filter(|room| room.told.counts != counts) {
            room.told.counts = None;
        }
        self.room_info(key)
    }

    /// Tells everybody in a room about it.
    pub(super) fn tell_room(&mut self, key: RoomKey) {
        let (info, counts) = (self.room_info(key), self.rooms.get(&key).map(|room| self.counts(room)));
        let Some(room) = self.rooms.get_mut(&key) else { return };
        room.told.counts = counts;
        for member in room.members.clone() {
            self.send(member, Response::RoomUpdate(proto::RoomUpdate { room: Some(info.clone()) }));
        }
    }

    /// Tells rooms of which somebody came, went, began or ceased to publish. To be called about every second.
    pub(super) fn tell_counts(&mut self, now: Instant) {
        let occupied = self.rooms.iter().filter(|(_, room)| !room.members.is_empty());
        let due = occupied.filter(|(_, room)| room.told.is_due(self.counts(room), now)).map(|(key, _)| *key);
        for key in due.collect::<Vec<_>>() {
            if let Some(room) = self.rooms.get_mut(&key) {
                room.told.at = Some(now);
            }
            self.tell_room(key);
        }
    }
}
