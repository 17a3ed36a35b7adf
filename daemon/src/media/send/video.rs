//! Camera pictures to H.264 packets.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::passthrough::Passthrough;
use super::rate::{KeyFrames, Thinner};
use super::{NoNetwork, RtpClock, RtpOut, VideoConfig, VideoSendStatistics, deafen};
use crate::clock::Monotonic;
use crate::media::camera::{CameraCapture, PictureOutlet};
use crate::media::codec::{CodecError, H264Encoder, H264Settings};
use crate::media::record::{AccessUnit, RecordSink, VideoTap};
use crate::media::rtp::h264::{self, H264Packetizer};
use crate::media::scale::Scaler;
use crate::media::{FirstFrame, MediaEvent, MediaEvents, join, spawn};
use crate::picture::PictureBuffer;
use crate::rtc::{self, OutgoingRtp, SendOutcome, SenderFeedback};

/// Pictures that wait for the encoder. After a hiccup of the system a camera gives two or three in a row, which the encoder soon works off;
/// one that is too slow for the camera loses the older ones.
const MAILBOX: usize = 2;
/// The least that the network's estimate can bring the bit rate down to.
const LEAST_BITS: u64 = 60_000;

/// Sends a camera's pictures until it is dropped.
pub struct VideoSend {
    shared: Arc<Shared>,
    camera: CameraCapture,
    outlet: Arc<dyn PictureOutlet>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    out: Box<dyn RtpOut>,
    events: MediaEvents,
    state: Mutex<State>,
    wake: Condvar,
    muted: AtomicBool,
    counters: Counters,
    clock: RtpClock,
    /// For access units that come encoded; the encoder's thread has its own packetizer.
    passthrough: Mutex<(Passthrough, H264Packetizer)>,
    /// Where the encoded pictures go, too.
    tap: Mutex<Option<Arc<VideoTap>>>,
}

struct State {
    config: VideoConfig,
    /// The newest pictures, until the encoder takes them.
    mailbox: VecDeque<(Arc<PictureBuffer>, Monotonic)>,
    thinner: Thinner,
    keys: KeyFrames,
    /// Whether packets are taken, as far as the capture thread and the feedback know. The connection itself is never asked under
    /// this lock: it calls us under its own.
    ready: bool,
    /// What the other side says that the network carries, bits per second.
    estimate: Option<u64>,
    quit: bool,
}

#[derive(Default)]
struct Counters {
    captured: AtomicU64,
    thinned: AtomicU64,
    dropped: AtomicU64,
    encoded: AtomicU64,
    sent: AtomicU64,
    key_frames: AtomicU64,
    encode_nanos: AtomicU64,
    target_kbps: AtomicU32,
    width: AtomicU32,
    height: AtomicU32,
    passthrough: AtomicBool,
}

