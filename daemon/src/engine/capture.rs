//! Cameras and microphones that are open now, each once however many channels use it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::devices::DeviceTable;
use super::error::EngineError;
use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::camera::{CameraSource, CaptureWish};
use crate::devices::microphone::MicrophoneSource;
use crate::devices::registry::DeviceSource;
use crate::media::camera::CameraCapture;
use crate::media::meter::{Audience, SoundMeter, SoundReading};
use crate::media::microphone::MicrophoneCapture;
use crate::media::{MediaEvent, MediaEvents};

/// Hears of devices that failed while they were open: which one, and why.
pub(super) type FailureReport = Arc<dyn Fn(DeviceSource, EngineError) + Send + Sync>;

/// Which source an open device has now, and that it is in use for as long as this lives.
struct Use {
    source: Mutex<DeviceSource>,
    table: Arc<DeviceTable>,
}

impl Use {
    fn new(source: DeviceSource, table: Arc<DeviceTable>) -> Self {
        table.set_in_use(&source, true);
        Self { source: Mutex::new(source), table }
    }

    fn source(&self) -> DeviceSource {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, source: DeviceSource) {
        self.table.set_in_use(&self.source(), false);
        self.table.set_in_use(&source, true);
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = source;
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.table.set_in_use(&self.source(), false);
    }
}

/// An open camera or microphone; the device is released with the last holder.
pub(super) struct Open<C: Send + 'static> {
    /// There until the drop.
    capture: Option<C>,
    used: Arc<Use>,
}

impl<C: Send + 'static> Open<C> {
    fn new(capture: C, used: Arc<Use>) -> Arc<Self> {
        Arc::new(Self { capture: Some(capture), used })
    }

    /// The pipeline's side of it.
    pub(super) fn capture(&self) -> &C {
        self.capture.as_ref().expect("it is taken by the drop only")
    }

    /// Which device it is.
    pub(super) fn source(&self) -> DeviceSource {
        self.used.source()
    }
}

impl<C: Send + 'static> Drop for Open<C> {
    fn drop(&mut self) {
        // Closing a device waits for its thread, so it must not happen on the runtime's.
        let (capture, used) = (self.capture.take(), self.used.clone());
        let close = move || {
            drop(capture);
            drop(used);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(close)),
            Err(_) => close(),
        }
    }
}

/// An open camera.
pub(super) type Camera = Arc<Open<CameraCapture>>;
/// An open microphone.
pub(super) type Microphone = Arc<Open<MicrophoneCapture>>;

/// Opens cameras and microphones. Opening blocks, so it happens on a thread of its own; one at a time, so that two who
/// want the same device get the same one.
pub(super) struct Captures {
    table: Arc<DeviceTable>,
    report: FailureReport,
    cameras: tokio::sync::Mutex<Vec<Weak<Open<CameraCapture>>>>,
    microphones: tokio::sync::Mutex<Vec<Weak<Open<MicrophoneCapture>>>>,
    audience: Audience,
    /// One for each open microphone.
    meters: Mutex<Vec<(Weak<Open<MicrophoneCapture>>, SoundMeter)>>,
}

impl Captures {
    /// Nothing is open.
    pub(super) fn new(table: Arc<DeviceTable>, audience: Audience, report: FailureReport) -> Arc<Self> {
        Arc::new(Self {
            table,
            report,
            cameras: tokio::sync::Mutex::default(),
            microphones: tokio::sync::Mutex::default(),
            audience,
            meters: Mutex::default(),
        })
    }

    /// The number of a device's object.
    pub(super) fn number_of(&self, source: &DeviceSource) -> Option<u64> {
        self.table.number_of(source)
    }

    /// Opens a camera, or joins those who have it open.
    ///
    /// # Errors
    /// What the device says.
    pub(super) async fn camera(&self, source: CameraSource, wish: CaptureWish) -> Result<Camera, EngineError> {
        let mut open = self.cameras.lock().await;
        let wanted = DeviceSource::Camera(source.clone());
        if let Some(camera) = find(&mut open, &wanted) {
            return Ok(camera);
        }
        let used = Arc::new(Use::new(wanted, self.table.clone()));
        let events = self.events(&used);
        let capture = blocking(move || CameraCapture::start(&source, wish, events)).await?;
        let camera = Open::new(capture, used);
        open.push(Arc::downgrade(&camera));
        Ok(camera)
    }

