//! Cameras and microphones that are open now, each once however many channels use it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use zego_protocol::state::ZegoRemoteDeviceState;

use super::devices::{DeviceTable, is};
use super::error::EngineError;
use crate::audio::Channels;
use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::camera::{CameraSource, CaptureWish};
use crate::devices::microphone::MicrophoneSource;
use crate::devices::registry::{DeviceInfo, DeviceSource};
use crate::media::camera::CameraCapture;
use crate::media::meter::{Audience, SoundMeter, SoundReading};
use crate::media::microphone::MicrophoneCapture;
use crate::media::{MediaEvent, MediaEvents};

/// Hears of devices that failed while they were open: which one, and why; or that one works again by itself.
pub(super) type DeviceReport = Arc<dyn Fn(DeviceSource, Result<(), EngineError>) + Send + Sync>;

/// Which source an open device has now, and that it is in use for as long as this lives.
struct Use {
    /// Which device, and how it is. It is held while it is open: not after it failed, and not while a telephone call has it.
    state: Mutex<(DeviceSource, ZegoRemoteDeviceState)>,
    table: Arc<DeviceTable>,
}

impl Use {
    fn new(source: DeviceSource, state: ZegoRemoteDeviceState, table: Arc<DeviceTable>) -> Self {
        if is_held(state) {
            table.set_in_use(&source, true);
        }
        Self { state: Mutex::new((source, state)), table }
    }

    fn source(&self) -> DeviceSource {
        self.lock().0.clone()
    }

    fn change(&self, source: DeviceSource) {
        let mut state = self.lock();
        if is_held(state.1) {
            self.table.set_in_use(&state.0, false);
            self.table.set_in_use(&source, true);
        }
        state.0 = source;
    }

    /// Takes note that the device was opened again, failed, or was left to somebody else.
    fn set(&self, state: ZegoRemoteDeviceState) {
        let mut now = self.lock();
        let before = std::mem::replace(&mut now.1, state);
        let held = is_held(state);
        if held != is_held(before) {
            self.table.set_in_use(&now.0, held);
        }
    }

