//! Microphones: something that delivers sound at its own pace.

mod alsa;
mod file;
mod source;
pub mod tone;

use ::alsa::Direction;
pub use source::MicrophoneSource;

use crate::audio::{Channels, Frame};
use crate::clock::Monotonic;
use crate::devices::{DeviceError, cards};

/// An opened microphone: 48 kHz, one channel or two, 10 ms at a time. Dropping it stops the capture and releases the device.
pub trait Microphone: Send {
    /// Waits for the next 10 ms of sound, which come with the device's channels, and returns when its first sample was taken.
    ///
    /// # Errors
    /// [`DeviceError::Unplugged`] when the device went away, [`DeviceError::Io`] when it stopped working.
    fn read(&mut self, frame: &mut Frame) -> Result<Monotonic, DeviceError>;

    /// How often sound was lost since it was opened, because nobody read it in time.
    fn overruns(&self) -> u64 {
        0
    }
}

/// Opens a microphone and starts capturing. A sound card gives two channels when it has them and they are wanted, otherwise one;
/// simulated microphones give what they have.
///
/// # Errors
/// Any [`DeviceError`]; `none`, and `auto` without a real microphone, are [`DeviceError::NotFound`].
pub fn open(source: &MicrophoneSource, wanted: Channels) -> Result<Box<dyn Microphone>, DeviceError> {
    let device = source.to_string();
    let none = |advice: &str| DeviceError::NotFound { device: "a microphone".to_owned(), advice: advice.to_owned() };
    match source {
        MicrophoneSource::Tone(name) => Ok(Box::new(tone::ToneMicrophone::open(name))),
        MicrophoneSource::File(path) => Ok(Box::new(file::FileMicrophone::open(&device, path)?)),
        MicrophoneSource::Alsa(name) => Ok(Box::new(alsa::AlsaMicrophone::open(&device, name, wanted)?)),
        MicrophoneSource::Auto => {
            let first = cards::list(Direction::Capture).into_iter().next();
            let first = first.ok_or_else(|| none("this machine has none; connect one, or set [microphone] source"))?;
            open(&MicrophoneSource::Alsa(first.id), wanted)
        }
        MicrophoneSource::None => Err(none("the configuration says none; set [microphone] source")),
    }
}
