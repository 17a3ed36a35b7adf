//! `org.zegod1.Device`.

use zbus::{Variant, interface};
use zego_protocol::names;

use super::error::Refusal;
use super::object::{Object, Shared, look};
use super::values::Dictionary;
use crate::devices::registry::DeviceFormat;
use crate::engine::{DeviceObject as DeviceInfo, Engine, EngineError};

/// A camera, microphone or speaker.
pub(super) struct DeviceObject(Shared<DeviceInfo>);

/// A camera, microphone or speaker: a real one, or a simulated one that the configuration names.
#[interface(name = "org.zegod1.Device")]
impl DeviceObject {
    /// `camera`, `microphone` or `speaker`.
    #[zbus(property(emits_changed_signal = "const"))]
    fn kind(&self) -> String {
        look(&self.0).info.device.kind.as_str().to_owned()
    }

    /// Its stable name: the same after a restart, and after it was plugged in again at the same place.
    #[zbus(property(emits_changed_signal = "const"), name = "DeviceID")]
    fn device_id(&self) -> String {
        look(&self.0).info.device.id.clone()
    }

    /// Its name for people.
    #[zbus(property)]
    fn name(&self) -> String {
        look(&self.0).info.device.name.clone()
    }

    /// `available`, `in_use`, `busy` or `unplugged`.
    #[zbus(property)]
    fn state(&self) -> String {
        state(&look(&self.0).info).to_owned()
    }

    /// Who uses it, when it is busy.
    #[zbus(property)]
    fn busy_owner(&self) -> String {
        look(&self.0).info.device.busy_owner.clone().unwrap_or_default()
    }

    /// It is used when nobody chooses.
    #[zbus(property)]
    fn default(&self) -> bool {
        look(&self.0).info.device.default
    }

    /// What it offers. Cameras: `pixel_format` s, `width` u, `height` u, `fps` d; others: `min_rate` u, `max_rate` u,
    /// `min_channels` u, `max_channels` u.
    #[zbus(property)]
    fn formats(&self) -> Vec<Dictionary> {
        formats(&look(&self.0).info)
    }

    /// Loudness of the device itself. -1 = this device has no control that the daemon could use.
    #[zbus(property)]
    fn volume(&self) -> i32 {
        -1
    }

    /// Sets the loudness of the device itself. Errors: InvalidArgument, Unsupported.
    #[zbus(property)]
    async fn set_volume(&self, _value: Variant<'_>) -> Result<(), Refusal> {
        Err(self.no_control("Volume"))
    }

    /// The device itself is silenced.
    #[zbus(property)]
    fn muted(&self) -> bool {
        false
    }

    /// Silences the device itself. Errors: InvalidArgument, Unsupported.
    #[zbus(property)]
    async fn set_muted(&self, _value: Variant<'_>) -> Result<(), Refusal> {
        Err(self.no_control("Muted"))
    }
}

impl DeviceObject {
    fn no_control(&self, property: &str) -> Refusal {
        let id = look(&self.0).info.device.id.clone();
        let message = format!(
            "{property} of device '{id}' cannot be set in this version; use CaptureVolume of the publisher, Volume of \
             the player, MuteMicrophone or MuteSpeaker"
        );
        EngineError::unsupported(&message).into()
    }
}

fn state(info: &DeviceInfo) -> &'static str {
    if info.in_use { "in_use" } else { info.device.state.as_str() }
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

    fn new(shared: Shared<DeviceInfo>, _engine: Engine) -> Self {
        Self(shared)
    }

    fn properties(info: &DeviceInfo) -> Vec<(&'static str, Variant<'static>)> {
        vec![
            ("Name", info.device.name.clone().into()),
            ("State", state(info).into()),
            ("BusyOwner", info.device.busy_owner.clone().unwrap_or_default().into()),
            ("Default", info.device.default.into()),
            ("Formats", formats(info).into()),
        ]
    }
}
