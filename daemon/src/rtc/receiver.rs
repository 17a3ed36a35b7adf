//! The way in for one track: from the peer connection to a jitter buffer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::packet::{IncomingRtp, MediaKind, RtpSink};
use super::runtime::Wake;
use super::statistics::ReceiverStatistics;

/// The shared part of a receiver: the driver gives packets, whoever plays attaches a sink.
pub(super) struct Inlet {
    pub(super) kind: MediaKind,
    sink: Mutex<Option<Arc<dyn RtpSink>>>,
    key_frame_wanted: AtomicBool,
    statistics: Mutex<ReceiverStatistics>,
    wake: Wake,
}

impl Inlet {
    pub(super) fn new(kind: MediaKind, wake: Wake) -> Self {
        Self {
            kind,
            sink: Mutex::default(),
            key_frame_wanted: AtomicBool::new(false),
            statistics: Mutex::default(),
            wake,
        }
    }

    /// Gives a packet to the sink; without any lock held, so that the sink may call back.
    pub(super) fn deliver(&self, packet: IncomingRtp) {
        let sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sink) = sink {
            sink.receive(packet);
        }
    }

    /// Whether a key frame was asked for since the last call.
    pub(super) fn take_key_frame_request(&self) -> bool {
        self.key_frame_wanted.swap(false, Ordering::AcqRel)
    }

    /// Asks again: the request could not be sent yet.
    pub(super) fn keep_key_frame_request(&self) {
        self.key_frame_wanted.store(true, Ordering::Release);
    }

    /// Changes the counters.
    pub(super) fn count(&self, change: impl FnOnce(&mut ReceiverStatistics)) {
        change(&mut self.statistics.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn statistics(&self) -> ReceiverStatistics {
        *self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Receives one track. Cheap to clone; usable from plain threads; never blocks.
#[derive(Clone)]
pub struct MediaReceiver {
    inlet: Arc<Inlet>,
}

impl MediaReceiver {
    pub(super) fn new(inlet: Arc<Inlet>) -> Self {
        Self { inlet }
    }

    /// Sound or picture.
    #[must_use]
    pub fn kind(&self) -> MediaKind {
        self.inlet.kind
    }

    /// Gives the packets from now on to `sink`, instead of the one before. Packets that came before the first sink are lost.
    pub fn attach(&self, sink: Arc<dyn RtpSink>) {
        *self.inlet.sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
    }

    /// Stops giving packets to anybody. A call of the old sink that is running on the driver's thread may still finish.
    pub fn detach(&self) {
        *self.inlet.sink.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Asks the other side for a key frame (PLI, RFC 4585 §6.3.1). Limiting the rate is the caller's.
    pub fn request_key_frame(&self) {
        self.inlet.keep_key_frame_request();
        self.inlet.wake.wake();
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> ReceiverStatistics {
        self.inlet.statistics()
    }
}
