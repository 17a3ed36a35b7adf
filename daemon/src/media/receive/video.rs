//! Video packets to pictures in a view.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::end_to_end::EndToEnd;
use super::pauses::Pauses;
use super::{RtpIn, VideoPlayStatistics};
use crate::clock::Monotonic;
use crate::media::codec::{CodecError, H264Decoder, Vp8Decoder};
use crate::media::jitter::video::{Frame, Next, VideoBuffer, VideoCodec, VideoPacket};
use crate::media::record::{RecordSink, RemoteVideoTap, SenderClock};
use crate::media::snapshot::SnapshotRequest;
use crate::media::sync::LipSync;
use crate::media::{FirstFrame, MediaEvent, MediaEvents, join, spawn};
use crate::picture::Picture;
use crate::rtc::{self, IncomingRtp, Mime, RtpSink};
use crate::views::View;

/// Longer than this without a picture is a break.
const BREAK: Duration = Duration::from_millis(500);
/// How often the connection's statistics are read.
const REFRESH: Duration = Duration::from_millis(500);
/// Assumed round trip while none was measured.
const USUAL_RTT: Duration = Duration::from_millis(100);
/// Least time between two pictures while a backlog is worked off: a view's reader gets to see each of them.
const CATCH_UP: Duration = Duration::from_millis(4);
/// Smaller pictures are not shown. No camera makes them: LiveKit's server ends a stream with a black one of 2x2 (H.264) or 8x8 (VP8),
/// which would make a view of the source's size that small.
const LEAST_SIDE: usize = 16;
/// Key frames that are asked for while nothing at all arrives, with doubling pauses from [`FIRST_REMINDER`] on.
const REMINDERS: u32 = 4;
const FIRST_REMINDER: Duration = Duration::from_millis(400);

/// Plays a video until it is dropped.
pub struct VideoPlay {
    shared: Arc<Shared>,
    sync: LipSync,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    source: Box<dyn RtpIn>,
    events: MediaEvents,
    state: Mutex<State>,
    wake: Condvar,
    view: Mutex<Option<Arc<dyn View>>>,
    counters: Counters,
    /// Where the encoded pictures go, too.
    tap: Mutex<Option<Arc<RemoteVideoTap>>>,
    /// Who waits for the next picture.
    snapshots: Mutex<Vec<SnapshotRequest>>,
}

struct State {
    buffer: VideoBuffer,
    packets: u64,
    pauses: Pauses,
    end_to_end: EndToEnd,
    quit: bool,
}

#[derive(Default)]
struct Counters {
    arrived: AtomicU64,
    decoded: AtomicU64,
    shown: AtomicU64,
    decode_nanos: AtomicU64,
    buffer_micros: AtomicU64,
    width: AtomicU32,
    height: AtomicU32,
    /// 0 = none yet, 1 = H.264, 2 = VP8.
    codec: AtomicU32,
}

