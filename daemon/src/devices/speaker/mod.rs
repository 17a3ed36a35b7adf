//! Speakers: something that takes sound at its own pace.

mod alsa;
mod file;
mod null;
mod paced;
mod sink;

use std::time::Duration;

use ::alsa::Direction;
pub use sink::SpeakerSink;

use crate::audio::Frame;
use crate::devices::{DeviceError, cards};

/// An opened speaker: 48 kHz, 10 ms at a time, of as many channels as each frame has: the device makes of it what it can. Dropping it stops the sound and releases the device.
pub trait Speaker: Send {
    /// Plays the next 10 ms; blocks while the device's buffer is full, so the caller runs at the device's clock.
    ///
    /// # Errors
    /// [`DeviceError::Unplugged`] when the device went away, [`DeviceError::Io`] when it stopped working.
    fn write(&mut self, frame: &Frame) -> Result<(), DeviceError>;

    /// How long from now a sample takes that is written next until it sounds.
    fn delay(&self) -> Duration;

    /// How often it ran out of sound since it was opened.
    fn underruns(&self) -> u64 {
        0
    }
}

/// Opens a speaker, ready to take sound.
///
/// # Errors
/// Any [`DeviceError`]; `auto` without a real speaker is [`DeviceError::NotFound`].
pub fn open(sink: &SpeakerSink) -> Result<Box<dyn Speaker>, DeviceError> {
    let device = sink.to_string();
    match sink {
        SpeakerSink::Null => Ok(Box::new(null::NullSpeaker::open())),
        SpeakerSink::File(path) => Ok(Box::new(file::FileSpeaker::open(&device, path)?)),
        SpeakerSink::Alsa(name) => Ok(Box::new(alsa::AlsaSpeaker::open(&device, name)?)),
        SpeakerSink::Auto => {
            let first = cards::list(Direction::Playback).into_iter().next();
            let first = first.ok_or_else(|| DeviceError::NotFound {
                device: "a speaker".to_owned(),
                advice: "this machine has none; connect one, or set [speaker] sink".to_owned(),
            })?;
            open(&SpeakerSink::Alsa(first.id))
        }
    }
}
