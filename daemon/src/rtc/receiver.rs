//! The way in for one track: from the peer connection to a jitter buffer.

use std::sync::Arc;

use super::packet::{MediaKind, RtpSink};
use super::statistics::ReceiverStatistics;

/// Receives one track. Cheap to clone; usable from plain threads; never blocks.
#[derive(Clone)]
pub struct MediaReceiver {
    _private: (),
}

impl MediaReceiver {
    /// Sound or picture.
    #[must_use]
    pub fn kind(&self) -> MediaKind {
        todo!()
    }

    /// Gives the packets from now on to `sink`, instead of the one before. Packets that came before the first sink are lost.
    pub fn attach(&self, sink: Arc<dyn RtpSink>) {
        drop(sink);
        todo!()
    }

    /// Stops giving packets to anybody; on return no call of the old sink is running, unless it is the caller itself.
    pub fn detach(&self) {
        todo!()
    }

    /// Asks the other side for a key frame (PLI, RFC 4585 §6.3.1). Limiting the rate is the caller's.
    pub fn request_key_frame(&self) {
        todo!()
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> ReceiverStatistics {
        todo!()
    }
}