    fn lock(&self) -> MutexGuard<'_, (DeviceSource, ZegoRemoteDeviceState)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a device in this state is open, and nobody else can have it.
const fn is_held(state: ZegoRemoteDeviceState) -> bool {
    matches!(state, ZegoRemoteDeviceState::Open | ZegoRemoteDeviceState::ZeroFps)
}

impl Drop for Use {
    fn drop(&mut self) {
        self.set(ZegoRemoteDeviceState::Disable);
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

    /// How it is, as others are told.
    pub(super) fn state(&self) -> ZegoRemoteDeviceState {
        self.used.lock().1
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
    report: DeviceReport,
    cameras: tokio::sync::Mutex<Vec<Weak<Open<CameraCapture>>>>,
    microphones: tokio::sync::Mutex<Microphones>,
    audience: Audience,
    /// One for each open microphone.
    meters: Mutex<Vec<(Weak<Open<MicrophoneCapture>>, SoundMeter)>>,
}

/// The open microphones.
#[derive(Default)]
struct Microphones {
    open: Vec<Weak<Open<MicrophoneCapture>>>,
    /// A telephone call has them.
    suspended: bool,
}

impl Microphones {
    /// The state of one that works.
    const fn state(&self) -> ZegoRemoteDeviceState {
        if self.suspended { ZegoRemoteDeviceState::Interruption } else { ZegoRemoteDeviceState::Open }
    }
}

/// The state of a device that does not work for this reason, as others are told.
const fn state_of(error: &EngineError) -> ZegoRemoteDeviceState {
    match error.code {
        1_006_002 | 1_006_006 => ZegoRemoteDeviceState::Unplugged,
        1_006_003 => ZegoRemoteDeviceState::NoAuthorization,
        1_006_004 => ZegoRemoteDeviceState::ZeroFps,
        1_006_005 => ZegoRemoteDeviceState::InUseByOther,
        _ => ZegoRemoteDeviceState::GenericError,
    }
}

impl Captures {
    /// Nothing is open.
    pub(super) fn new(table: Arc<DeviceTable>, audience: Audience, report: DeviceReport) -> Arc<Self> {
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
        let used = Arc::new(Use::new(wanted, ZegoRemoteDeviceState::Open, self.table.clone()));
        let events = self.events(&used);
        let capture = blocking(move || CameraCapture::start(&source, wish, events)).await?;
        let camera = Open::new(capture, used);
        open.push(Arc::downgrade(&camera));
        Ok(camera)
    }

    /// Has a camera that is open give at least so many pictures a second from now on, where it can.
    pub(super) async fn quicken(&self, source: CameraSource, fps: u32) {
        let mut open = self.cameras.lock().await;
        let Some(camera) = find(&mut open, &DeviceSource::Camera(source)) else { return };
        let capture = camera.capture().clone();
        let Err(error) = blocking(move || capture.quicken(fps)).await else { return };
        log::warn!("{} gives no more pictures than before: {error}", camera.source());
        if camera.capture().format().is_none() {
            camera.used.set(state_of(&error));
            (self.report)(camera.source(), Err(error));
        }
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
        let capture = camera.capture().clone();
        if camera.source() == wanted {
            // After a failure this is the way to try it again. One that is open and silent stays so.
            blocking(move || capture.set_enabled(true)).await?;
            if camera.state() != ZegoRemoteDeviceState::ZeroFps {
                camera.used.set(ZegoRemoteDeviceState::Open);
            }
            return Ok(None);
        }
        if !is_alone || find(&mut open, &wanted).is_some() {
            drop(open);
            return self.camera(source, wish).await.map(Some);
        }
        blocking(move || capture.switch(&source, wish)).await?;
        camera.used.change(wanted);
        camera.used.set(ZegoRemoteDeviceState::Open);
        Ok(None)
    }

    /// Opens a microphone, or joins those who have it open. It gets two channels when somebody wants them and it has them.
    ///
    /// # Errors
    /// What the device says.
    pub(super) async fn microphone(
        &self,
        source: MicrophoneSource,
        channels: Channels,
    ) -> Result<Microphone, EngineError> {
        let mut microphones = self.microphones.lock().await;
        let wanted = DeviceSource::Microphone(source.clone());
        if let Some(microphone) = find(&mut microphones.open, &wanted) {
            if channels == Channels::Stereo {
                self.widen(&microphone).await?;
            }
            return Ok(microphone);
        }
        let gain = self.table.gain(&wanted);
        let used = Arc::new(Use::new(wanted, microphones.state(), self.table.clone()));
        let events = self.events(&used);
        let meter = SoundMeter::new(&self.audience);
        let shown = meter.clone();
        let capture = if microphones.suspended {
            MicrophoneCapture::start_suspended(&source, channels, meter, events)
        } else {
            blocking(move || MicrophoneCapture::start(&source, channels, meter, events)).await?
        };
        capture.set_gain(gain);
        let microphone = Open::new(capture, used);
        microphones.open.push(Arc::downgrade(&microphone));
        self.meters().push((Arc::downgrade(&microphone), shown));
        Ok(microphone)
    }

    async fn widen(&self, microphone: &Microphone) -> Result<(), EngineError> {
        let capture = microphone.capture().clone();
        let widened = blocking(move || capture.widen()).await;
        if let Err(error) = &widened {
            microphone.used.set(state_of(error));
            (self.report)(microphone.source(), Err(error.clone()));
        }
        widened
    }

    /// Lets the holder of a microphone have another one instead; as [`Captures::switch_camera`].
    ///
    /// # Errors
    /// What the device says; the old microphone goes on then.
    pub(super) async fn switch_microphone(
        &self,
        microphone: Microphone,
        source: MicrophoneSource,
        channels: Channels,
    ) -> Result<Option<Microphone>, EngineError> {
        let wanted = DeviceSource::Microphone(source.clone());
        let mut microphones = self.microphones.lock().await;
        let is_alone = Arc::strong_count(&microphone) <= 2;
        let capture = microphone.capture().clone();
        if microphone.source() == wanted {
            blocking(move || capture.resume()).await?;
            microphone.used.set(microphones.state());
            return Ok(None);
        }
        if !is_alone || find(&mut microphones.open, &wanted).is_some() {
            drop(microphones);
            return self.microphone(source, channels).await.map(Some);
        }
        let gain = self.table.gain(&wanted);
        blocking(move || capture.switch(&source).map(|()| capture.set_gain(gain))).await?;
        microphone.used.change(wanted);
        microphone.used.set(microphones.state());
        Ok(None)
    }

    /// Opens those again that failed and whose device is among those that came.
    pub(super) async fn take_up(&self, came: &[DeviceInfo]) {
        let is_back = |source: &DeviceSource| came.iter().any(|device| is(device, source));
        let mut cameras = self.cameras.lock().await;
        for camera in alive(&mut cameras) {
            let capture = camera.capture().clone();
            if capture.format().is_none() && is_back(&camera.source()) {
                self.tell(&camera.used, blocking(move || capture.set_enabled(true)).await);
            }
        }
        drop(cameras);
        let mut microphones = self.microphones.lock().await;
        if microphones.suspended {
            // After the telephone call they are tried again anyway.
            return;
        }
        for microphone in alive(&mut microphones.open) {
            let capture = microphone.capture().clone();
            if !capture.is_running() && is_back(&microphone.source()) {
                capture.set_gain(self.table.gain(&microphone.source()));
                self.tell(&microphone.used, blocking(move || capture.resume()).await);
            }
        }
    }

    /// Releases every microphone for a telephone call (`true`), or takes them up again; those that are opened meanwhile wait.
    pub(super) async fn suspend_microphones(&self, suspended: bool) {
        let mut microphones = self.microphones.lock().await;
        microphones.suspended = suspended;
        for microphone in alive(&mut microphones.open) {
            let capture = microphone.capture().clone();
            let done = blocking(move || capture.set_suspended(suspended)).await;
            if suspended {
                microphone.used.set(microphones.state());
            } else {
                self.tell(&microphone.used, done);
            }
        }
    }

    /// Gives every microphone the loudness that its device is to have.
    pub(super) async fn apply_gains(&self) {
        for microphone in alive(&mut self.microphones.lock().await.open) {
            microphone.capture().set_gain(self.table.gain(&microphone.source()));
        }
    }

    /// Takes note of a device that was opened again, or reports why not, unless it went once more: that is known by itself.
    fn tell(&self, used: &Use, outcome: Result<(), EngineError>) {
        match outcome {
            Ok(()) => {
                used.set(ZegoRemoteDeviceState::Open);
                log::info!("{} is used again", used.source());
            }
            Err(error) => {
                used.set(state_of(&error));
                match error.code {
                    1_006_002 | 1_006_006 => log::debug!("{error}"),
                    _ => (self.report)(used.source(), Err(error)),
                }
            }
        }
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

    /// What a capture's thread calls when its device fails, or works again.
    fn events(&self, used: &Arc<Use>) -> MediaEvents {
        let report = self.report.clone();
        let used = Arc::downgrade(used);
        Arc::new(move |event| {
            let Some(used) = used.upgrade() else { return };
            match event {
                MediaEvent::DeviceFailed(error) | MediaEvent::CameraSilent(error) => {
                    let error = EngineError::from(&error);
                    used.set(state_of(&error));
                    report(used.source(), Err(error));
                }
                MediaEvent::CameraBack => {
                    used.set(ZegoRemoteDeviceState::Open);
                    report(used.source(), Ok(()));
                }
                _ => {}
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

/// Those that are open; those that were closed are forgotten.
fn alive<C: Send + 'static>(open: &mut Vec<Weak<Open<C>>>) -> Vec<Arc<Open<C>>> {
    open.retain(|weak| weak.strong_count() > 0);
    open.iter().filter_map(Weak::upgrade).collect()
}

/// The one that is open with this source.
fn find<C: Send + 'static>(open: &mut Vec<Weak<Open<C>>>, source: &DeviceSource) -> Option<Arc<Open<C>>> {
    alive(open).into_iter().find(|device| device.source() == *source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_see_why_a_device_failed() {
        use ZegoRemoteDeviceState as State;
        let table = [
            (1_006_001, State::GenericError),
            (1_006_002, State::Unplugged),
            (1_006_003, State::NoAuthorization),
            (1_006_004, State::ZeroFps),
            (1_006_005, State::InUseByOther),
            (1_006_006, State::Unplugged),
        ];
        for (code, state) in table {
            assert_eq!(state_of(&EngineError::new(code, "")), state, "{code}");
        }
    }
}
