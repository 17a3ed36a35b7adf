//! One microphone for any number of senders.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::meter::SoundMeter;
use super::mixer;
use super::{MediaEvent, MediaEvents};
use crate::audio::{Channels, Frame};
use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::microphone::{self, Microphone, MicrophoneSource};

/// Takes sound from the capture thread. Must be quick.
pub(super) trait SoundOutlet: Send + Sync {
    /// 10 ms were captured, with the device's channels; the first sample at `captured_at`.
    fn sound(&self, frame: &Frame, captured_at: Monotonic);
}

/// An opened microphone. Cheap to clone; the device is released when the last clone is gone (each sender holds one).
#[derive(Clone)]
pub struct MicrophoneCapture {
    owner: Arc<Owner>,
}

/// Ends the thread when the last handle is dropped.
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    events: MediaEvents,
    control: Mutex<Control>,
    /// The control changed, or the thread let go of a microphone.
    changed: Condvar,
    /// Tells the thread to look at the control between two frames.
    attention: AtomicBool,
    outlets: Mutex<Arc<Vec<Arc<dyn SoundOutlet>>>>,
    muted: AtomicBool,
    /// Of the device, in 1/256.
    gain: AtomicI32,
    meter: SoundMeter,
    frames: AtomicU64,
}

struct Control {
    source: MicrophoneSource,
    /// What the device is asked for.
    channels: Channels,
    /// For the thread to take.
    microphone: Option<Box<dyn Microphone>>,
    running: bool,
    /// Somebody else needs the device: it stays closed.
    suspended: bool,
    /// The thread is to let go of its microphone.
    release: bool,
    quit: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MicrophoneCapture {
    /// Opens the microphone, with two channels if it has them and they are wanted, and starts its thread. `meter` shows its level,
    /// `events` hears of failures.
    ///
    /// # Errors
    /// What opening the device says.
    pub fn start(
        source: &MicrophoneSource,
        channels: Channels,
        meter: SoundMeter,
        events: MediaEvents,
    ) -> Result<Self, DeviceError> {
        let microphone = microphone::open(source, channels)?;
        Ok(Self::with(source, channels, Some(microphone), meter, events))
    }

    /// As [`MicrophoneCapture::start`], but the device is not opened before [`MicrophoneCapture::set_suspended`] allows it.
    #[must_use]
    pub fn start_suspended(
        source: &MicrophoneSource,
        channels: Channels,
        meter: SoundMeter,
        events: MediaEvents,
    ) -> Self {
        Self::with(source, channels, None, meter, events)
    }

    fn with(
        source: &MicrophoneSource,
        channels: Channels,
        microphone: Option<Box<dyn Microphone>>,
        meter: SoundMeter,
        events: MediaEvents,
    ) -> Self {
        let shared = Arc::new(Shared {
            events,
            control: Mutex::new(Control {
                source: source.clone(),
                channels,
                running: microphone.is_some(),
                suspended: microphone.is_none(),
                microphone,
                release: false,
                quit: false,
            }),
            changed: Condvar::new(),
            attention: AtomicBool::new(false),
            outlets: Mutex::default(),
            muted: AtomicBool::new(false),
            gain: AtomicI32::new(mixer::factor(100)),
            meter,
            frames: AtomicU64::new(0),
        });
        let thread = super::spawn("microphone", {
            let shared = Arc::clone(&shared);
            move || run(&shared)
        });
        Self { owner: Arc::new(Owner { shared, thread: Mutex::new(Some(thread)) }) }
    }

    /// Goes on with another microphone; senders stay. When it cannot be opened, the old one goes on.
    ///
    /// # Errors
    /// What opening the device says.
    pub fn switch(&self, source: &MicrophoneSource) -> Result<(), DeviceError> {
        let (old, channels) = {
            let mut control = lock(&self.owner.shared.control);
            if control.suspended {
                control.source = source.clone();
                return Ok(());
            }
            (control.source.clone(), control.channels)
        };
        if old == *source {
            // A device can be opened once only.
            self.release();
        }
        let microphone = microphone::open(source, channels)?;
        self.install(microphone, source.clone());
        Ok(())
    }

    /// Captures two channels from now on, where the device has them; a device that runs is opened again for it. Senders stay.
    ///
    /// # Errors
    /// What opening the device says; it is closed then.
    pub fn widen(&self) -> Result<(), DeviceError> {
        let source = {
            let mut control = lock(&self.owner.shared.control);
            let is_wide = std::mem::replace(&mut control.channels, Channels::Stereo) == Channels::Stereo;
            // A simulated one gives what it has in any case.
            if is_wide || !control.running || !control.source.is_hardware() {
                return Ok(());
            }
            control.source.clone()
        };
        self.switch(&source)
    }

    /// Releases the device for somebody else (`true`) without forgetting the senders, which send nothing then; or opens it again
    /// (`false`).
    ///
    /// # Errors
    /// What opening the device says.
    pub fn set_suspended(&self, suspended: bool) -> Result<(), DeviceError> {
        lock(&self.owner.shared.control).suspended = suspended;
        if suspended {
            self.release();
            return Ok(());
        }
        self.resume()
    }

    /// Opens the device again after it failed; does nothing while it works, or is suspended.
    ///
    /// # Errors
    /// What opening the device says.
    pub fn resume(&self) -> Result<(), DeviceError> {
        let (source, channels) = {
            let control = lock(&self.owner.shared.control);
            if control.running || control.suspended {
                return Ok(());
            }
            (control.source.clone(), control.channels)
        };
        let microphone = microphone::open(&source, channels)?;
        self.install(microphone, source);
        Ok(())
    }

    /// Whether the device is open.
    #[must_use]
    pub fn is_running(&self) -> bool {
        lock(&self.owner.shared.control).running
    }

    /// Loudness of the device for every sender, 0 to 100 (as it is).
    pub fn set_gain(&self, percent: u8) {
        self.owner.shared.gain.store(mixer::factor(percent), Ordering::Relaxed);
    }

    /// Silences the microphone for every sender (MuteMicrophone): the device stays open, silence is sent.
    pub fn set_muted(&self, muted: bool) {
        self.owner.shared.muted.store(muted, Ordering::Relaxed);
    }

    /// Frames of 10 ms captured so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.owner.shared.frames.load(Ordering::Relaxed)
    }

