//! Which devices there are: the real ones of this machine, and the simulated ones that the configuration names.

use std::fmt;
use std::path::PathBuf;

use alsa::Direction;

use crate::devices::camera::{self, CameraSource};
use crate::devices::holders::Holders;
use crate::devices::microphone::MicrophoneSource;
use crate::devices::speaker::SpeakerSink;
use crate::devices::{DeviceError, cards, mixer, simulated};

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

/// What a device's own controls say; nothing where the hardware has no such control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardwareLevel {
    /// Loudness, 0 to 100: the place in the control's range.
    pub volume: Option<u8>,
    /// Whether it is silenced.
    pub muted: Option<bool>,
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
    /// The node of a real device.
    pub node: Option<PathBuf>,
    /// Its own volume and mute.
    pub level: HardwareLevel,
}

/// The devices there are now: first those that the configuration names, then the real ones of this machine. Exactly one of a
/// kind is the default, unless there is none.
///
/// Real devices are opened for a moment to ask what they can do, so call it when somebody wants to know, not in a circle.
#[must_use]
pub fn list(configured: &ConfiguredDevices) -> Vec<DeviceInfo> {
    let mut found: Vec<DeviceInfo> =
        configured.sources().filter(|source| source.is_simulated()).map(simulated).collect();
    let holders = Holders::look();
    found.extend(cameras());
    found.extend(sound(Direction::Capture, &holders));
    found.extend(sound(Direction::Playback, &holders));
    found.extend(named_only(configured, &found));
    mark_defaults(&mut found, configured);
    note_holders(&mut found, &holders);
    found
}

/// Looks anew who uses the real devices among those that were found before, without opening any of them.
pub fn look_for_holders(found: &mut [DeviceInfo]) {
    note_holders(found, &Holders::look());
}

fn note_holders(found: &mut [DeviceInfo], holders: &Holders) {
    for device in found {
        let Some(node) = &device.node else { continue };
        device.busy_owner = holders.of(node);
        device.state = match (device.state, &device.busy_owner) {
            (DeviceState::Unplugged, _) => DeviceState::Unplugged,
            (_, Some(_)) => DeviceState::Busy,
            (_, None) => DeviceState::Available,
        };
    }
}

/// Sets the volume of a device's own control, 0 to 100.
///
/// # Errors
/// [`DeviceError::Unplugged`], [`DeviceError::Io`]; one without such a control is [`DeviceError::UnsupportedFormat`].
pub fn set_volume(source: &DeviceSource, volume: u8) -> Result<(), DeviceError> {
    let (card, direction) = source.card()?;
    mixer::set_volume(&source.to_string(), card, direction, volume)
}

/// Mutes or unmutes by a device's own control.
///
/// # Errors
/// As [`set_volume`].
pub fn set_muted(source: &DeviceSource, muted: bool) -> Result<(), DeviceError> {
    let (card, direction) = source.card()?;
    mixer::set_muted(&source.to_string(), card, direction, muted)
}

/// What a device's own controls say now.
#[must_use]
pub fn level(source: &DeviceSource) -> HardwareLevel {
    source.card().map_or_else(|_| HardwareLevel::default(), |(card, direction)| mixer::read(card, direction))
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
        node: None,
        level: HardwareLevel::default(),
    }
}

fn simulated(source: DeviceSource) -> DeviceInfo {
    let (state, formats) = (simulated::state(&source), simulated::formats(&source));
    DeviceInfo { state, formats, ..device(source.kind(), source) }
}

/// The devices that the configuration names and that no search found: hardware that is not plugged in, and PCMs of the sound
/// library's configuration.
fn named_only(configured: &ConfiguredDevices, found: &[DeviceInfo]) -> Vec<DeviceInfo> {
    let is_missing = |source: &DeviceSource| match source {
        DeviceSource::Camera(CameraSource::V4l2(id)) => camera::v4l2::node::find(id).is_none(),
        source => source.is_real() && !found.iter().any(|device| device.source.is_same(source)),
    };
    let state = |source: &DeviceSource| match source {
        DeviceSource::Microphone(MicrophoneSource::Alsa(name)) | DeviceSource::Speaker(SpeakerSink::Alsa(name))
            if !cards::is_hardware_name(name) =>
        {
            DeviceState::Available
        }
        _ => DeviceState::Unplugged,
    };
    let missing = configured.sources().filter(is_missing);
    missing.map(|source| DeviceInfo { state: state(&source), ..device(source.kind(), source) }).collect()
}

