//! How much one client, or everybody behind one address, may ask for, so that nobody's greed or fault costs the others.
//!
//! The numbers are far above what clients need: a room of twelve pictures, or two hundred devices behind one address that all come
//! back at once, meet none of them.

mod address;
mod bucket;
mod places;

pub use address::{block, origin};
pub use bucket::{Bucket, Buckets, Rate};
pub use places::{Place, Places};

/// Connections that one address may have open.
const CONNECTIONS_PER_ADDRESS: u32 = 1_000;
/// Requests of one address in a second.
const REQUESTS_PER_ADDRESS: u32 = 100;
/// Attempts of one user to come into one room in a second.
const JOINS_PER_USER: u32 = 5;
/// Signalling messages of one client in a second.
const MESSAGES_PER_CLIENT: u32 = 50;
/// KiB of data packets of one participant in a second.
const DATA_KIB_PER_PARTICIPANT: u32 = 4_096;
/// Tracks that one participant may publish.
const TRACKS_PER_PARTICIPANT: u32 = 32;

/// What can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one address at once.
    pub connections_per_address: u32,
    /// HTTP requests of one address per second, those that become WebSockets too.
    pub requests_per_address: u32,
    /// Joins of one user in one room per second.
    pub joins_per_user: u32,
    /// Signalling messages of one client per second.
    pub messages_per_client: u32,
    /// Data packets of one participant, KiB per second; each counts as at least one.
    pub data_kib_per_participant: u32,
    /// Tracks of one participant.
    pub tracks_per_participant: u32,
    /// Participants of one AppID in all of its rooms, 0 = no limit.
    pub participants_per_app: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            requests_per_address: REQUESTS_PER_ADDRESS,
            joins_per_user: JOINS_PER_USER,
            messages_per_client: MESSAGES_PER_CLIENT,
            data_kib_per_participant: DATA_KIB_PER_PARTICIPANT,
            tracks_per_participant: TRACKS_PER_PARTICIPANT,
            participants_per_app: 0,
        }
    }
}

impl Limits {
    /// A network whose link comes back brings everybody at once, and each with several requests.
    pub fn requests(&self) -> Rate {
        Rate::new(self.requests_per_address, 10)
    }

    /// A program that logs in and out in turn is seldom faster than that for long.
    pub fn joins(&self) -> Rate {
        Rate::new(self.joins_per_user, 20)
    }

    /// A client that comes into a large room says much about what it shows.
    pub fn messages(&self) -> Rate {
        Rate::new(self.messages_per_client, 10)
    }

    /// A file that is sent comes in gusts.
    pub fn data(&self) -> Rate {
        Rate::new(self.data_kib_per_participant, 4)
    }
}
