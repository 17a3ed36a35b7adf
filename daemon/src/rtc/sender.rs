//! The way out for one track: from an encoder's thread to the peer connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::packet::{MediaKind, NegotiatedCodec, OutgoingRtp, SendOutcome};
use super::runtime::Wake;
use super::statistics::SenderStatistics;

/// Packets that may wait for the driver: more than the largest key frame has.
const QUEUE_LIMIT: usize = 512;
/// Packets of an unfinished picture after which the driver is woken early.
const WAKE_EVERY: usize = 16;

/// What the other side says about a track that we send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SenderFeedback {
    /// Negotiated and DTLS is up: packets are taken from now on. Begin with a key frame.
    Ready,
    /// Somebody cannot decode and asks for a key frame (PLI or FIR, RFC 4585, RFC 5104).
    KeyFrameRequested,
    /// What the network carries, as the other side estimates it (REMB) or a line of TCP shows.
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

/// What offer and answer settled, with what only `rtc` needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Negotiated {
    pub(super) codec: NegotiatedCodec,
    /// Payload type of retransmissions; without one, lost packets are sent again as they were.
    pub(super) rtx: Option<u8>,
    pub(super) mid: String,
    pub(super) mid_extension: Option<u8>,
    pub(super) level_extension: Option<u8>,
    pub(super) capture_time_extension: Option<u8>,
}

/// The shared part of a sender: the encoder's thread puts packets in, the driver takes them out.
pub(super) struct Outlet {
    pub(super) kind: MediaKind,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: u32,
    pub(super) track_id: String,
    queue: Mutex<VecDeque<OutgoingRtp>>,
    negotiated: Mutex<Option<Negotiated>>,
    stereo: AtomicBool,
    open: AtomicBool,
    closed: AtomicBool,
    handler: Mutex<Option<FeedbackHandler>>,
    statistics: Mutex<SenderStatistics>,
    wake: Wake,
}

/// A poisoned lock guards plain data that is valid after every single assignment.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outlet {
    pub(super) fn new(kind: MediaKind, track_id: &str, ssrc: u32, rtx_ssrc: u32, wake: Wake) -> Self {
        Self {
            kind,
            ssrc,
            rtx_ssrc,
            track_id: track_id.to_owned(),
            queue: Mutex::default(),
            negotiated: Mutex::default(),
            stereo: AtomicBool::new(false),
            open: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            handler: Mutex::default(),
            statistics: Mutex::default(),
            wake,
        }
    }

    /// Whether offers say that the track has two channels.
    pub(super) fn is_stereo(&self) -> bool {
        self.stereo.load(Ordering::Relaxed)
    }

    /// Sets what was negotiated (`None`: the section is not sending) and whether the transport is up.
    pub(super) fn update(&self, negotiated: Option<Negotiated>, connected: bool) {
        let open = connected && negotiated.is_some();
        *locked(&self.negotiated) = negotiated;
        self.set_open(open);
    }

    /// Sets whether the transport is up.
    pub(super) fn connected(&self, connected: bool) {
        let open = connected && locked(&self.negotiated).is_some();
        self.set_open(open);
    }

    fn set_open(&self, open: bool) {
        let open = open && !self.closed.load(Ordering::Acquire);
        if self.open.swap(open, Ordering::AcqRel) != open && open {
            self.tell(SenderFeedback::Ready);
        }
        if !open {
            locked(&self.queue).clear();
        }
    }

    /// The track is gone for good.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.set_open(false);
        *locked(&self.handler) = None;
    }

    pub(super) fn negotiated(&self) -> Option<Negotiated> {
        locked(&self.negotiated).clone()
    }

    /// The next packet to be sent.
    pub(super) fn take(&self) -> Option<OutgoingRtp> {
        locked(&self.queue).pop_front()
    }

    /// Whether packets wait.
    pub(super) fn has_packets(&self) -> bool {
        !locked(&self.queue).is_empty()
    }

    /// Passes feedback on; without any lock held, so that the handler may call back.
    pub(super) fn tell(&self, feedback: SenderFeedback) {
        let handler = locked(&self.handler).clone();
        if let Some(handler) = handler {
            handler(feedback);
        }
    }

    /// Changes the counters.
    pub(super) fn count(&self, change: impl FnOnce(&mut SenderStatistics)) {
        change(&mut locked(&self.statistics));
    }

    pub(super) fn statistics(&self) -> SenderStatistics {
        *locked(&self.statistics)
    }
}

/// Sends one track. Cheap to clone; usable from plain threads; never blocks.
#[derive(Clone)]
pub struct MediaSender {
    outlet: Arc<Outlet>,
}

