//! From a capture to the network.

mod audio;
mod config;
mod passthrough;
mod rate;
mod video;

use std::sync::{Arc, OnceLock};

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
        // One start for all: a sender that takes a track over, with another camera or after EnableCamera, goes on with its
        // timestamps. LiveKit's server drops what jumps back as too old, for ever.
        static START: OnceLock<u32> = OnceLock::new();
        // The standard library's source of chance: every hasher state is seeded from the system.
        let chance = || std::collections::hash_map::RandomState::new().build_hasher().finish() as u32;
        Self { rate, offset: *START.get_or_init(chance) }
    }

    fn at(self, time: Monotonic) -> u32 {
        let ticks = u128::from(time.as_nanos()) * u128::from(self.rate) / 1_000_000_000;
        (ticks as u32).wrapping_add(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_goes_on_with_the_timestamps_of_the_one_before() {
        let (before, after) = (RtpClock::new(90_000), RtpClock::new(90_000));
        let second = |seconds: u64| Monotonic::from_millis(1000 * seconds);
        assert_eq!(after.at(second(6)).wrapping_sub(before.at(second(5))), 90_000);
    }
}
