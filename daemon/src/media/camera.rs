//! One camera for any number of senders and preview views.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::codec::H264Decoder;
use super::convert::Converter;
use super::{MediaEvent, MediaEvents};
use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::camera::{self, Camera, CameraFormat, CameraSource, CaptureWish, Captured, Pixels};
use crate::picture::{PictureBuffer, PicturePool};
use crate::views::View;

/// How long the thread may be deaf to commands while a camera gives nothing.
const PATIENCE: Duration = Duration::from_millis(100);
/// A camera that gives no picture for so long is reported; one that is to give fewer has the time of three.
const SILENCE: Duration = Duration::from_secs(5);
/// Unused picture buffers that are kept: one being filled, two in the mailbox, one being encoded.
const POOL: usize = 4;

/// Counters of a camera.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureStatistics {
    /// Pictures that the camera delivered.
    pub pictures: u64,
    /// Pictures that could not be used: damaged JPEG.
    pub damaged: u64,
}

/// Takes pictures from the capture thread. Must be quick.
pub(super) trait PictureOutlet: Send + Sync {
    /// Whether the next picture is of any use.
    fn wants_pictures(&self) -> bool;
    /// A picture was taken.
    fn picture(&self, picture: Arc<PictureBuffer>, captured_at: Monotonic);
    /// The camera delivered an encoded picture: an H.264 access unit in Annex B.
    fn access_unit(&self, unit: &[u8], captured_at: Monotonic);
}

/// An opened camera. Cheap to clone; the device is released when the last clone is gone (each sender holds one).
#[derive(Clone)]
pub struct CameraCapture {
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
    /// The control changed, or the thread let go of a camera.
    changed: Condvar,
    /// Tells the thread to look at the control between two pictures.
    attention: AtomicBool,
    consumers: Mutex<Arc<Consumers>>,
    pictures: AtomicU64,
    damaged: AtomicU64,
}

struct Control {
    source: CameraSource,
    wish: CaptureWish,
    /// For the thread to take.
    camera: Option<Box<dyn Camera>>,
    /// Of the camera in use.
    format: Option<CameraFormat>,
    /// The thread is to let go of its camera.
    release: bool,
    quit: bool,
}