impl MediaSender {
    pub(super) fn new(outlet: Arc<Outlet>) -> Self {
        Self { outlet }
    }

    /// Sound or picture.
    #[must_use]
    pub fn kind(&self) -> MediaKind {
        self.outlet.kind
    }

    /// What offer and answer settled, `None` until they did.
    #[must_use]
    pub fn codec(&self) -> Option<NegotiatedCodec> {
        self.outlet.negotiated().map(|negotiated| negotiated.codec)
    }

    /// Whether packets are taken: negotiated, and DTLS is up.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.outlet.open.load(Ordering::Acquire)
    }

    /// Hands over one packet. Video is put on the wire when the packet with the marker, the last of a picture, is there.
    pub fn send(&self, packet: OutgoingRtp) -> SendOutcome {
        let outlet = &self.outlet;
        if outlet.closed.load(Ordering::Acquire) {
            return SendOutcome::Closed;
        }
        if !self.ready() {
            return SendOutcome::NotReady;
        }
        let complete = packet.marker || outlet.kind == MediaKind::Audio;
        let waiting = {
            let mut queue = locked(&outlet.queue);
            if queue.len() >= QUEUE_LIMIT {
                drop(queue);
                outlet.count(|statistics| statistics.overflows += 1);
                return SendOutcome::Overflow;
            }
            queue.push_back(packet);
            queue.len()
        };
        // One wake-up for a picture, not one for each packet.
        if complete || waiting.is_multiple_of(WAKE_EVERY) {
            outlet.wake.wake();
        }
        SendOutcome::Queued
    }

    /// Has the next offer say that the track has two channels.
    pub fn send_stereo(&self) {
        self.outlet.stereo.store(true, Ordering::Relaxed);
    }

    /// Sets who is told about feedback, instead of the one before. When the sender is ready already, `Ready` is told at once.
    pub fn on_feedback(&self, handler: FeedbackHandler) {
        *locked(&self.outlet.handler) = Some(Arc::clone(&handler));
        if self.ready() {
            handler(SenderFeedback::Ready);
        }
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> SenderStatistics {
        self.outlet.statistics()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::rtc::Mime;
    use bytes::Bytes;

    fn negotiated() -> Negotiated {
        let codec =
            NegotiatedCodec { payload_type: 96, mime: Mime::H264, fmtp: String::new(), clock_rate: 90_000, ssrc: 1 };
        Negotiated {
            codec,
            rtx: Some(97),
            mid: "0".to_owned(),
            mid_extension: None,
            level_extension: None,
            capture_time_extension: None,
        }
    }

    fn packet(marker: bool) -> OutgoingRtp {
        OutgoingRtp {
            marker,
            timestamp: 0,
            captured_at: Monotonic::default(),
            audio_level: None,
            payload: Bytes::from_static(b"x"),
        }
    }

    #[test]
    fn packets_are_taken_only_while_negotiated_and_connected() {
        let outlet = Arc::new(Outlet::new(MediaKind::Video, "t", 1, 2, Wake::default()));
        let sender = MediaSender::new(Arc::clone(&outlet));
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        sender.on_feedback(Arc::new(move |feedback| log.lock().unwrap().push(feedback)));

        assert_eq!(sender.send(packet(true)), SendOutcome::NotReady);
        outlet.update(Some(negotiated()), false);
        assert_eq!(sender.send(packet(true)), SendOutcome::NotReady, "media before DTLS is not sent");
        outlet.connected(true);
        outlet.connected(true);
        assert_eq!(*told.lock().unwrap(), [SenderFeedback::Ready], "told once");
        assert_eq!(sender.send(packet(true)), SendOutcome::Queued);
        outlet.update(None, true);
        assert!(!outlet.has_packets(), "what waited for a section that is gone is dropped");
        assert_eq!(sender.send(packet(true)), SendOutcome::NotReady);
        outlet.close();
        outlet.update(Some(negotiated()), true);
        assert_eq!(sender.send(packet(true)), SendOutcome::Closed);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let outlet = Arc::new(Outlet::new(MediaKind::Video, "t", 1, 2, Wake::default()));
        let sender = MediaSender::new(Arc::clone(&outlet));
        outlet.update(Some(negotiated()), true);
        for _ in 0..QUEUE_LIMIT {
            assert_eq!(sender.send(packet(false)), SendOutcome::Queued);
        }
        assert_eq!(sender.send(packet(true)), SendOutcome::Overflow);
        assert_eq!(sender.statistics().overflows, 1);
        let mut told = false;
        sender.on_feedback(Arc::new(|_| {}));
        while outlet.take().is_some() {
            told = true;
        }
        assert!(told);
        assert_eq!(sender.send(packet(true)), SendOutcome::Queued);
    }
}
