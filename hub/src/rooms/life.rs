//! How long a room stays when nobody is in it, and what can be set of rooms.

use std::time::{Duration, Instant};

use zego_protocol::token::RoomConfig;

/// A room that is made, and that nobody enters, stays so long unless something else is asked for; LiveKit's servers have the same.
const EMPTY_TIMEOUT: Duration = Duration::from_secs(300);
/// A room that everybody has left stays so long; likewise.
const DEPARTURE_TIMEOUT: Duration = Duration::from_secs(20);

/// What can be set of rooms for the whole hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomSettings {
    /// Whoever joins a room that is not there makes it; otherwise only whoever may create rooms.
    pub auto_create: bool,
    /// An administrator may unmute others' tracks.
    pub remote_unmute: bool,
    /// What rooms are like of which nobody says otherwise.
    pub options: RoomOptions,
}

impl Default for RoomSettings {
    fn default() -> RoomSettings {
        RoomSettings { auto_create: true, remote_unmute: false, options: RoomOptions::default() }
    }
}

/// What a room is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomOptions {
    /// How long it stays when nobody ever comes.
    pub empty_timeout: Duration,
    /// How long it stays when everybody has left.
    pub departure_timeout: Duration,
    /// Most people in it, 0 = no limit.
    pub max_participants: u32,
}

impl Default for RoomOptions {
    fn default() -> RoomOptions {
        RoomOptions { empty_timeout: EMPTY_TIMEOUT, departure_timeout: DEPARTURE_TIMEOUT, max_participants: 0 }
    }
}

impl RoomOptions {
    /// These, with what `wished` sets.
    pub fn with(&self, wished: &RoomConfig) -> RoomOptions {
        let time = |seconds: u32, own| if seconds == 0 { own } else { Duration::from_secs(seconds.into()) };
        RoomOptions {
            empty_timeout: time(wished.empty_timeout, self.empty_timeout),
            departure_timeout: time(wished.departure_timeout, self.departure_timeout),
            max_participants: match wished.max_participants {
                0 => self.max_participants,
                most => most,
            },
        }
    }
}

/// Whether anybody is, or was, in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It was made then, and nobody has come yet.
    New(Instant),
    /// Somebody is there.
    Occupied,
    /// The last one left then.
    Left(Instant),
}

impl Life {
    /// When its time without anybody is over; `None` while somebody is there.
    pub fn ends_at(self, options: &RoomOptions) -> Option<Instant> {
        match self {
            Life::New(since) => since.checked_add(options.empty_timeout),
            Life::Occupied => None,
            Life::Left(since) => since.checked_add(options.departure_timeout),
        }
    }

    /// Whether its time without anybody is over.
    pub fn is_over(self, options: &RoomOptions, now: Instant) -> bool {
        self.ends_at(options).is_some_and(|end| now >= end)
    }
}