impl VideoPlay {
    /// Starts the decoder's thread. Without a view the pictures are decoded and counted.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn start(
        receiver: rtc::MediaReceiver,
        view: Option<Arc<dyn View>>,
        sync: &LipSync,
        events: MediaEvents,
    ) -> Result<Self, CodecError> {
        Self::start_from(Box::new(receiver), view, sync, events)
    }

    pub(super) fn start_from(
        source: Box<dyn RtpIn>,
        view: Option<Arc<dyn View>>,
        sync: &LipSync,
        events: MediaEvents,
    ) -> Result<Self, CodecError> {
        let state = State {
            buffer: VideoBuffer::new(),
            packets: 0,
            pauses: Pauses::new(BREAK),
            end_to_end: EndToEnd::new(Mime::H264.clock_rate()),
            quit: false,
        };
        let shared = Arc::new(Shared {
            source,
            events,
            state: Mutex::new(state),
            wake: Condvar::new(),
            view: Mutex::new(view),
            counters: Counters::default(),
            tap: Mutex::default(),
            snapshots: Mutex::default(),
        });
        let thread = spawn("video decoder", {
            let (shared, sync) = (Arc::clone(&shared), sync.clone());
            move || Player::new(&shared, sync).run()
        });
        shared.source.attach(Arc::clone(&shared) as Arc<dyn RtpSink>);
        Ok(Self { shared, sync: sync.clone(), thread: Some(thread) })
    }

    /// Shows the pictures in another view from now on, or in none. The old view is not cleared.
    pub fn set_view(&self, view: Option<Arc<dyn View>>) {
        *self.shared.view() = view;
    }

    /// The sender is muted, or not any more: it sends nothing, which is no break.
    pub fn rest(&self, resting: bool) {
        let ended = self.shared.state().pauses.rest(resting, Monotonic::now());
        if ended {
            (self.shared.events)(MediaEvent::VideoBreak(false));
        }
    }

    /// Gives what is received to a recording, too, from a key frame on; or to none.
    pub fn record(&self, target: Option<(&RecordSink, &SenderClock)>) {
        let mut tap = self.shared.tap.lock().unwrap_or_else(PoisonError::into_inner);
        match target {
            Some((sink, _)) if tap.as_ref().is_some_and(|tap| tap.sink().is(sink)) => return,
            target => *tap = target.map(|(sink, clock)| Arc::new(RemoteVideoTap::new(sink.clone(), clock.clone()))),
        }
        drop(tap);
        if target.is_some() {
            self.shared.source.request_key_frame();
        }
    }

    /// Gives a copy of the next picture to who asks.
    pub fn take_snapshot(&self, request: SnapshotRequest) {
        self.shared.snapshots.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> VideoPlayStatistics {
        let counters = &self.shared.counters;
        let now = Monotonic::now();
        let ((breaks, break_time), playing, buffer, end_to_end) = {
            let state = self.shared.state();
            (state.pauses.counts(now), state.pauses.playing(now), state.buffer.counters(), state.end_to_end.delay(now))
        };
        let (codec, decoder) = match counters.codec.load(Ordering::Relaxed) {
            1 => (Some(Mime::H264), "openh264"),
            2 => (Some(Mime::Vp8), "libvpx"),
            _ => (None, ""),
        };
        VideoPlayStatistics {
            codec,
            decoder,
            arrived: counters.arrived.load(Ordering::Relaxed),
            received: buffer.released,
            decoded: counters.decoded.load(Ordering::Relaxed),
            shown: counters.shown.load(Ordering::Relaxed),
            withheld: buffer.withheld,
            key_frame_requests: buffer.requests,
            breaks,
            break_time,
            playing,
            decode_time: Duration::from_nanos(counters.decode_nanos.load(Ordering::Relaxed)),
            buffer_delay: Duration::from_micros(counters.buffer_micros.load(Ordering::Relaxed)),
            width: counters.width.load(Ordering::Relaxed),
            height: counters.height.load(Ordering::Relaxed),
            av_offset_ms: self.sync.offset_ms(),
            end_to_end,
            rtp: self.shared.source.statistics(),
        }
    }
}

impl Drop for VideoPlay {
    fn drop(&mut self) {
        self.shared.source.detach();
        self.shared.state().quit = true;
        self.shared.wake.notify_all();
        join(self.thread.take());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> MutexGuard<'_, Option<Arc<dyn View>>> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RtpSink for Shared {
    fn receive(&self, packet: IncomingRtp) {
        let codec = match packet.mime {
            Mime::H264 => VideoCodec::H264,
            Mime::Vp8 => VideoCodec::Vp8,
            Mime::Opus => return,
        };
        let IncomingRtp { arrived, sequence, timestamp, marker, payload, captured_at, .. } = packet;
        if marker && !payload.is_empty() {
            self.counters.arrived.fetch_add(1, Ordering::Relaxed);
        }
        let (first, news) = {
            let mut state = self.state();
            state.packets += 1;
            if let Some(captured_at) = captured_at {
                state.end_to_end.captured(timestamp, captured_at);
            }
            let news = state.buffer.insert(VideoPacket { arrived, sequence, timestamp, marker, codec, payload });
            (state.packets == 1, news)
        };
        if first {
            (self.events)(MediaEvent::FirstFrame(FirstFrame::VideoReceived));
        }
        if news {
            self.wake.notify_one();
        }
    }
}

enum Decoder {
    H264(H264Decoder),
    Vp8(Vp8Decoder),
}

/// What the decoder's thread owns.
struct Player<'a> {
    shared: &'a Shared,
    sync: LipSync,
    decoder: Option<(VideoCodec, Decoder)>,
    /// The frame that is being decoded.
    unit: Vec<u8>,
    rtt: Duration,
    report: Option<rtc::SenderReport>,
    refreshed: Option<Monotonic>,
    last_shown: Option<Monotonic>,
    reminders: u32,
    remind: Monotonic,
}

