//! The speaker `file:PATH.wav`: it writes what it plays, in stereo, at the pace of a real one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use crate::audio::{Channels, FRAME_SAMPLES, Frame, SAMPLE_RATE};
use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::pace::sleep_until;
use crate::devices::simulated::still_there;
use crate::devices::speaker::Speaker;
use crate::devices::speaker::paced::PacedBuffer;
use crate::devices::wav::{HEADER_BYTES, header};

const FRAME_BYTES: u32 = 2 * 2 * FRAME_SAMPLES as u32;

/// The speaker itself. Whoever looks at the file finds a header that fits what is there.
pub(super) struct FileSpeaker {
    device: String,
    file: File,
    bytes: u32,
    buffer: PacedBuffer,
}

impl FileSpeaker {
    pub(super) fn open(device: &str, path: &Path) -> Result<Self, DeviceError> {
        let failed = |source| DeviceError::from_io(device, "creating it", source);
        let file = File::create(path).map_err(failed)?;
        file.write_all_at(&header(SAMPLE_RATE, 2, 0), 0).map_err(failed)?;
        Ok(Self { device: device.to_owned(), file, bytes: 0, buffer: PacedBuffer::new() })
    }

    /// Samples first, then the header that speaks of them.
    fn append(&mut self, frame: &Frame) -> io::Result<()> {
        // A WAV file ends at 4 GiB: after six hours there is nothing more to hear.
        let Some(bytes) = self.bytes.checked_add(FRAME_BYTES).filter(|bytes| *bytes < u32::MAX - 64) else {
            return Ok(());
        };
        let mut samples = [0; 2 * FRAME_SAMPLES];
        frame.write_as(Channels::Stereo, &mut samples);
        let mut encoded = [0; FRAME_BYTES as usize];
        for (bytes, sample) in encoded.as_chunks_mut::<2>().0.iter_mut().zip(samples) {
            *bytes = sample.to_le_bytes();
        }
        self.file.write_all_at(&encoded, HEADER_BYTES as u64 + u64::from(self.bytes))?;
        self.file.write_all_at(&header(SAMPLE_RATE, 2, bytes), 0)?;
        self.bytes = bytes;
        Ok(())
    }
}

impl Speaker for FileSpeaker {
    fn write(&mut self, frame: &Frame) -> Result<(), DeviceError> {
        sleep_until(self.buffer.push(Monotonic::now()));
        still_there(&self.device, &self.file)?;
        self.append(frame).map_err(|source| DeviceError::from_io(&self.device, "writing it", source))
    }

    fn delay(&self) -> Duration {
        self.buffer.delay(Monotonic::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::wav::find_samples;

    #[test]
    fn the_file_is_whole_at_every_moment() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("out.wav");
        let mut speaker = FileSpeaker::open("file:out.wav", &path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 44);
        for number in 1..=8_u16 {
            let level = number as i16;
            // A mono frame is heard on both sides.
            let frame = if number % 2 == 0 { Frame::level(level) } else { Frame::sides(level, -level) };
            speaker.write(&frame).unwrap();
            let samples = find_samples(&mut File::open(&path).unwrap()).unwrap();
            assert_eq!((samples.rate, samples.channels, samples.length), (48_000, 2, u64::from(number) * 1920));
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes.len() as u64, 44 + samples.length);
            let pair = [level, if number % 2 == 0 { level } else { -level }].map(i16::to_le_bytes).concat();
            assert_eq!(bytes[bytes.len() - 1920..], pair.repeat(480));
        }
        assert!(speaker.delay() > Duration::ZERO);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let error = FileSpeaker::open("file:/nowhere/x.wav", Path::new("/nowhere/x.wav")).map(drop).unwrap_err();
        assert_eq!(error.code(), 1_006_002, "{error}");
    }
}
