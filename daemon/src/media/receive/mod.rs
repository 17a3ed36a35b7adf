//! From the network to a view or a speaker.

mod audio;
mod end_to_end;
#[cfg(test)]
mod loopback_tests;
mod pauses;
mod statistics;
mod video;

use std::sync::Arc;

pub use audio::AudioPlay;
pub use statistics::{AudioPlayStatistics, VideoPlayStatistics};
pub use video::VideoPlay;

use crate::rtc;

/// Where packets come from: the peer connection, or another pipeline in tests.
pub(super) trait RtpIn: Send + Sync {
    /// Gives the packets to `sink`.
    fn attach(&self, sink: Arc<dyn rtc::RtpSink>);
    /// Gives them to nobody.
    fn detach(&self);
    /// Asks for a key frame.
    fn request_key_frame(&self);
    /// Counters.
    fn statistics(&self) -> rtc::ReceiverStatistics;
}

impl RtpIn for rtc::MediaReceiver {
    fn attach(&self, sink: Arc<dyn rtc::RtpSink>) {
        Self::attach(self, sink);
    }

    fn detach(&self) {
        Self::detach(self);
    }

    fn request_key_frame(&self) {
        Self::request_key_frame(self);
    }

    fn statistics(&self) -> rtc::ReceiverStatistics {
        Self::statistics(self)
    }
}