impl VideoSend {
    /// Starts the encoder's thread. Nothing is encoded before `sender` is ready; then a key frame begins.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn start(
        camera: &CameraCapture,
        config: VideoConfig,
        sender: rtc::MediaSender,
        events: MediaEvents,
    ) -> Result<Self, CodecError> {
        Self::start_to(camera, config, Box::new(sender), events)
    }

    /// Starts the encoder's thread for recordings alone.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn start_unsent(camera: &CameraCapture, config: VideoConfig) -> Result<Self, CodecError> {
        Self::start_to(camera, config, Box::new(NoNetwork), Arc::new(|_| {}))
    }

    pub(in crate::media) fn start_to(
        camera: &CameraCapture,
        config: VideoConfig,
        out: Box<dyn RtpOut>,
        events: MediaEvents,
    ) -> Result<Self, CodecError> {
        let mut keys = KeyFrames::default();
        keys.restart();
        let state = State {
            config,
            mailbox: VecDeque::with_capacity(MAILBOX + 1),
            thinner: Thinner::default(),
            keys,
            ready: false,
            estimate: None,
            quit: false,
        };
        let shared = Arc::new(Shared {
            out,
            events,
            state: Mutex::new(state),
            wake: Condvar::new(),
            muted: AtomicBool::new(false),
            counters: Counters::default(),
            clock: RtpClock::new(90_000),
            passthrough: Mutex::default(),
            tap: Mutex::default(),
        });
        let encoder = Encoder::new(config)?;
        let thread = spawn("video encoder", {
            let shared = Arc::clone(&shared);
            move || run(&shared, encoder)
        });
        let listener = Arc::downgrade(&shared);
        shared.out.on_feedback(Arc::new(move |feedback| {
            if let Some(shared) = listener.upgrade() {
                shared.feedback(feedback);
            }
        }));
        let outlet: Arc<dyn PictureOutlet> = Arc::clone(&shared) as Arc<dyn PictureOutlet>;
        camera.add_outlet(Arc::clone(&outlet));
        Ok(Self { shared, camera: camera.clone(), outlet, thread: Some(thread) })
    }

    /// Sends nothing (`true`), or goes on with a key frame (`false`).
    pub fn set_muted(&self, muted: bool) {
        let mut state = self.shared.state();
        if self.shared.muted.swap(muted, Ordering::AcqRel) == muted {
            return;
        }
        state.mailbox.clear();
        state.keys.restart();
        lock(&self.shared.passthrough).0.interrupt();
    }

    /// Gives what is encoded to a recording, too, from a key frame on and whether the network takes anything or not; or to none.
    pub fn record(&self, sink: Option<&RecordSink>) {
        let mut tap = lock(&self.shared.tap);
        let same = match (&*tap, sink) {
            (Some(tap), Some(sink)) => tap.sink().is(sink),
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        *tap = sink.map(|sink| Arc::new(VideoTap::new(sink.clone())));
        drop(tap);
        if sink.is_some() {
            self.shared.state().keys.restart();
        }
    }

    /// Changes size, rates and intervals from the next picture on.
    pub fn set_config(&self, config: VideoConfig) {
        self.shared.state().config = config;
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> VideoSendStatistics {
        let counters = &self.shared.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        VideoSendStatistics {
            captured: get(&counters.captured),
            thinned: get(&counters.thinned),
            dropped: get(&counters.dropped),
            encoded: get(&counters.encoded),
            sent: get(&counters.sent),
            key_frames: get(&counters.key_frames),
            encode_time: Duration::from_nanos(get(&counters.encode_nanos)),
            target_kbps: counters.target_kbps.load(Ordering::Relaxed),
            width: counters.width.load(Ordering::Relaxed),
            height: counters.height.load(Ordering::Relaxed),
            encoder: if counters.passthrough.load(Ordering::Relaxed) { "passthrough" } else { "openh264" },
            rtp: self.shared.out.statistics(),
        }
    }
}

impl Drop for VideoSend {
    fn drop(&mut self) {
        self.camera.remove_outlet(&self.outlet);
        deafen(&*self.shared.out);
        self.shared.state().quit = true;
        self.shared.wake.notify_all();
        join(self.thread.take());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn feedback(&self, feedback: SenderFeedback) {
        match feedback {
            SenderFeedback::Ready => {
                let mut state = self.state();
                state.ready = true;
                state.keys.restart();
                // What the way before carried says nothing of this one, which may never tell of its own.
                state.estimate = None;
                drop(state);
                lock(&self.passthrough).0.interrupt();
                // A picture that waited for this goes out now.
                self.wake.notify_one();
            }
            SenderFeedback::KeyFrameRequested => self.state().keys.ask(),
            SenderFeedback::Estimate { bits_per_second } => self.state().estimate = Some(bits_per_second),
            SenderFeedback::ReceiverReport { .. } => {}
        }
    }

    /// The recording, while it takes something.
    fn tap(&self) -> Option<Arc<VideoTap>> {
        lock(&self.tap).clone().filter(|tap| tap.sink().is_open())
    }

    fn count_captured(&self) {
        if self.counters.captured.fetch_add(1, Ordering::Relaxed) == 0 {
            (self.events)(MediaEvent::FirstFrame(FirstFrame::VideoCaptured));
        }
    }

    /// Sends the packets of one picture. Returns whether all of them went out.
    fn send(&self, packetizer: &mut H264Packetizer, captured_at: Monotonic, key: bool) -> bool {
        let timestamp = self.clock.at(captured_at);
        let mut complete = true;
        // The connection spreads the packets of a large picture over some time.
        packetizer.finish(|payload, marker| {
            let packet = OutgoingRtp { marker, timestamp, captured_at, audio_level: None, payload };
            complete &= self.out.send(packet) == SendOutcome::Queued;
        });
        if complete {
            self.counters.key_frames.fetch_add(u64::from(key), Ordering::Relaxed);
            if self.counters.sent.fetch_add(1, Ordering::Relaxed) == 0 {
                (self.events)(MediaEvent::FirstFrame(FirstFrame::VideoSent));
            }
        }
        complete
    }
}

impl PictureOutlet for Shared {
    fn wants_pictures(&self) -> bool {
        !self.muted.load(Ordering::Acquire)
    }

    fn picture(&self, picture: Arc<PictureBuffer>, captured_at: Monotonic) {
        self.count_captured();
        let ready = self.out.ready() || self.tap().is_some();
        let mut state = self.state();
        state.ready = ready;
        let fps = state.config.fps;
        if !state.thinner.pass(captured_at, fps) {
            self.counters.thinned.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Before anybody listens only the newest picture is of use.
        let room = if ready { MAILBOX } else { 1 };
        state.mailbox.push_back((picture, captured_at));
        while state.mailbox.len() > room {
            state.mailbox.pop_front();
            self.counters.dropped.fetch_add(u64::from(ready), Ordering::Relaxed);
        }
        drop(state);
        if ready {
            self.wake.notify_one();
        }
    }

    fn access_unit(&self, unit: &[u8], captured_at: Monotonic) {
        self.count_captured();
        self.counters.passthrough.store(true, Ordering::Relaxed);
        if self.muted.load(Ordering::Acquire) {
            return;
        }
        if let Some(tap) = self.tap() {
            let mut whole = AccessUnit::default();
            h264::nal_units(unit).for_each(|nal| whole.push(nal));
            // A camera that encodes by itself cannot be asked for a key frame.
            tap.h264(whole, captured_at);
        }
        if !self.out.ready() {
            return;
        }
        let mut guard = lock(&self.passthrough);
        let (passthrough, packetizer) = &mut *guard;
        if let Some(key) = passthrough.units(unit, |nal| packetizer.push(nal))
            && !self.send(packetizer, captured_at, key)
        {
            passthrough.interrupt();
        }
    }
}

/// What the encoder's thread owns.
struct Encoder {
    config: VideoConfig,
    codec: H264Encoder,
    packetizer: H264Packetizer,
    scaler: Scaler,
}

impl Encoder {
    fn new(config: VideoConfig) -> Result<Self, CodecError> {
        Ok(Self { config, codec: codec(config)?, packetizer: H264Packetizer::new(), scaler: Scaler::new() })
    }

    /// Follows the configuration and the estimate. Returns whether the stream starts anew.
    fn follow(&mut self, config: VideoConfig, bits: u32) -> Result<bool, CodecError> {
        let rates = |config: VideoConfig| (config.fps, config.key_frame_interval_s, config.width, config.height);
        let anew = rates(config) != rates(self.config);
        if anew {
            self.codec = codec(config)?;
        }
        self.config = config;
        self.codec.set_bit_rate(bits);
        Ok(anew)
    }
}

fn codec(config: VideoConfig) -> Result<H264Encoder, CodecError> {
    H264Encoder::new(H264Settings {
        bits_per_second: config.bitrate_kbps.saturating_mul(1000),
        fps: config.fps.max(1) as f32,
        key_frame_period: config.key_frame_interval_s.saturating_mul(config.fps),
    })
}

fn run(shared: &Shared, mut encoder: Encoder) {
    loop {
        let (picture, captured_at, config, bits, key) = {
            let mut state = shared.state();
            loop {
                if state.quit {
                    return;
                }
                if state.ready
                    && let Some((picture, captured_at)) = state.mailbox.pop_front()
                {
                    let config = state.config;
                    let wanted = u64::from(config.bitrate_kbps) * 1000;
                    // Headers, retransmissions and sound take their part of what the network carries.
                    let bits =
                        state.estimate.map_or(wanted, |estimate| wanted.min((estimate * 85 / 100).max(LEAST_BITS)));
                    let key = state.keys.take(Monotonic::now());
                    break (picture, captured_at, config, u32::try_from(bits).unwrap_or(u32::MAX), key);
                }
                state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        shared.counters.target_kbps.store(bits / 1000, Ordering::Relaxed);
        match encoder
            .follow(config, bits)
            .and_then(|anew| encode(shared, &mut encoder, &picture, captured_at, key || anew))
        {
            Ok(true) => {}
            Ok(false) => shared.state().keys.restart(),
            Err(error) => {
                log::warn!("a picture was not encoded: {error}");
                shared.state().keys.restart();
            }
        }
    }
}

/// Encodes and sends one picture. Returns whether all of it went out.
fn encode(
    shared: &Shared,
    encoder: &mut Encoder,
    picture: &PictureBuffer,
    captured_at: Monotonic,
    key: bool,
) -> Result<bool, CodecError> {
    let (width, height) = (encoder.config.width as usize & !1, encoder.config.height as usize & !1);
    let scaled = ((picture.width(), picture.height()) != (width, height) && width > 0 && height > 0)
        .then(|| encoder.scaler.scale(&picture.picture(), width, height));
    let source = scaled.as_ref().unwrap_or(picture);
    let counters = &shared.counters;
    let start = Monotonic::now();
    let encoded = encoder.codec.encode(&source.picture(), captured_at, key)?;
    counters.encode_nanos.fetch_add(Monotonic::now().since(start).as_nanos() as u64, Ordering::Relaxed);
    counters.encoded.fetch_add(1, Ordering::Relaxed);
    counters.passthrough.store(false, Ordering::Relaxed);
    counters.width.store(source.width() as u32, Ordering::Relaxed);
    counters.height.store(source.height() as u32, Ordering::Relaxed);
    let key = encoded.is_key();
    let tap = shared.tap();
    let sending = shared.out.ready();
    let mut unit = AccessUnit::default();
    encoded.for_each_nal(|nal| {
        if sending {
            encoder.packetizer.push(nal);
        }
        if tap.is_some() {
            unit.push(nal);
        }
    });
    if let Some(tap) = tap
        && tap.h264(unit, captured_at)
    {
        shared.state().keys.ask();
    }
    // What is only recorded is complete; when the network is ready again, a key frame begins there.
    Ok(!sending || shared.send(&mut encoder.packetizer, captured_at, key))
}
