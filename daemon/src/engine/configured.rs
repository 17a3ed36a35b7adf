//! Which devices the configuration names, and which servers it trusts.

use super::error::EngineError;
use crate::config::Config;
use crate::devices::camera::CameraSource;
use crate::devices::microphone::MicrophoneSource;
use crate::devices::registry::ConfiguredDevices;
use crate::devices::speaker::SpeakerSink;
use crate::signal::Trust;

/// Whom the configuration trusts.
pub(super) fn trust(config: &Config) -> Trust {
    let authority = Some(config.room.authority.clone()).filter(|file| !file.as_os_str().is_empty());
    Trust { authority, fingerprint: config.room.fingerprint }
}

/// What the configuration says about devices, in the words of the devices themselves.
#[derive(Clone, Debug)]
pub(super) struct Configured {
    pub(super) devices: ConfiguredDevices,
}

impl Configured {
    /// Reads the words of the configuration, whose grammar was checked when it was loaded.
    ///
    /// # Errors
    /// A word that the devices do not know.
    pub(super) fn new(config: &Config) -> Result<Self, EngineError> {
        fn all<T: std::str::FromStr<Err: std::fmt::Display>>(
            first: &str,
            more: impl Iterator<Item = String>,
        ) -> Result<Vec<T>, EngineError> {
            let words = std::iter::once(first.to_owned()).chain(more);
            words.map(|word| word.parse().map_err(|error: T::Err| EngineError::argument(&error.to_string()))).collect()
        }
        let Config { camera, microphone, speaker, .. } = config;
        Ok(Self {
            devices: ConfiguredDevices {
                cameras: all(camera.source.as_str(), camera.more.iter().map(ToString::to_string))?,
                microphones: all(microphone.source.as_str(), microphone.more.iter().map(ToString::to_string))?,
                speakers: all(speaker.sink.as_str(), speaker.more.iter().map(ToString::to_string))?,
            },
        })
    }

    /// The camera of a channel: the main one's is `source`, the others have one of `more` each while they last.
    pub(super) fn camera(&self, channel: i32) -> CameraSource {
        let cameras = &self.devices.cameras;
        let index = usize::try_from(channel).unwrap_or(0);
        cameras.get(index).or_else(|| cameras.first()).cloned().unwrap_or_default()
    }

    /// The microphone of every channel that was given no other.
    pub(super) fn microphone(&self) -> MicrophoneSource {
        self.devices.microphones.first().cloned().unwrap_or_default()
    }

    /// The speaker.
    pub(super) fn speaker(&self) -> SpeakerSink {
        self.devices.speakers.first().cloned().unwrap_or_default()
    }
}