    pub(super) fn add_outlet(&self, outlet: Arc<dyn SoundOutlet>) {
        Arc::make_mut(&mut lock(&self.owner.shared.outlets)).push(outlet);
    }

    pub(super) fn remove_outlet(&self, outlet: &Arc<dyn SoundOutlet>) {
        Arc::make_mut(&mut lock(&self.owner.shared.outlets)).retain(|other| !Arc::ptr_eq(other, outlet));
    }

    fn install(&self, microphone: Box<dyn Microphone>, source: MicrophoneSource) {
        let shared = &self.owner.shared;
        let mut control = lock(&shared.control);
        control.source = source;
        control.microphone = Some(microphone);
        control.running = true;
        control.release = false;
        shared.attention.store(true, Ordering::Release);
        shared.changed.notify_all();
    }

    /// Has the thread drop its microphone, and waits until it did.
    fn release(&self) {
        let shared = &self.owner.shared;
        let mut control = lock(&shared.control);
        control.microphone = None;
        if !control.running {
            return;
        }
        control.release = true;
        shared.attention.store(true, Ordering::Release);
        shared.changed.notify_all();
        while control.release && control.running {
            control = shared.changed.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        {
            let mut control = lock(&self.shared.control);
            control.quit = true;
            self.shared.attention.store(true, Ordering::Release);
            self.shared.changed.notify_all();
        }
        super::join(lock(&self.thread).take());
    }
}

fn run(shared: &Shared) {
    let mut frame = Frame::silent(Channels::Mono);
    loop {
        let mut microphone = {
            let mut control = lock(&shared.control);
            loop {
                if control.quit {
                    return;
                }
                shared.attention.store(false, Ordering::Release);
                if control.release {
                    control.release = false;
                    control.running = false;
                    shared.changed.notify_all();
                }
                if let Some(microphone) = control.microphone.take() {
                    break microphone;
                }
                control = shared.changed.wait(control).unwrap_or_else(PoisonError::into_inner);
            }
        };
        while !shared.attention.load(Ordering::Acquire) {
            match microphone.read(&mut frame) {
                Ok(captured_at) => {
                    if shared.muted.load(Ordering::Relaxed) {
                        frame.samples_mut().fill(0);
                    }
                    mixer::scale(frame.samples_mut(), shared.gain.load(Ordering::Relaxed));
                    shared.frames.fetch_add(1, Ordering::Relaxed);
                    shared.meter.add(&frame, captured_at);
                    let outlets = Arc::clone(&lock(&shared.outlets));
                    outlets.iter().for_each(|outlet| outlet.sound(&frame, captured_at));
                }
                Err(error) => {
                    drop(microphone);
                    let mut control = lock(&shared.control);
                    // Another one may be there already.
                    control.running = control.microphone.is_some();
                    drop(control);
                    log::warn!("the microphone stopped: {error}");
                    (shared.events)(MediaEvent::DeviceFailed(error));
                    break;
                }
            }
        }
    }
}
