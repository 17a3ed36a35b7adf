//! The microphone `file:PATH.wav`: a WAV file, looped in real time and resampled to 48 kHz. Two channels stay two; more are mixed
//! down to one.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use crate::audio::{Channels, Frame, SAMPLE_RATE};
use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::microphone::Microphone;
use crate::devices::pace::sleep_until;
use crate::devices::simulated::still_there;
use crate::devices::wav::{Samples, find_samples};

const FRAME: Duration = Duration::from_millis(10);
/// A reader that was away for longer does not get what it missed all at once.
const PATIENCE: Duration = Duration::from_millis(500);

/// Samples of a file, one after the other, from the start again after the last.
struct Loop<R> {
    file: R,
    samples: Samples,
    left: u64,
    bytes: Vec<u8>,
}

impl<R: Read + Seek> Loop<R> {
    fn new(mut file: R, samples: Samples) -> std::io::Result<Self> {
        file.seek(SeekFrom::Start(samples.start))?;
        Ok(Self { file, samples, left: samples.length, bytes: vec![0; samples.encoding.bytes() * samples.channels] })
    }

    const fn channels(&self) -> Channels {
        if self.samples.channels == 2 { Channels::Stereo } else { Channels::Mono }
    }

    /// The next sample of the left and the right channel; of both the mean when there are not just two.
    fn next(&mut self) -> std::io::Result<[f32; 2]> {
        if self.left == 0 {
            self.file.seek(SeekFrom::Start(self.samples.start))?;
            self.left = self.samples.length;
        }
        self.file.read_exact(&mut self.bytes)?;
        self.left -= self.bytes.len() as u64;
        let encoding = self.samples.encoding;
        let mut samples = self.bytes.chunks_exact(encoding.bytes()).map(|bytes| encoding.sample(bytes));
        if self.channels() == Channels::Stereo {
            return Ok([(); 2].map(|()| samples.next().unwrap_or_default()));
        }
        Ok([samples.sum::<f32>() / self.samples.channels as f32; 2])
    }
}

/// Brings samples of any rate to 48 kHz by drawing lines between them.
struct Resampler<R> {
    source: Loop<R>,
    rate: u32,
    around: [[f32; 2]; 2],
    /// How far behind `around[0]` the next sample lies, in units of 1/48000 of the source's interval.
    place: u32,
}

impl<R: Read + Seek> Resampler<R> {
    fn new(mut source: Loop<R>) -> std::io::Result<Self> {
        let around = [source.next()?, source.next()?];
        Ok(Self { rate: source.samples.rate, source, around, place: 0 })
    }

    fn fill(&mut self, frame: &mut Frame) -> std::io::Result<()> {
        let channels = self.source.channels();
        for samples in frame.reshape(channels).chunks_exact_mut(channels.count()) {
            while self.place >= SAMPLE_RATE {
                self.place -= SAMPLE_RATE;
                self.around = [self.around[1], self.source.next()?];
            }
            let weight = self.place as f32 / SAMPLE_RATE as f32;
            for (side, sample) in samples.iter_mut().enumerate() {
                let [before, after] = self.around.map(|sides| sides[side]);
                let value = before + (after - before) * weight;
                *sample = value.round().clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16;
            }
            self.place += self.rate;
        }
        Ok(())
    }
}

/// The microphone itself.
pub(super) struct FileMicrophone {
    device: String,
    sound: Resampler<BufReader<File>>,
    next: Monotonic,
}

impl FileMicrophone {
    pub(super) fn open(device: &str, path: &Path) -> Result<Self, DeviceError> {
        let failed = |source| DeviceError::from_io(device, "opening it", source);
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let samples = find_samples(&mut file)
            .map_err(|reason| DeviceError::UnsupportedFormat { device: device.to_owned(), reason })?;
        let sound = Loop::new(file, samples).and_then(Resampler::new).map_err(failed)?;
        Ok(Self { device: device.to_owned(), sound, next: Monotonic::now() })
    }
}

