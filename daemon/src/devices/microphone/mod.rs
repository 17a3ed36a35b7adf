//! Microphones: something that delivers sound at its own pace.

mod source;
pub mod tone;

pub use source::MicrophoneSource;

use crate::audio::Frame;
use crate::clock::Monotonic;
use crate::devices::DeviceError;

/// An opened microphone: 48 kHz, mono, 10 ms at a time. Dropping it stops the capture and releases the device.
pub trait Microphone: Send {
    /// Waits for the next 10 ms of sound and returns when its first sample was taken.
    ///
    /// # Errors
    /// [`DeviceError::Unplugged`] when the device went away, [`DeviceError::Io`] when it stopped working.
    fn read(&mut self, frame: &mut Frame) -> Result<Monotonic, DeviceError>;
}

/// Opens a microphone and starts capturing.
///
/// # Errors
/// Any [`DeviceError`]; `none`, and `auto` without a real microphone, are [`DeviceError::NotFound`].
pub fn open(source: &MicrophoneSource) -> Result<Box<dyn Microphone>, DeviceError> {
    let device = source.to_string();
    match source {
        MicrophoneSource::Tone(name) => Ok(Box::new(tone::ToneMicrophone::open(name))),
        MicrophoneSource::None => Err(DeviceError::NotFound {
            device: "a microphone".to_owned(),
            advice: "set [microphone] source".to_owned(),
        }),
        MicrophoneSource::Auto | MicrophoneSource::Alsa(_) | MicrophoneSource::File(_) => {
            Err(DeviceError::UnsupportedFormat { device, reason: "this kind of microphone comes next".to_owned() })
        }
    }
}