#[derive(Clone, Default)]
struct Consumers {
    views: Vec<Arc<dyn View>>,
    outlets: Vec<Arc<dyn PictureOutlet>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CameraCapture {
    /// Opens the camera and starts its thread. `events` hears of failures.
    ///
    /// # Errors
    /// What opening the device says.
    pub fn start(source: &CameraSource, wish: CaptureWish, events: MediaEvents) -> Result<Self, DeviceError> {
        let camera = camera::open(source, &wish)?;
        let shared = Arc::new(Shared {
            events,
            control: Mutex::new(Control {
                source: source.clone(),
                wish,
                format: Some(camera.format()),
                camera: Some(camera),
                release: false,
                quit: false,
            }),
            changed: Condvar::new(),
            attention: AtomicBool::new(false),
            consumers: Mutex::default(),
            pictures: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
        });
        let thread = super::spawn("camera", {
            let shared = Arc::clone(&shared);
            move || run(&shared)
        });
        Ok(Self { owner: Arc::new(Owner { shared, thread: Mutex::new(Some(thread)) }) })
    }

    /// Goes on with another camera, or the same one at another size; senders and views stay. When the other one cannot be opened,
    /// the old one goes on.
    ///
    /// # Errors
    /// What opening the device says.
    pub fn switch(&self, source: &CameraSource, wish: CaptureWish) -> Result<(), DeviceError> {
        let shared = &self.owner.shared;
        let (old_source, old_wish) = {
            let control = lock(&shared.control);
            (control.source.clone(), control.wish)
        };
        let same = old_source == *source;
        if same {
            // A device can be opened once only.
            self.release();
        }
        match camera::open(source, &wish) {
            Ok(camera) => {
                self.install(camera, source.clone(), wish);
                Ok(())
            }
            Err(error) => {
                if same && let Ok(camera) = camera::open(&old_source, &old_wish) {
                    self.install(camera, old_source, old_wish);
                }
                Err(error)
            }
        }
    }

    /// Captures at least so many pictures a second from now on, where the device can; one that runs with fewer is opened again for it.
    /// Senders and views stay.
    ///
    /// # Errors
    /// What opening the device says; it goes on as it was then, if it can.
    pub fn quicken(&self, fps: u32) -> Result<(), DeviceError> {
        let (source, wish) = {
            let control = lock(&self.owner.shared.control);
            // What a file gives is no matter of wishes.
            let is_quick = control.wish.fps >= fps || matches!(control.source, CameraSource::File(_));
            if is_quick || control.format.is_none() {
                return Ok(());
            }
            (control.source.clone(), CaptureWish { fps, ..control.wish })
        };
        self.switch(&source, wish)
    }

    /// Releases the device (`false`) without forgetting senders and views, or opens it again (`true`).
    ///
    /// # Errors
    /// What opening the device says.
    pub fn set_enabled(&self, enabled: bool) -> Result<(), DeviceError> {
        if !enabled {
            self.release();
            return Ok(());
        }
        let (source, wish, running) = {
            let control = lock(&self.owner.shared.control);
            (control.source.clone(), control.wish, control.format.is_some())
        };
        if !running {
            let camera = camera::open(&source, &wish)?;
            self.install(camera, source, wish);
        }
        Ok(())
    }

    /// What the camera delivers; `None` while it is disabled or has failed.
    #[must_use]
    pub fn format(&self) -> Option<CameraFormat> {
        lock(&self.owner.shared.control).format
    }

    /// Shows every picture in `view` too, instead of an earlier view of the same id.
    pub fn add_view(&self, view: Arc<dyn View>) {
        self.change_consumers(|consumers| {
            consumers.views.retain(|other| other.id() != view.id());
            consumers.views.push(view);
        });
    }

    /// Shows no more pictures in the view of this id. One that is being shown now may still appear.
    pub fn remove_view(&self, id: u64) {
        self.change_consumers(|consumers| consumers.views.retain(|view| view.id() != id));
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> CaptureStatistics {
        let shared = &self.owner.shared;
        CaptureStatistics {
            pictures: shared.pictures.load(Ordering::Relaxed),
            damaged: shared.damaged.load(Ordering::Relaxed),
        }
    }

    pub(super) fn add_outlet(&self, outlet: Arc<dyn PictureOutlet>) {
        self.change_consumers(|consumers| consumers.outlets.push(outlet));
    }

    pub(super) fn remove_outlet(&self, outlet: &Arc<dyn PictureOutlet>) {
        self.change_consumers(|consumers| consumers.outlets.retain(|other| !Arc::ptr_eq(other, outlet)));
    }

    fn change_consumers(&self, change: impl FnOnce(&mut Consumers)) {
        let mut consumers = lock(&self.owner.shared.consumers);
        change(Arc::make_mut(&mut consumers));
    }

    fn install(&self, camera: Box<dyn Camera>, source: CameraSource, wish: CaptureWish) {
        let shared = &self.owner.shared;
        let mut control = lock(&shared.control);
        (control.source, control.wish) = (source, wish);
        control.format = Some(camera.format());
        control.camera = Some(camera);
        control.release = false;
        shared.attention.store(true, Ordering::Release);
        shared.changed.notify_all();
    }

    /// Has the thread drop its camera, and waits until it did.
    fn release(&self) {
        let shared = &self.owner.shared;
        let mut control = lock(&shared.control);
        control.camera = None;
        if control.format.is_none() {
            return;
        }
        control.release = true;
        shared.attention.store(true, Ordering::Release);
        shared.changed.notify_all();
        while control.release && control.format.is_some() {
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
    let mut converter = Converter::new(PicturePool::new(POOL));
    let mut preview;
    loop {
        let mut camera = {
            let mut control = lock(&shared.control);
            loop {
                if control.quit {
                    return;
                }
                shared.attention.store(false, Ordering::Release);
                if control.release {
                    control.release = false;
                    control.format = None;
                    shared.changed.notify_all();
                }
                if let Some(camera) = control.camera.take() {
                    break camera;
                }
                control = shared.changed.wait(control).unwrap_or_else(PoisonError::into_inner);
            }
        };
        // Another camera is another stream.
        preview = None;
        let mut silence = Silence::new(camera.format());
        while !shared.attention.load(Ordering::Acquire) {
            match camera.next(PATIENCE) {
                Ok(Some(captured)) => {
                    if silence.ends() {
                        (shared.events)(MediaEvent::CameraBack);
                    }
                    shared.pictures.fetch_add(1, Ordering::Relaxed);
                    deliver(shared, &mut converter, &mut preview, &captured);
                }
                Ok(None) => {
                    // Not while another camera takes its place: that one is not silent.
                    let control = lock(&shared.control);
                    if !shared.attention.load(Ordering::Acquire) && silence.begins(Monotonic::now()) {
                        let device = control.source.to_string();
                        (shared.events)(MediaEvent::CameraSilent(DeviceError::NoPictures { device }));
                    }
                }
                Err(error) => {
                    drop(camera);
                    let mut control = lock(&shared.control);
                    // Another one may be there already.
                    control.format = control.camera.as_ref().map(|camera| camera.format());
                    drop(control);
                    log::warn!("the camera stopped: {error}");
                    (shared.events)(MediaEvent::DeviceFailed(error));
                    break;
                }
            }
        }
    }
}

/// Whether a camera has given no picture for too long.
struct Silence {
    patience: Duration,
    newest: Monotonic,
    told: bool,
}

impl Silence {
    /// A camera that has just been opened.
    fn new(format: CameraFormat) -> Self {
        let three = Duration::try_from_secs_f64(3.0 / format.fps).unwrap_or_default();
        Self { patience: SILENCE.max(three), newest: Monotonic::now(), told: false }
    }

    /// A picture came; whether it ended a silence that was told.
    fn ends(&mut self) -> bool {
        self.newest = Monotonic::now();
        std::mem::take(&mut self.told)
    }

    /// No picture came; whether that is to be told now.
    fn begins(&mut self, now: Monotonic) -> bool {
        let is_silent = now.since(self.newest) >= self.patience;
        is_silent && !std::mem::replace(&mut self.told, is_silent)
    }
}

fn deliver(shared: &Shared, converter: &mut Converter, preview: &mut Option<H264Decoder>, captured: &Captured<'_>) {
    let consumers = Arc::clone(&lock(&shared.consumers));
    let at = captured.captured_at;
    match captured.pixels {
        Pixels::H264(unit) => {
            for outlet in &consumers.outlets {
                outlet.access_unit(unit, at);
            }
            if !consumers.views.is_empty() {
                decode_preview(preview, unit, |picture| {
                    consumers.views.iter().for_each(|view| view.show(picture, Some(at)))
                });
            }
        }
        pixels => {
            let outlets = consumers.outlets.iter().filter(|outlet| outlet.wants_pictures());
            if outlets.clone().next().is_none() {
                // Nobody keeps the picture: what needs no conversion is shown from the camera's own memory.
                match pixels {
                    _ if consumers.views.is_empty() => return,
                    Pixels::I420(picture) => {
                        consumers.views.iter().for_each(|view| view.show(&picture, Some(at)));
                        return;
                    }
                    _ => {}
                }
            }
            let buffer = match converter.convert(captured) {
                Ok(buffer) => Arc::new(buffer),
                Err(error) => {
                    if shared.damaged.fetch_add(1, Ordering::Relaxed) == 0 {
                        log::warn!("a picture of the camera cannot be used: {error}");
                    }
                    return;
                }
            };
            // Encoders first: they work on while the preview is drawn here.
            for outlet in outlets {
                outlet.picture(Arc::clone(&buffer), at);
            }
            consumers.views.iter().for_each(|view| view.show(&buffer.picture(), Some(at)));
        }
    }
}

/// Shows what the camera encoded; nothing until its next key frame after a preview began.
fn decode_preview(preview: &mut Option<H264Decoder>, unit: &[u8], show: impl FnOnce(&crate::picture::Picture<'_>)) {
    let decoder = match preview {
        Some(decoder) => decoder,
        empty => match H264Decoder::new() {
            Ok(decoder) => empty.insert(decoder),
            Err(error) => {
                log::warn!("no preview: {error}");
                return;
            }
        },
    };
    if let Err(error) = decoder.decode(unit, show) {
        log::debug!("preview: {error}");
    }
}
