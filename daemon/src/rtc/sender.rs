//! The way out for one track: from an encoder's thread to the peer connection.

use std::sync::Arc;
use std::time::Duration;

use super::packet::{MediaKind, NegotiatedCodec, OutgoingRtp, SendOutcome};
use super::statistics::SenderStatistics;

/// What the other side says about a track that we send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SenderFeedback {
    /// Negotiated and DTLS is up: packets are taken from now on. Begin with a key frame.
    Ready,
    /// Somebody cannot decode and asks for a key frame (PLI or FIR, RFC 4585, RFC 5104).
    KeyFrameRequested,
    /// What the network carries, as the other side estimates it (REMB).
    Estimate {
        /// Bits per second for the whole connection.
        bits_per_second: u64,
    },
    /// A receiver report, RFC 3550 §6.4.2.
    ReceiverReport {
        /// Part of the packets lost since the last report, 0 to 1.
        fraction_lost: f32,
        /// Round-trip time, when the report allows to compute it.
        rtt: Option<Duration>,
        /// Interarrival jitter at the other side.
        jitter: Duration,
    },
}

/// Called with feedback on the peer's driver thread: put it away and return, never block.
pub type FeedbackHandler = Arc<dyn Fn(SenderFeedback) + Send + Sync>;

/// Sends one track. Cheap to clone; usable from plain threads; never blocks.
#[derive(Clone)]
pub struct MediaSender {
    _private: (),
}

impl MediaSender {
    /// Sound or picture.
    #[must_use]
    pub fn kind(&self) -> MediaKind {
        todo!()
    }

    /// What offer and answer settled, `None` until they did.
    #[must_use]
    pub fn codec(&self) -> Option<NegotiatedCodec> {
        todo!()
    }

    /// Whether packets are taken: negotiated, and DTLS is up.
    #[must_use]
    pub fn ready(&self) -> bool {
        todo!()
    }

    /// Hands over one packet.
    pub fn send(&self, packet: OutgoingRtp) -> SendOutcome {
        drop(packet);
        todo!()
    }

    /// Sets who is told about feedback, instead of the one before. When the sender is ready already, `Ready` is told at once.
    pub fn on_feedback(&self, handler: FeedbackHandler) {
        drop(handler);
        todo!()
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> SenderStatistics {
        todo!()
    }
}
