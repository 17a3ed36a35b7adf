//! `org.zegod1.Device`.

use zbus::{Variant, interface};
use zego_protocol::names;

use super::error::Refusal;
use super::object::{Object, Shared, look};
use super::publisher::{bool_of, int_of};
use super::values::Dictionary;
use crate::devices::registry::{DeviceFormat, DeviceState};
use crate::engine::{DeviceObject as DeviceInfo, Engine};

/// A camera, microphone or speaker.
pub(super) struct DeviceObject {
    shared: Shared<DeviceInfo>,
    engine: Engine,
}

/// A camera, microphone or speaker: a real one, or a simulated one that the configuration names.
#[interface(name = "org.zegod1.Device")]
impl DeviceObject {
    /// `camera`, `microphone` or `speaker`.
    #[zbus(property(emits_changed_signal = "const"))]
    fn kind(&self) -> String {
        look(&self.shared).info.device.kind.as_str().to_owned()
    }

    /// Its stable name: the same after a restart, and after it was plugged in again at the same place.
    #[zbus(property(emits_changed_signal = "const"), name = "DeviceID")]
    fn device_id(&self) -> String {
        look(&self.shared).info.device.id.clone()
    }

    /// Its name for people.
    #[zbus(property)]
    fn name(&self) -> String {
        look(&self.shared).info.device.name.clone()
    }

    /// `available`, `in_use` (by the daemon), `busy` (another program has it) or `unplugged` (the configuration names it, but
    /// it is not there).
    #[zbus(property)]
    fn state(&self) -> String {
        state(&look(&self.shared).info).to_owned()
    }

    /// Which other program uses it, `name (pid)`, as far as the daemon may see that.
    #[zbus(property)]
    fn busy_owner(&self) -> String {
        look(&self.shared).info.device.busy_owner.clone().unwrap_or_default()
    }

    /// It is used when nobody chooses.
    #[zbus(property)]
    fn default(&self) -> bool {
        look(&self.shared).info.device.default
    }

    /// What it offers. Cameras: `pixel_format` s, `width` u, `height` u, `fps` d; others: `min_rate` u, `max_rate` u,
    /// `min_channels` u, `max_channels` u.
    #[zbus(property)]
    fn formats(&self) -> Vec<Dictionary> {
        formats(&look(&self.shared).info)
    }

    /// Loudness of the device itself, 0 to 100; -1 for a camera. A sound card's own control where it has one: the place in the
    /// control's range. Else the daemon scales the samples: 100 = as they are, 50 = half the amplitude, until DestroyEngine.
    #[zbus(property)]
    fn volume(&self) -> i32 {
        volume(&look(&self.shared).info)
    }

    /// Sets the loudness of the device itself. Errors: InvalidArgument, Unsupported, DeviceNotFound, DeviceBusy,
    /// DeviceUnplugged, DeviceFailed.
    #[zbus(property)]
    async fn set_volume(&self, value: Variant<'_>) -> Result<(), Refusal> {
        let volume = int_of("Volume", &value)?;
        Ok(self.engine.set_device_volume(self.number(), volume).await?)
    }

    /// The device itself is silenced: by a sound card's own switch where it has one, else by the daemon.
    #[zbus(property)]
    fn muted(&self) -> bool {
        muted(&look(&self.shared).info)
    }

    /// Silences the device itself. Errors: InvalidArgument, Unsupported, DeviceNotFound, DeviceBusy, DeviceUnplugged,
    /// DeviceFailed.
    #[zbus(property)]
    async fn set_muted(&self, value: Variant<'_>) -> Result<(), Refusal> {
        let muted = bool_of("Muted", &value)?;
        Ok(self.engine.set_device_muted(self.number(), muted).await?)
    }
}

impl DeviceObject {
    fn number(&self) -> u64 {
        look(&self.shared).info.number
    }
}

fn volume(info: &DeviceInfo) -> i32 {
    info.level.map_or(-1, |level| i32::from(level.volume))
}

fn muted(info: &DeviceInfo) -> bool {
    info.level.is_some_and(|level| level.muted)
}

fn state(info: &DeviceInfo) -> &'static str {
    match info.device.state {
        // It is still wanted, and taken up again when it is back.
        DeviceState::Unplugged => DeviceState::Unplugged.as_str(),
        _ if info.in_use => "in_use",
        state => state.as_str(),
    }
}

fn formats(info: &DeviceInfo) -> Vec<Dictionary> {
    let dictionary = |pairs: Vec<(&str, Variant<'static>)>| -> Dictionary {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    };
    let format = |format: &DeviceFormat| match format {
        DeviceFormat::Video { pixel_format, width, height, fps } => dictionary(vec![
            ("pixel_format", pixel_format.clone().into()),
            ("width", (*width).into()),
            ("height", (*height).into()),
            ("fps", (*fps).into()),
        ]),
        DeviceFormat::Audio { rates, channels } => dictionary(vec![
            ("min_rate", rates.0.into()),
            ("max_rate", rates.1.into()),
            ("min_channels", channels.0.into()),
            ("max_channels", channels.1.into()),
        ]),
    };
    info.device.formats.iter().map(format).collect()
}

impl Object for DeviceObject {
    type Info = DeviceInfo;

    fn number(info: &DeviceInfo) -> u64 {
        info.number
    }

    fn path(number: u64) -> String {
        names::device_path(number)
    }

    fn new(shared: Shared<DeviceInfo>, engine: Engine) -> Self {
        Self { shared, engine }
    }

    fn properties(info: &DeviceInfo) -> Vec<(&'static str, Variant<'static>)> {
        vec![
            ("Name", info.device.name.clone().into()),
            ("State", state(info).into()),
            ("BusyOwner", info.device.busy_owner.clone().unwrap_or_default().into()),
            ("Default", info.device.default.into()),
            ("Formats", formats(info).into()),
            ("Volume", volume(info).into()),
            ("Muted", muted(info).into()),
        ]
    }
}
