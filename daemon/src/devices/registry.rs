//! Which devices there are: the real ones of this machine, and the simulated ones that the configuration names.

use std::fmt;

use alsa::Direction;

use crate::devices::camera::{self, CameraSource};
use crate::devices::cards;
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

/// The devices there are now: first those that the configuration names, then the real ones of this machine. Exactly one of a
/// kind is the default, unless there is none.
///
/// Real devices are opened for a moment to ask what they can do, so call it when somebody wants to know, not in a circle.
#[must_use]
pub fn list(configured: &ConfiguredDevices) -> Vec<DeviceInfo> {
    let mut found = simulated(configured);
    found.extend(cameras());
    found.extend(sound(Direction::Capture));
    found.extend(sound(Direction::Playback));
    for source in &configured.cameras {
        if let CameraSource::V4l2(id) = source
            && camera::v4l2::node::find(id).is_none()
        {
            found.push(missing(DeviceKind::Camera, DeviceSource::Camera(source.clone())));
        }
    }
    mark_defaults(&mut found, configured);
    found
}

fn device(kind: DeviceKind, source: DeviceSource) -> DeviceInfo {
    let id = source.to_string();
    DeviceInfo {
        kind,
        name: id.clone(),
        id,
        formats: Vec::new(),
        state: DeviceState::Available,
        busy_owner: None,
        default: false,
        source,
    }
}

fn missing(kind: DeviceKind, source: DeviceSource) -> DeviceInfo {
    DeviceInfo { state: DeviceState::Unplugged, ..device(kind, source) }
}

fn simulated(configured: &ConfiguredDevices) -> Vec<DeviceInfo> {
    let mut found = Vec::new();
    for source in &configured.cameras {
        if matches!(source, CameraSource::Pattern(_) | CameraSource::File(_)) {
            found.push(device(DeviceKind::Camera, DeviceSource::Camera(source.clone())));
        }
    }
    for source in &configured.microphones {
        if matches!(source, MicrophoneSource::Tone(_) | MicrophoneSource::File(_)) {
            found.push(device(DeviceKind::Microphone, DeviceSource::Microphone(source.clone())));
        }
    }
    for sink in &configured.speakers {
        if matches!(sink, SpeakerSink::Null | SpeakerSink::File(_)) {
            found.push(device(DeviceKind::Speaker, DeviceSource::Speaker(sink.clone())));
        }
    }
    found
}

fn cameras() -> impl Iterator<Item = DeviceInfo> {
    camera::v4l2::node::list().into_iter().map(|node| {
        let (formats, state, busy_owner) = camera::v4l2::describe(&node);
        let source = DeviceSource::Camera(CameraSource::V4l2(node.id));
        DeviceInfo { name: node.name, formats, state, busy_owner, ..device(DeviceKind::Camera, source) }
    })
}

fn sound(direction: Direction) -> impl Iterator<Item = DeviceInfo> {
    cards::list(direction).into_iter().map(move |pcm| {
        let owner = pcm.holder();
        let (kind, source) = match direction {
            Direction::Capture => (DeviceKind::Microphone, DeviceSource::Microphone(MicrophoneSource::Alsa(pcm.id))),
            Direction::Playback => (DeviceKind::Speaker, DeviceSource::Speaker(SpeakerSink::Alsa(pcm.id))),
        };
        let state = if owner.is_some() { DeviceState::Busy } else { DeviceState::Available };
        DeviceInfo { name: pcm.name, state, busy_owner: owner, ..device(kind, source) }
    })
}

