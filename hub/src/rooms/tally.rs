//! What is counted of the rooms, for those who watch the hub.

use std::time::Duration;

use super::Rooms;
use crate::sfu::TrackKind;

/// Upper bounds of the classes of join durations, in milliseconds.
pub const JOIN_BOUNDS_MS: [u64; 9] = [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000];

/// What has been counted since the hub began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sessions that began.
    pub joined: u64,
    /// Sessions that ended after their media was up.
    pub left: u64,
    /// Sessions that ended before.
    pub aborted: u64,
    /// How many sessions took how long from joining until their media was up: not longer than each bound, and longer than all.
    pub join_classes: [u64; JOIN_BOUNDS_MS.len() + 1],
    /// The sum of these times.
    pub join_time: Duration,
    /// What was too much.
    pub limited: Limited,
}

/// How often each limit was met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limited {
    /// A participant published too many tracks.
    pub tracks: u64,
    /// A text or a list was too long.
    pub texts: u64,
    /// A session description was too large.
    pub descriptions: u64,
    /// A client did not read what it was sent.
    pub slow_readers: u64,
}

impl Tally {
    pub(super) fn connected_after(&mut self, time: Duration) {
        let class = JOIN_BOUNDS_MS.iter().position(|bound| time.as_millis() <= u128::from(*bound));
        self.join_classes[class.unwrap_or(JOIN_BOUNDS_MS.len())] += 1;
        self.join_time += time;
    }
}

/// How many there are at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Rooms.
    pub rooms: usize,
    /// Participants in all of them.
    pub participants: usize,
    /// Published tracks of sound.
    pub audio_tracks: usize,
    /// Published tracks of pictures.
    pub video_tracks: usize,
    /// What was counted before.
    pub tally: Tally,
}

impl Rooms {
    /// Counts.
    pub fn census(&self) -> Census {
        let tracks = |kind| {
            let published = self.people.values().flat_map(|p| p.published.iter());
            published.filter(|p| p.announced && p.kind() == kind).count()
        };
        Census {
            rooms: self.rooms.len(),
            participants: self.people.len(),
            audio_tracks: tracks(TrackKind::Audio),
            video_tracks: tracks(TrackKind::Video),
            tally: self.tally.clone(),
        }
    }
}
