//! The zegod engine: cameras, microphones, speakers and views of one Linux device, joined to real-time rooms.
//!
//! The modules are floors; a module uses only floors below its own (`docs/design/floors.md`).

pub mod audio;
pub mod bar;
pub mod bus;
pub mod clock;
pub mod config;
pub mod devices;
pub mod engine;
pub mod media;
pub mod network;
pub mod picture;
pub mod retry;
pub mod rtc;
pub mod service;
pub mod signal;
pub mod views;

#[cfg(test)]
mod noise_tests;

/// What takes bytes from the network, for the targets in `fuzz/` and for noise in the unit tests.
#[cfg(any(test, fuzzing))]
pub mod fuzzing {
    pub use crate::media::jitter::fuzzing::{video_packets, voice_packets};
    pub use crate::rtc::fuzzing::{handshake, header_extension, sdp};
    pub use crate::signal::fuzzing::signalling;
    pub use crate::signal::{data_packets, endpoint_answer};
}