fn cameras() -> impl Iterator<Item = DeviceInfo> {
    camera::v4l2::node::list().into_iter().map(|node| {
        let (formats, state) = camera::v4l2::describe(&node);
        let source = DeviceSource::Camera(CameraSource::V4l2(node.id));
        DeviceInfo { name: node.name, formats, state, node: Some(node.path), ..device(DeviceKind::Camera, source) }
    })
}

fn sound(direction: Direction, holders: &Holders) -> impl Iterator<Item = DeviceInfo> {
    cards::list(direction).into_iter().map(move |pcm| {
        let level = mixer::read(pcm.card_id(), direction);
        // A card that somebody uses is left alone.
        let formats = if holders.of(&pcm.node()).is_some() { Vec::new() } else { pcm.formats() };
        let node = Some(pcm.node());
        let (kind, source) = match direction {
            Direction::Capture => (DeviceKind::Microphone, DeviceSource::Microphone(MicrophoneSource::Alsa(pcm.id))),
            Direction::Playback => (DeviceKind::Speaker, DeviceSource::Speaker(SpeakerSink::Alsa(pcm.id))),
        };
        DeviceInfo { name: pcm.name, formats, node, level, ..device(kind, source) }
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

impl ConfiguredDevices {
    /// All of them, cameras first.
    pub(super) fn sources(&self) -> impl Iterator<Item = DeviceSource> {
        let cameras = self.cameras.iter().cloned().map(DeviceSource::Camera);
        let microphones = self.microphones.iter().cloned().map(DeviceSource::Microphone);
        cameras.chain(microphones).chain(self.speakers.iter().cloned().map(DeviceSource::Speaker))
    }
}

impl DeviceSource {
    /// What it is good for.
    #[must_use]
    pub const fn kind(&self) -> DeviceKind {
        match self {
            Self::Camera(_) => DeviceKind::Camera,
            Self::Microphone(_) => DeviceKind::Microphone,
            Self::Speaker(_) => DeviceKind::Speaker,
        }
    }

    /// Whether it is made up, as opposed to hardware, `auto` and `none`.
    const fn is_simulated(&self) -> bool {
        matches!(
            self,
            Self::Camera(CameraSource::Pattern(_) | CameraSource::File(_))
                | Self::Microphone(MicrophoneSource::Tone(_) | MicrophoneSource::File(_))
                | Self::Speaker(SpeakerSink::Null | SpeakerSink::File(_))
        )
    }

    /// The sound card of one that was found by a search.
    fn card(&self) -> Result<(&str, Direction), DeviceError> {
        match self {
            Self::Microphone(MicrophoneSource::Alsa(id)) => Ok((cards::card_of(id), Direction::Capture)),
            Self::Speaker(SpeakerSink::Alsa(id)) => Ok((cards::card_of(id), Direction::Playback)),
            other => Err(DeviceError::UnsupportedFormat {
                device: other.to_string(),
                reason: "it has no volume control of its own".to_owned(),
            }),
        }
    }

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
    fn sound_hardware_that_is_not_there_is_unplugged_and_a_pcm_of_the_library_is_available() {
        let microphones = ["alsa:Nowhere,1", "alsa:default", "auto"].map(|text| text.parse().unwrap()).to_vec();
        let all = list(&ConfiguredDevices { microphones, ..ConfiguredDevices::default() });
        let state = |id: &str| all.iter().find(|device| device.id == id).map(|device| device.state);
        assert_eq!(state("alsa:Nowhere,1"), Some(DeviceState::Unplugged));
        assert_eq!(state("alsa:default"), Some(DeviceState::Available));
        assert_eq!(state("auto"), None);
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
