//! The microphone `alsa:NAME`: an ALSA capture PCM, converted to 48 kHz by the library where the hardware needs it.

use std::time::Duration;

use alsa::pcm::{Access, Format, HwParams};
use alsa::{Direction, PCM, ValueOr};
use rustix::io::Errno;

use crate::audio::{Channels, FRAME_SAMPLES, Frame, SAMPLE_RATE};
use crate::clock::Monotonic;
use crate::devices::microphone::Microphone;
use crate::devices::{DeviceError, cards};

const FRAME: Duration = Duration::from_millis(10);
/// The device's buffer. It adds no delay, it only forgives a late reader.
const BUFFER_SAMPLES: i64 = 9_600;
/// A device that delivers nothing for so long has stopped working.
const PATIENCE: Duration = Duration::from_secs(3);
const WAIT_MS: u32 = 500;

/// The microphone itself.
pub(super) struct AlsaMicrophone {
    device: String,
    pcm: PCM,
    channels: Channels,
    clock: SampleClock,
    overruns: u64,
}

impl AlsaMicrophone {
    pub(super) fn open(device: &str, name: &str, wanted: Channels) -> Result<Self, DeviceError> {
        let (pcm, channels) = cards::open(device, name, Direction::Capture, wanted)?;
        let microphone = Self { device: device.to_owned(), pcm, channels, clock: SampleClock::default(), overruns: 0 };
        microphone.configure().map_err(|error| DeviceError::UnsupportedFormat {
            device: device.to_owned(),
            reason: format!("it does not give 48 kHz: {error}"),
        })?;
        microphone.pcm.start().map_err(|error| microphone.failed("starting it", error))?;
        Ok(microphone)
    }

    fn configure(&self) -> alsa::Result<()> {
        let hardware = HwParams::any(&self.pcm)?;
        hardware.set_rate_resample(true)?;
        hardware.set_access(Access::RWInterleaved)?;
        hardware.set_format(Format::s16())?;
        hardware.set_channels(self.channels.count() as u32)?;
        hardware.set_rate(SAMPLE_RATE, ValueOr::Nearest)?;
        hardware.set_period_size_near(FRAME_SAMPLES as i64, ValueOr::Nearest)?;
        hardware.set_buffer_size_near(BUFFER_SAMPLES)?;
        self.pcm.hw_params(&hardware)
    }

    fn failed(&self, action: &'static str, error: alsa::Error) -> DeviceError {
        let device = self.device.clone();
        match Errno::from_raw_os_error(error.errno()) {
            // A card that is pulled out answers with either.
            Errno::NODEV | Errno::BADFD => DeviceError::Unplugged { device },
            errno => DeviceError::Io { device, action, source: errno.into() },
        }
    }

    /// After sound was lost, or the machine slept: begins again.
    fn recover(&mut self, error: alsa::Error) -> Result<(), DeviceError> {
        let errno = Errno::from_raw_os_error(error.errno());
        if !matches!(errno, Errno::PIPE | Errno::STRPIPE) {
            return Err(self.failed("reading it", error));
        }
        self.overruns += 1;
        if self.overruns.is_power_of_two() {
            log::warn!("{} lost sound {} times: the reader was late", self.device, self.overruns);
        }
        self.clock = SampleClock::default();
        self.pcm.prepare().and_then(|()| self.pcm.start()).map_err(|error| self.failed("starting it again", error))
    }
}

impl Microphone for AlsaMicrophone {
    fn read(&mut self, frame: &mut Frame) -> Result<Monotonic, DeviceError> {
        let samples = frame.reshape(self.channels);
        let width = self.channels.count();
        let mut filled = 0;
        let mut since = Monotonic::now();
        while filled < FRAME_SAMPLES {
            let read = self.pcm.io_i16().and_then(|io| io.readi(&mut samples[filled * width..]));
            match read {
                Ok(count) => {
                    filled += count;
                    since = Monotonic::now();
                }
                Err(error) if error.errno() == Errno::AGAIN.raw_os_error() => match self.pcm.wait(Some(WAIT_MS)) {
                    Ok(_) if Monotonic::now().since(since) < PATIENCE => {}
                    Ok(_) => {
                        let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
                        return Err(DeviceError::Io {
                            device: self.device.clone(),
                            action: "waiting for sound",
                            source,
                        });
                    }
                    Err(error) => self.recover(error)?,
                },
                Err(error) => {
                    self.recover(error)?;
                    // What was read before the gap does not belong with what comes after it.
                    filled = 0;
                }
            }
        }
        let waiting = self.pcm.avail_update().unwrap_or(0).max(0) as u64;
        Ok(self.clock.frame(Monotonic::now(), waiting))
    }

    fn overruns(&self) -> u64 {
        self.overruns
    }
}

/// Tells when the first sample of a frame was taken: as the device's own clock has it, freed of the jitter with which a
/// reader looks at it.
#[derive(Debug, Default)]
struct SampleClock {
    expected: Option<Monotonic>,
}

impl SampleClock {
    /// A frame was read at `now`, and `waiting` samples behind it are there already.
    fn frame(&mut self, now: Monotonic, waiting: u64) -> Monotonic {
        let behind = Duration::from_nanos(waiting * 1_000_000_000 / u64::from(SAMPLE_RATE));
        let measured = now - behind - FRAME;
        let begin = match self.expected {
            // A 32nd of the difference each time follows a drifting clock and hides jitter.
            Some(expected) if measured.since(expected) < 2 * FRAME && expected.since(measured) < 2 * FRAME => {
                expected + measured.since(expected) / 32 - expected.since(measured) / 32
            }
            _ => measured,
        };
        self.expected = Some(begin + FRAME);
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_smoothed_drift_is_followed_and_a_jump_is_believed() {
        let mut clock = SampleClock::default();
        let start = Monotonic::from_millis(10_000);
        assert_eq!(clock.frame(start, 480), start - 2 * FRAME);
        // Readers that are late by up to 5 ms, as the waiting samples do not show.
        for index in 1..500_u32 {
            let late = Duration::from_micros(u64::from(index * 7919 % 5000));
            let begin = clock.frame(start + FRAME * index + late, 480);
            let ideal = start + FRAME * index - 2 * FRAME;
            let off = begin.since(ideal).max(ideal.since(begin));
            assert!(off < Duration::from_millis(4), "{index}: {off:?}");
        }
        let begin = clock.frame(start + Duration::from_secs(60), 0);
        assert_eq!(begin, start + Duration::from_secs(60) - FRAME);
        // A device that runs 1 % fast.
        let period = Duration::from_micros(9_900);
        let fast = start + Duration::from_secs(60);
        let last =
            (1..2_000_u32).map(|index| (clock.frame(fast + period * index, 0), fast + period * index - FRAME)).last();
        let (begin, ideal) = last.unwrap();
        assert!(begin.since(ideal).max(ideal.since(begin)) < Duration::from_millis(5), "{begin:?} {ideal:?}");
    }
}
