//! One speaker, and the voices that it plays.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::mixer::{self, Sum};
use super::{MediaEvent, MediaEvents};
use crate::audio::{Channels, Frame};
use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::speaker::{self, Speaker, SpeakerSink};

/// A voice among those that a speaker plays.
pub(super) trait Voice: Send + Sync {
    /// Fills the next 10 ms, of as many channels as it has, which will be heard at `heard_at`, and says at which volume to play them
    /// (1/256); `None` = silence.
    fn pull(&self, now: Monotonic, heard_at: Monotonic, frame: &mut Frame) -> Option<i32>;
}

/// Hears which device is held now: the one that was opened, or none any more. Called on the playback thread.
pub type SpeakerUse = Arc<dyn Fn(Option<&SpeakerSink>) + Send + Sync>;

/// A speaker with its mixer. Cheap to clone. The device is opened with the first voice and released with the last one.
#[derive(Clone)]
pub struct Playback {
    shared: Arc<Shared>,
}

struct Shared {
    events: MediaEvents,
    usage: SpeakerUse,
    control: Mutex<Control>,
    muted: AtomicBool,
    volume: AtomicI32,
}

struct Control {
    sink: SpeakerSink,
    voices: Arc<Vec<Arc<dyn Voice>>>,
    /// Opened by [`Playback::switch`], for the thread to take.
    speaker: Option<Box<dyn Speaker>>,
    /// The thread is to open the device.
    open: bool,
    /// Somebody else needs the device: it stays closed, and the voices go on unheard.
    suspended: bool,
    delay: Option<Duration>,
    /// Whether the thread runs, or is about to see that nobody needs it.
    running: bool,
    thread: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Playback {
    /// Prepares a speaker. Nothing is opened before somebody plays; `events` hears of failures then, and the voices go on unheard.
    #[must_use]
    pub fn start(sink: SpeakerSink, events: MediaEvents, usage: SpeakerUse) -> Self {
        let control = Control {
            sink,
            voices: Arc::default(),
            speaker: None,
            open: false,
            suspended: false,
            delay: None,
            running: false,
            thread: None,
        };
        let shared = Shared {
            events,
            usage,
            control: Mutex::new(control),
            muted: AtomicBool::new(false),
            volume: AtomicI32::new(mixer::factor(100)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Goes on with another speaker, at once when one is playing.
    ///
    /// # Errors
    /// What opening the device says; the old one goes on then.
    pub fn switch(&self, sink: SpeakerSink) -> Result<(), DeviceError> {
        let (needed, same) = {
            let control = lock(&self.shared.control);
            (control.running && !control.suspended, control.sink == sink)
        };
        if same {
            self.resume();
            return Ok(());
        }
        let speaker = needed.then(|| speaker::open(&sink)).transpose()?;
        let mut control = lock(&self.shared.control);
        control.sink = sink;
        control.speaker = speaker;
        Ok(())
    }

    /// Releases the device for somebody else (`true`), while the voices go on unheard; or opens it again (`false`).
    pub fn set_suspended(&self, suspended: bool) {
        lock(&self.shared.control).suspended = suspended;
        if !suspended {
            self.resume();
        }
    }

    /// Opens the device again after it failed; `events` hears if that fails, too. Does nothing while it works.
    pub fn resume(&self) {
        lock(&self.shared.control).open = true;
    }

    /// Which speaker it is.
    #[must_use]
    pub fn sink(&self) -> SpeakerSink {
        lock(&self.shared.control).sink.clone()
    }

    /// Plays silence instead of the voices (MuteSpeaker).
    pub fn set_muted(&self, muted: bool) {
        self.shared.muted.store(muted, Ordering::Relaxed);
    }

    /// Loudness of the device, 0 to 100 (as it is).
    pub fn set_gain(&self, percent: u8) {
        self.shared.volume.store(mixer::factor(percent), Ordering::Relaxed);
    }

    /// How long a sample takes from the mixer until it sounds; `None` while nothing plays.
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        lock(&self.shared.control).delay
    }

    pub(super) fn add(&self, voice: Arc<dyn Voice>) {
        let mut control = lock(&self.shared.control);
        Arc::make_mut(&mut control.voices).push(voice);
        if !control.running {
            control.running = true;
            control.open = true;
            let before = control.thread.take();
            let shared = Arc::clone(&self.shared);
            control.thread = Some(super::spawn("playback", move || {
                // The one before may still be letting go of the device.
                super::join(before);
                run(&shared);
            }));
        }
    }

    pub(super) fn remove(&self, voice: &Arc<dyn Voice>) {
        // The thread sees the empty list within 10 ms of sound and ends by itself.
        Arc::make_mut(&mut lock(&self.shared.control).voices).retain(|other| !Arc::ptr_eq(other, voice));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let thread = self.control.get_mut().unwrap_or_else(PoisonError::into_inner).thread.take();
        super::join(thread);
    }
}

fn run(shared: &Shared) {
    let mut speaker: Option<Box<dyn Speaker>> = None;
    let mut spare = None;
    let mut sum;
    let mut frame = Frame::silent(Channels::Mono);
    loop {
        let (voices, sink) = {
            let mut control = lock(&shared.control);
            if control.voices.is_empty() {
                control.running = false;
                control.delay = None;
                control.speaker = None;
                drop(control);
                if speaker.take().is_some() {
                    (shared.usage)(None);
                }
                return;
            }
            if control.suspended && speaker.take().is_some() {
                (shared.usage)(None);
            }
            if let Some(other) = other_speaker(&mut control) {
                speaker = Some(other);
                (shared.usage)(Some(&control.sink));
            }
            let wanted = std::mem::take(&mut control.open) && speaker.is_none() && !control.suspended;
            control.delay = speaker.as_ref().map(|speaker| speaker.delay());
            (Arc::clone(&control.voices), wanted.then(|| control.sink.clone()))
        };
        if let Some(sink) = sink {
            match speaker::open(&sink) {
                Ok(opened) => {
                    speaker = Some(opened);
                    (shared.usage)(Some(&sink));
                }
                Err(error) => failed(shared, error),
            }
        }
        let now = Monotonic::now();
        let device = match &mut speaker {
            Some(speaker) => speaker,
            // Without a speaker somebody still has to keep the voices' time.
            None => match spare_speaker(&mut spare) {
                Some(speaker) => speaker,
                None => {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
            },
        };
        let heard_at = now + device.delay();
        sum = Sum::default();
        for voice in voices.iter() {
            if let Some(volume) = voice.pull(now, heard_at, &mut frame) {
                sum.add(&frame, volume);
            }
        }
        let volume = if shared.muted.load(Ordering::Relaxed) { 0 } else { shared.volume.load(Ordering::Relaxed) };
        drop(voices);
        sum.write(volume, &mut frame);
        if let Err(error) = device.write(&frame) {
            speaker = None;
            (shared.usage)(None);
            failed(shared, error);
        }
    }
}

/// The speaker that [`Playback::switch`] opened. While the device is suspended nobody may keep one.
fn other_speaker(control: &mut Control) -> Option<Box<dyn Speaker>> {
    let other = control.speaker.take();
    if control.suspended { None } else { other }
}

fn spare_speaker(spare: &mut Option<Box<dyn Speaker>>) -> Option<&mut Box<dyn Speaker>> {
    if spare.is_none() {
        *spare = speaker::open(&SpeakerSink::Null).ok();
    }
    spare.as_mut()
}

fn failed(shared: &Shared, error: DeviceError) {
    log::warn!("the speaker does not play: {error}");
    (shared.events)(MediaEvent::DeviceFailed(error));
}
