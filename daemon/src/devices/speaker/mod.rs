//! Speakers: something that takes sound at its own pace.

mod null;
mod sink;

use std::time::Duration;

pub use sink::SpeakerSink;

use crate::audio::Frame;
use crate::devices::DeviceError;

/// An opened speaker: 48 kHz, mono, 10 ms at a time. Dropping it stops the sound and releases the device.
pub trait Speaker: Send {
    /// Plays the next 10 ms; blocks while the device's buffer is full, so the caller runs at the device's clock.
    ///
    /// # Errors
    /// [`DeviceError::Unplugged`] when the device went away, [`DeviceError::Io`] when it stopped working.
    fn write(&mut self, frame: &Frame) -> Result<(), DeviceError>;

    /// How long from now a sample takes that is written next until it sounds.
    fn delay(&self) -> Duration;
}

/// Opens a speaker, ready to take sound.
///
/// # Errors
/// Any [`DeviceError`]; `auto` without a real speaker is [`DeviceError::NotFound`].
pub fn open(sink: &SpeakerSink) -> Result<Box<dyn Speaker>, DeviceError> {
    let device = sink.to_string();
    match sink {
        SpeakerSink::Null => Ok(Box::new(null::NullSpeaker::open())),
        SpeakerSink::Auto | SpeakerSink::Alsa(_) | SpeakerSink::File(_) => {
            Err(DeviceError::UnsupportedFormat { device, reason: "this kind of speaker comes next".to_owned() })
        }
    }
}