impl<'a> Player<'a> {
    fn new(shared: &'a Shared, sync: LipSync) -> Self {
        Self {
            shared,
            sync,
            decoder: None,
            unit: Vec::with_capacity(32 << 10),
            rtt: USUAL_RTT,
            report: None,
            refreshed: None,
            last_shown: None,
            reminders: 0,
            remind: Monotonic::now() + FIRST_REMINDER,
        }
    }

    fn run(mut self) {
        while let Some(frame) = self.next_frame() {
            if !self.wait_until_due(&frame) {
                return;
            }
            self.play(&frame);
            self.refresh();
        }
    }

    /// Waits for a frame that may be decoded; its data is in `unit`. `None` = the end.
    fn next_frame(&mut self) -> Option<Frame> {
        let mut state = self.shared.state();
        loop {
            if state.quit {
                return None;
            }
            let now = Monotonic::now();
            if state.pauses.check(now) {
                drop(state);
                (self.shared.events)(MediaEvent::VideoBreak(true));
                state = self.shared.state();
                continue;
            }
            let next = state.buffer.next(now, self.rtt, &mut self.unit);
            let mut until = match next {
                Next::Frame(frame) => return Some(frame),
                Next::RequestKeyFrame => {
                    drop(state);
                    self.shared.source.request_key_frame();
                    self.refresh();
                    state = self.shared.state();
                    continue;
                }
                Next::Wait(until) => until,
            };
            if state.packets == 0 && self.reminders < REMINDERS {
                if now >= self.remind {
                    self.reminders += 1;
                    self.remind = now + FIRST_REMINDER * 2_u32.pow(self.reminders);
                    drop(state);
                    self.shared.source.request_key_frame();
                    state = self.shared.state();
                    continue;
                }
                until = Some(self.remind);
            }
            let until = until.into_iter().chain(state.pauses.deadline()).min();
            state = self.wait(state, now, until);
        }
    }

    /// Holds the frame back for the sound, and a backlog for the eye. `false` = the end.
    fn wait_until_due(&mut self, frame: &Frame) -> bool {
        let hold = self.sync.hold_picture();
        let mut due = frame.completed + hold;
        if let Some(last) = self.last_shown {
            due = due.max(last + CATCH_UP);
        }
        let mut now = Monotonic::now();
        if now >= due {
            return true;
        }
        let mut state = self.shared.state();
        while now < due {
            if state.quit {
                return false;
            }
            state = self.wait(state, now, Some(due));
            now = Monotonic::now();
        }
        true
    }

