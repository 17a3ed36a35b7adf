//! The room server: rooms, their signalling, and the forwarding unit for their media.

mod announce;
mod apps;
mod certificate;
mod config;
mod core;
mod http;
mod kept;
mod limits;
mod outbox;
mod rooms;
mod sdp;
mod server;
mod service;
mod sfu;
mod turn;
mod webhooks;

pub use server::{Failure, run};

#[cfg(test)]
mod noise_tests;

/// What takes bytes from the network, for the targets in `fuzz/` and for noise in the unit tests.
#[cfg(any(test, fuzzing))]
pub mod fuzzing {
    pub use crate::http::fuzzing::{frame, join_request, twirp_body, whip_fragment, whip_offer};
    pub use crate::rooms::fuzzing::Stage;
    #[cfg(fuzzing)]
    pub use crate::sfu::fuzzing::datagrams;
    pub use crate::sfu::fuzzing::{
        av1_packets, data_packet, data_track_packet, redundant_sound, sdp, stream, vp8_packets, vp9_packets,
    };
}
