//! The speaker `alsa:NAME`: an ALSA playback PCM, converted from 48 kHz by the library where the hardware needs it. It is stereo
//! when the hardware can be.

use std::time::Duration;

use alsa::pcm::{Access, Format, HwParams};
use alsa::{Direction, PCM, ValueOr};
use rustix::io::Errno;

use crate::audio::{Channels, FRAME_SAMPLES, Frame, SAMPLE_RATE};
use crate::clock::Monotonic;
use crate::devices::speaker::Speaker;
use crate::devices::{DeviceError, cards};

/// The device's buffer, 50 ms: what is heard is at most that old.
const BUFFER_SAMPLES: i64 = 2_400;
/// Sound starts when so much is there, 30 ms.
const START_SAMPLES: i64 = 1_440;
/// A device that takes nothing for so long has stopped working.
const PATIENCE: Duration = Duration::from_secs(3);
const WAIT_MS: u32 = 500;

/// The speaker itself.
pub(super) struct AlsaSpeaker {
    device: String,
    pcm: PCM,
    channels: Channels,
    underruns: u64,
}

impl AlsaSpeaker {
    pub(super) fn open(device: &str, name: &str) -> Result<Self, DeviceError> {
        let (pcm, channels) = cards::open(device, name, Direction::Playback, Channels::Stereo)?;
        let speaker = Self { device: device.to_owned(), pcm, channels, underruns: 0 };
        speaker.configure().map_err(|error| DeviceError::UnsupportedFormat {
            device: device.to_owned(),
            reason: format!("it does not take 48 kHz: {error}"),
        })?;
        Ok(speaker)
    }

    fn configure(&self) -> alsa::Result<()> {
        let hardware = HwParams::any(&self.pcm)?;
        hardware.set_rate_resample(true)?;
        hardware.set_access(Access::RWInterleaved)?;
        hardware.set_format(Format::s16())?;
        hardware.set_channels(self.channels.count() as u32)?;
        hardware.set_rate(SAMPLE_RATE, ValueOr::Nearest)?;
        hardware.set_period_size_near(FRAME_SAMPLES as i64, ValueOr::Nearest)?;
        let buffer = hardware.set_buffer_size_near(BUFFER_SAMPLES)?;
        self.pcm.hw_params(&hardware)?;
        drop(hardware);
        let software = self.pcm.sw_params_current()?;
        // A buffer that cannot hold that much would never start.
        software.set_start_threshold(START_SAMPLES.min(buffer))?;
        software.set_avail_min(FRAME_SAMPLES as i64)?;
        self.pcm.sw_params(&software)
    }

    fn failed(&self, action: &'static str, error: alsa::Error) -> DeviceError {
        let device = self.device.clone();
        match Errno::from_raw_os_error(error.errno()) {
            // A card that is pulled out answers with either.
            Errno::NODEV | Errno::BADFD => DeviceError::Unplugged { device },
            errno => DeviceError::Io { device, action, source: errno.into() },
        }
    }

    /// After it ran dry, or the machine slept: begins again.
    fn recover(&mut self, error: alsa::Error) -> Result<(), DeviceError> {
        let errno = Errno::from_raw_os_error(error.errno());
        if !matches!(errno, Errno::PIPE | Errno::STRPIPE) {
            return Err(self.failed("writing it", error));
        }
        self.underruns += 1;
        if self.underruns.is_power_of_two() {
            log::warn!("{} ran out of sound {} times", self.device, self.underruns);
        }
        self.pcm.prepare().map_err(|error| self.failed("starting it again", error))
    }
}

impl Speaker for AlsaSpeaker {
    fn write(&mut self, frame: &Frame) -> Result<(), DeviceError> {
        let width = self.channels.count();
        let mut converted = [0; 2 * FRAME_SAMPLES];
        let samples = &mut converted[..width * FRAME_SAMPLES];
        frame.write_as(self.channels, samples);
        let mut done = 0;
        let mut since = Monotonic::now();
        while done < FRAME_SAMPLES {
            let written = self.pcm.io_i16().and_then(|io| io.writei(&samples[done * width..]));
            match written {
                Ok(count) => {
                    done += count;
                    since = Monotonic::now();
                }
                Err(error) if error.errno() == Errno::AGAIN.raw_os_error() => match self.pcm.wait(Some(WAIT_MS)) {
                    Ok(_) if Monotonic::now().since(since) < PATIENCE => {}
                    Ok(_) => {
                        let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
                        return Err(DeviceError::Io {
                            device: self.device.clone(),
                            action: "waiting for room",
                            source,
                        });
                    }
                    Err(error) => self.recover(error)?,
                },
                Err(error) => self.recover(error)?,
            }
        }
        Ok(())
    }

    fn delay(&self) -> Duration {
        let samples = self.pcm.delay().unwrap_or(0).max(0) as u64;
        Duration::from_nanos(samples * 1_000_000_000 / u64::from(SAMPLE_RATE))
    }

    fn underruns(&self) -> u64 {
        self.underruns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_both_kinds_are_taken_by_a_stereo_device() {
        // ALSA's own PCM that nobody hears takes any number of channels.
        let mut speaker = AlsaSpeaker::open("alsa:null", "null").unwrap();
        assert_eq!(speaker.channels, Channels::Stereo);
        for frame in [Frame::level(1), Frame::sides(1, 2)] {
            speaker.write(&frame).unwrap();
        }
    }
}