    fn wait<'g>(
        &self,
        state: MutexGuard<'g, State>,
        now: Monotonic,
        until: Option<Monotonic>,
    ) -> MutexGuard<'g, State> {
        match until {
            Some(until) => {
                let time = until.since(now).max(Duration::from_micros(100));
                self.shared.wake.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn play(&mut self, frame: &Frame) {
        let counters = &self.shared.counters;
        let start = Monotonic::now();
        // The mean of about the last sixteen.
        let micros = start.since(frame.first_arrived).as_micros() as u64;
        let mean = counters.buffer_micros.load(Ordering::Relaxed);
        let mean = if mean == 0 { micros } else { (mean * 15 + micros) / 16 };
        counters.buffer_micros.store(mean, Ordering::Relaxed);

        self.record(frame);
        let view = self.shared.view().clone();
        let (mut shown_at, mut size) = (None, (0, 0));
        let show = |picture: &Picture<'_>| {
            let decoded = Monotonic::now();
            counters.decode_nanos.fetch_add(decoded.since(start).as_nanos() as u64, Ordering::Relaxed);
            if picture.width.min(picture.height) < LEAST_SIDE {
                return;
            }
            shown_at = Some(decoded);
            size = (picture.width as u32, picture.height as u32);
            if let Some(view) = &view {
                view.show(picture, None);
            }
            for request in self.shared.snapshots.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                request.answer(picture);
            }
        };
        let result = decode(&mut self.decoder, frame.codec, &self.unit, show);
        if let Err(error) = result {
            log::debug!("a frame was not decoded: {error}");
            // Some decoders go on with what they have; a new one cannot show anything but a key frame.
            self.decoder = None;
            self.shared.state().buffer.decoder_failed();
            return;
        }
        counters.codec.store(if frame.codec == VideoCodec::H264 { 1 } else { 2 }, Ordering::Relaxed);
        counters.decoded.fetch_add(1, Ordering::Relaxed);
        if let Some(at) = shown_at {
            self.shown(frame, at, size);
        }
    }

    fn record(&self, frame: &Frame) {
        let tap = self.shared.tap.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(tap) = tap else { return };
        let (unit, arrived, report) = (&self.unit, frame.completed, self.report);
        let wants_key = match frame.codec {
            VideoCodec::H264 => tap.h264(unit, frame.timestamp, arrived, report),
            VideoCodec::Vp8 => tap.vp8(unit, frame.timestamp, arrived, report),
        };
        if wants_key {
            self.shared.source.request_key_frame();
        }
    }

    fn shown(&mut self, frame: &Frame, at: Monotonic, (width, height): (u32, u32)) {
        let (counters, events) = (&self.shared.counters, &self.shared.events);
        self.last_shown = Some(at);
        if let Some(report) = &self.report {
            self.sync.picture_shown(report, frame.timestamp, at);
        }
        let changed = counters.width.swap(width, Ordering::Relaxed) != width;
        if counters.height.swap(height, Ordering::Relaxed) != height || changed {
            events(MediaEvent::SizeChanged { width, height });
        }
        if counters.shown.fetch_add(1, Ordering::Relaxed) == 0 {
            events(MediaEvent::FirstFrame(FirstFrame::VideoRendered));
        }
        let (begins, ends) = {
            let mut state = self.shared.state();
            state.end_to_end.presented(frame.timestamp, at);
            (state.pauses.check(at), state.pauses.played(at))
        };
        if begins {
            events(MediaEvent::VideoBreak(true));
        }
        if ends {
            events(MediaEvent::VideoBreak(false));
        }
    }

    /// Reads the connection's statistics now and then.
    fn refresh(&mut self) {
        let now = Monotonic::now();
        if self.refreshed.is_some_and(|last| now.since(last) < REFRESH) {
            return;
        }
        self.refreshed = Some(now);
        let statistics = self.shared.source.statistics();
        self.rtt = statistics.rtt.unwrap_or(USUAL_RTT);
        self.report = statistics.sender_report;
    }
}

/// Decodes with the codec's decoder, which is made when it is needed.
fn decode(
    slot: &mut Option<(VideoCodec, Decoder)>,
    codec: VideoCodec,
    unit: &[u8],
    show: impl FnOnce(&Picture<'_>),
) -> Result<(), CodecError> {
    let decoder = match slot {
        Some((has, decoder)) if *has == codec => decoder,
        other => {
            let new = match codec {
                VideoCodec::H264 => Decoder::H264(H264Decoder::new()?),
                VideoCodec::Vp8 => Decoder::Vp8(Vp8Decoder::new()?),
            };
            &mut other.insert((codec, new)).1
        }
    };
    match decoder {
        Decoder::H264(decoder) => decoder.decode(unit, show),
        Decoder::Vp8(decoder) => decoder.decode(unit, show),
    }
}