    /// Lets the holder of a camera have another one instead. Nobody else holding it, what it feeds just goes on;
    /// otherwise the caller gets a camera of its own (`Some`).
    ///
    /// # Errors
    /// What the device says; the old camera goes on then.
    pub(super) async fn switch_camera(
        &self,
        camera: Camera,
        source: CameraSource,
        wish: CaptureWish,
    ) -> Result<Option<Camera>, EngineError> {
        let wanted = DeviceSource::Camera(source.clone());
        let mut open = self.cameras.lock().await;
        // The caller's own copy and the one that its task keeps.
        let is_alone = Arc::strong_count(&camera) <= 2;
        if camera.source() == wanted {
            return Ok(None);
        }
        if !is_alone || find(&mut open, &wanted).is_some() {
            drop(open);
            return self.camera(source, wish).await.map(Some);
        }
        let capture = camera.capture().clone();
        blocking(move || capture.switch(&source, wish)).await?;
        camera.used.change(wanted);
        Ok(None)
    }

    /// Opens a microphone, or joins those who have it open.
    ///
    /// # Errors
    /// What the device says.
    pub(super) async fn microphone(&self, source: MicrophoneSource) -> Result<Microphone, EngineError> {
        let mut open = self.microphones.lock().await;
        let wanted = DeviceSource::Microphone(source.clone());
        if let Some(microphone) = find(&mut open, &wanted) {
            return Ok(microphone);
        }
        let used = Arc::new(Use::new(wanted, self.table.clone()));
        let events = self.events(&used);
        let meter = SoundMeter::new(&self.audience);
        let shown = meter.clone();
        let capture = blocking(move || MicrophoneCapture::start(&source, meter, events)).await?;
        let microphone = Open::new(capture, used);
        open.push(Arc::downgrade(&microphone));
        self.meters().push((Arc::downgrade(&microphone), shown));
        Ok(microphone)
    }

    /// Lets the holder of a microphone have another one instead; as [`Captures::switch_camera`].
    ///
    /// # Errors
    /// What the device says; the old microphone goes on then.
    pub(super) async fn switch_microphone(
        &self,
        microphone: Microphone,
        source: MicrophoneSource,
    ) -> Result<Option<Microphone>, EngineError> {
        let wanted = DeviceSource::Microphone(source.clone());
        let mut open = self.microphones.lock().await;
        let is_alone = Arc::strong_count(&microphone) <= 2;
        if microphone.source() == wanted {
            return Ok(None);
        }
        if !is_alone || find(&mut open, &wanted).is_some() {
            drop(open);
            return self.microphone(source).await.map(Some);
        }
        let capture = microphone.capture().clone();
        blocking(move || capture.switch(&source)).await?;
        microphone.used.change(wanted);
        Ok(None)
    }

    /// What the open microphones hear: the loudest of them; silence when none is open.
    pub(super) fn sound(&self, now: Monotonic) -> SoundReading {
        let mut meters = self.meters();
        meters.retain(|(microphone, _)| microphone.strong_count() > 0);
        meters.iter().fold(SoundReading::default(), |sum, (_, meter)| sum.or(meter.reading(now)))
    }

    fn meters(&self) -> MutexGuard<'_, Vec<(Weak<Open<MicrophoneCapture>>, SoundMeter)>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a capture's thread calls when its device fails.
    fn events(&self, used: &Arc<Use>) -> MediaEvents {
        let report = self.report.clone();
        let used = Arc::downgrade(used);
        Arc::new(move |event| {
            if let (MediaEvent::DeviceFailed(error), Some(used)) = (event, used.upgrade()) {
                report(used.source(), EngineError::from(&error));
            }
        })
    }
}

/// Runs what blocks on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeviceError> + Send + 'static,
) -> Result<T, EngineError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| EngineError::from(&error)),
        Err(_) => Err(EngineError::internal("Opening a device ended unexpectedly")),
    }
}

/// The one that is open with this source; those that were closed are forgotten.
fn find<C: Send + 'static>(open: &mut Vec<Weak<Open<C>>>, source: &DeviceSource) -> Option<Arc<Open<C>>> {
    open.retain(|weak| weak.strong_count() > 0);
    open.iter().filter_map(Weak::upgrade).find(|device| device.source() == *source)
}