impl Microphone for FileMicrophone {
    fn read(&mut self, frame: &mut Frame) -> Result<Monotonic, DeviceError> {
        let now = Monotonic::now();
        if now.since(self.next) > PATIENCE {
            self.next = now;
        }
        let begin = self.next;
        self.next = begin + FRAME;
        sleep_until(self.next);
        still_there(&self.device, self.sound.source.file.get_ref())?;
        self.sound.fill(frame).map_err(|source| DeviceError::from_io(&self.device, "reading it", source))?;
        Ok(begin)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::devices::wav::{Encoding, header};

    fn resampler(values: &[i16], rate: u32, channels: usize) -> Resampler<Cursor<Vec<u8>>> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let samples = Samples { encoding: Encoding::S16, rate, channels, start: 0, length: bytes.len() as u64 };
        Resampler::new(Loop::new(Cursor::new(bytes), samples).unwrap()).unwrap()
    }

    #[test]
    fn sound_of_48_khz_passes_unchanged_and_starts_again_at_its_end() {
        let values: Vec<i16> = (0..700).map(|index| index * 40 - 14_000).collect();
        let mut source = resampler(&values, 48_000, 1);
        let mut heard = Vec::new();
        for _ in 0..3 {
            let mut frame = Frame::silent(Channels::Mono);
            source.fill(&mut frame).unwrap();
            heard.extend_from_slice(frame.samples());
        }
        assert!(heard.iter().zip(values.iter().cycle()).all(|(a, b)| a == b));
    }

    #[test]
    fn two_channels_stay_apart_and_more_are_averaged() {
        let mut sides = resampler(&[1000, 3000, -32768, 32767], 48_000, 2);
        let mut frame = Frame::silent(Channels::Mono);
        sides.fill(&mut frame).unwrap();
        assert_eq!(
            (frame.channels(), &frame.samples()[..6]),
            (Channels::Stereo, &[1000, 3000, -32768, 32767, 1000, 3000][..])
        );
        let mut source = resampler(&[1000, 3000, 2000, -32768, -32768, -32768], 48_000, 3);
        let mut frame = Frame::silent(Channels::Mono);
        source.fill(&mut frame).unwrap();
        assert_eq!((frame.channels(), &frame.samples()[..4]), (Channels::Mono, &[2000, -32768, 2000, -32768][..]));
    }

    #[test]
    fn other_rates_keep_pitch_and_length() {
        for rate in [8_000, 16_000, 44_100, 96_000] {
            // One second of 200 Hz.
            let values: Vec<i16> = (0..rate)
                .map(|index| {
                    (10_000.0 * (std::f64::consts::TAU * 200.0 * f64::from(index) / f64::from(rate)).sin()) as i16
                })
                .collect();
            let mut source = resampler(&values, rate, 1);
            let mut heard = Vec::new();
            for _ in 0..100 {
                let mut frame = Frame::silent(Channels::Mono);
                source.fill(&mut frame).unwrap();
                heard.extend_from_slice(frame.samples());
            }
            let crossings = heard.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
            assert!((199..=200).contains(&crossings), "{rate}: {crossings}");
            for (index, &sample) in heard.iter().enumerate() {
                let expected = 10_000.0 * (std::f64::consts::TAU * 200.0 * index as f64 / 48_000.0).sin();
                assert!((f64::from(sample) - expected).abs() < 150.0, "{rate} at {index}: {sample}, not {expected}");
            }
        }
    }

    #[test]
    fn a_file_is_read_at_the_pace_of_the_clock() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = header(48_000, 1, 2 * 480).to_vec();
        bytes.extend((0..480_i16).flat_map(i16::to_le_bytes));
        std::fs::write(file.path(), bytes).unwrap();
        let mut microphone = FileMicrophone::open("file:x", file.path()).unwrap();
        let mut frame = Frame::silent(Channels::Mono);
        let first = microphone.read(&mut frame).unwrap();
        for index in 1..5 {
            let begin = microphone.read(&mut frame).unwrap();
            assert_eq!(begin, first + FRAME * index);
            assert!(Monotonic::now() >= begin + FRAME);
            assert_eq!((frame.samples()[0], frame.samples()[479]), (0, 479));
        }
        std::fs::write(file.path(), b"RIFFnothing").unwrap();
        assert_eq!(FileMicrophone::open("file:x", file.path()).map(drop).unwrap_err().code(), 1_006_001);
    }
}
