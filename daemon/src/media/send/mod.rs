//! From a capture to the network.

mod audio;
mod config;
mod passthrough;
mod rate;
mod video;

use std::sync::Arc;

pub use audio::AudioSend;
pub use config::{AudioConfig, AudioSendStatistics, VideoConfig, VideoSendStatistics};
pub use video::VideoSend;

use crate::clock::Monotonic;
use crate::rtc;

/// Where packets go: the peer connection, or another pipeline in tests.
pub(in crate::media) trait RtpOut: Send + Sync {
    /// Whether packets are taken.
    fn ready(&self) -> bool;
    /// Hands over a packet.
    fn send(&self, packet: rtc::OutgoingRtp) -> rtc::SendOutcome;
    /// Sets who is told about feedback.
    fn on_feedback(&self, handler: rtc::FeedbackHandler);
    /// Counters.
    fn statistics(&self) -> rtc::SenderStatistics;
}

impl RtpOut for rtc::MediaSender {
    fn ready(&self) -> bool {
        Self::ready(self)
    }

    fn send(&self, packet: rtc::OutgoingRtp) -> rtc::SendOutcome {
        Self::send(self, packet)
    }

    fn on_feedback(&self, handler: rtc::FeedbackHandler) {
        Self::on_feedback(self, handler);
    }

    fn statistics(&self) -> rtc::SenderStatistics {
        Self::statistics(self)
    }
}

/// The network of a pipeline that only records: it takes nothing.
struct NoNetwork;

impl RtpOut for NoNetwork {
    fn ready(&self) -> bool {
        false
    }

    fn send(&self, _packet: rtc::OutgoingRtp) -> rtc::SendOutcome {
        rtc::SendOutcome::NotReady
    }

    fn on_feedback(&self, _handler: rtc::FeedbackHandler) {}

    fn statistics(&self) -> rtc::SenderStatistics {
        rtc::SenderStatistics::default()
    }
}

/// Forgets the pipeline that listened to a sender's feedback.
fn deafen(out: &dyn RtpOut) {
    out.on_feedback(Arc::new(|_| {}));
}

/// A timestamp clock that starts somewhere, as RFC 3550 section 5.1 wants it.
#[derive(Clone, Copy, Debug)]
struct RtpClock {
    rate: u32,
    offset: u32,
}

impl RtpClock {
    fn new(rate: u32) -> Self {
        use std::hash::{BuildHasher, Hasher};
        // The standard library's source of chance: every hasher state is seeded from the system.
        let offset = std::collections::hash_map::RandomState::new().build_hasher().finish() as u32;
        Self { rate, offset }
    }

    fn at(self, time: Monotonic) -> u32 {
        let ticks = u128::from(time.as_nanos()) * u128::from(self.rate) / 1_000_000_000;
        (ticks as u32).wrapping_add(self.offset)
    }
}
