//! One microphone for any number of senders.

use super::MediaEvents;
use crate::devices::DeviceError;
use crate::devices::microphone::MicrophoneSource;

/// An opened microphone. Cheap to clone; the device is released when the last clone is gone (each sender holds one).
#[derive(Clone)]
pub struct MicrophoneCapture {
    _private: (),
}

impl MicrophoneCapture {
    /// Opens the microphone and starts its thread. `events` hears of failures.
    ///
    /// # Errors
    /// What opening the device says.
    pub fn start(source: &MicrophoneSource, events: MediaEvents) -> Result<Self, DeviceError> {
        let _ = (source, events);
        todo!()
    }

    /// Goes on with another microphone; senders stay. When it cannot be opened, the old one goes on.
    ///
    /// # Errors
    /// What opening the device says.
    pub fn switch(&self, source: &MicrophoneSource) -> Result<(), DeviceError> {
        let _ = source;
        todo!()
    }

    /// Silences the microphone for every sender (MuteMicrophone): the device stays open, silence is sent.
    pub fn set_muted(&self, muted: bool) {
        let _ = muted;
        todo!()
    }

    /// Level of the last 100 ms as it is sent, 0 (silence) to 100 (full scale).
    #[must_use]
    pub fn level(&self) -> f64 {
        todo!()
    }

    /// Frames of 10 ms captured so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        todo!()
    }
}