/// Marks what is used when nobody chooses: the configured device, or for `auto` the first real one.
fn mark_defaults(found: &mut [DeviceInfo], configured: &ConfiguredDevices) {
    let camera = configured.cameras.first().map(|source| DeviceSource::Camera(source.clone()));
    let microphone = configured.microphones.first().map(|source| DeviceSource::Microphone(source.clone()));
    let speaker = configured.speakers.first().map(|sink| DeviceSource::Speaker(sink.clone()));
    for (kind, wanted) in
        [(DeviceKind::Camera, camera), (DeviceKind::Microphone, microphone), (DeviceKind::Speaker, speaker)]
    {
        let default = match wanted {
            Some(
                DeviceSource::Camera(CameraSource::Auto)
                | DeviceSource::Microphone(MicrophoneSource::Auto)
                | DeviceSource::Speaker(SpeakerSink::Auto),
            ) => found.iter_mut().find(|device| device.kind == kind && device.source.is_real()),
            Some(wanted) => found.iter_mut().find(|device| device.source.is_same(&wanted)),
            None => None,
        };
        if let Some(device) = default {
            device.default = true;
        }
    }
}

impl DeviceSource {
    /// Whether it is hardware, as opposed to a simulated device.
    #[must_use]
    pub const fn is_real(&self) -> bool {
        matches!(
            self,
            Self::Camera(CameraSource::V4l2(_))
                | Self::Microphone(MicrophoneSource::Alsa(_))
                | Self::Speaker(SpeakerSink::Alsa(_))
        )
    }

    /// Whether both mean the same device, however it is written.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Camera(CameraSource::V4l2(one)), Self::Camera(CameraSource::V4l2(two))) => {
                one == two
                    || camera::v4l2::node::find(one).is_some_and(|node| Some(node) == camera::v4l2::node::find(two))
            }
            (Self::Microphone(MicrophoneSource::Alsa(one)), Self::Microphone(MicrophoneSource::Alsa(two)))
            | (Self::Speaker(SpeakerSink::Alsa(one)), Self::Speaker(SpeakerSink::Alsa(two))) => {
                cards::same_pcm(one, two)
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for DeviceSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Camera(source) => source.fmt(out),
            Self::Microphone(source) => source.fmt(out),
            Self::Speaker(sink) => sink.fmt(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_devices_are_listed_under_their_configured_names_the_first_is_the_default() {
        let configured = ConfiguredDevices {
            cameras: ["pattern", "pattern:2", "none"].map(|text| text.parse().unwrap()).to_vec(),
            microphones: ["file:/tmp/a.wav", "tone"].map(|text| text.parse().unwrap()).to_vec(),
            speakers: ["null", "file:/tmp/b.wav"].map(|text| text.parse().unwrap()).to_vec(),
        };
        let simulated: Vec<_> = list(&configured).into_iter().filter(|device| !device.source.is_real()).collect();
        let found: Vec<_> =
            simulated.iter().map(|device| (device.kind.as_str(), device.id.as_str(), device.default)).collect();
        assert_eq!(
            found,
            [
                ("camera", "pattern", true),
                ("camera", "pattern:2", false),
                ("microphone", "file:/tmp/a.wav", true),
                ("microphone", "tone", false),
                ("speaker", "null", true),
                ("speaker", "file:/tmp/b.wav", false),
            ]
        );
    }

    #[test]
    fn a_configured_camera_that_is_not_there_is_unplugged() {
        let configured =
            ConfiguredDevices { cameras: vec!["v4l2:gone".parse().unwrap()], ..ConfiguredDevices::default() };
        let all = list(&configured);
        let gone = all.iter().find(|device| device.id == "v4l2:gone").unwrap();
        assert_eq!((gone.state, gone.default), (DeviceState::Unplugged, true));
    }

    #[test]
    fn auto_is_the_first_real_device() {
        let auto = ConfiguredDevices {
            cameras: vec![CameraSource::Auto, CameraSource::Pattern(String::new())],
            ..ConfiguredDevices::default()
        };
        let real = |id: &str| device(DeviceKind::Camera, DeviceSource::Camera(CameraSource::V4l2(id.to_owned())));
        let mut found = vec![
            device(DeviceKind::Camera, DeviceSource::Camera(CameraSource::Pattern(String::new()))),
            real("a"),
            real("b"),
        ];
        mark_defaults(&mut found, &auto);
        assert_eq!(found.iter().map(|device| device.default).collect::<Vec<_>>(), [false, true, false]);
    }
}
