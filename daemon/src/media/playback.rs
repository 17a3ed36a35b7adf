//! One speaker, and the voices that it plays.

use std::time::Duration;

use super::MediaEvents;
use crate::devices::DeviceError;
use crate::devices::speaker::SpeakerSink;

/// A speaker with its mixer. Cheap to clone. The device is opened with the first voice and released with the last one.
#[derive(Clone)]
pub struct Playback {
    _private: (),
}

impl Playback {
    /// Prepares a speaker. Nothing is opened before somebody plays; `events` hears of failures then.
    #[must_use]
    pub fn start(sink: SpeakerSink, events: MediaEvents) -> Self {
        drop((sink, events));
        todo!()
    }

    /// Goes on with another speaker, at once when one is playing.
    ///
    /// # Errors
    /// What opening the device says; the old one goes on then.
    pub fn switch(&self, sink: SpeakerSink) -> Result<(), DeviceError> {
        drop(sink);
        todo!()
    }

    /// Plays silence instead of the voices (MuteSpeaker).
    pub fn set_muted(&self, muted: bool) {
        let _ = muted;
        todo!()
    }

    /// Volume of everything, 0 to 200, 100 = as it is.
    pub fn set_volume(&self, percent: u8) {
        let _ = percent;
        todo!()
    }

    /// How long a sample takes from the mixer until it sounds; `None` while nothing plays.
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        todo!()
    }
}
