//! Adding up voices.

use crate::audio::{FRAME_SAMPLES, Frame};

/// Volume as the API counts it, 0 to 200 (100 = as it is), as a factor in 1/256.
#[must_use]
pub fn factor(percent: u8) -> i32 {
    i32::from(percent.min(200)) * 256 / 100
}

/// Changes the volume of one frame in place, with saturation.
pub fn scale(frame: &mut Frame, factor: i32) {
    if factor != 256 {
        for sample in frame {
            *sample = saturate((i32::from(*sample) * factor) >> 8);
        }
    }
}

/// A sum of frames with room for overshoot.
#[derive(Debug)]
pub struct Sum {
    samples: [i32; FRAME_SAMPLES],
}

impl Default for Sum {
    fn default() -> Self {
        Self { samples: [0; FRAME_SAMPLES] }
    }
}

impl Sum {
    /// Adds a frame at this volume.
    pub fn add(&mut self, frame: &Frame, factor: i32) {
        for (sum, &sample) in self.samples.iter_mut().zip(frame) {
            *sum += (i32::from(sample) * factor) >> 8;
        }
    }

    /// The sum at this volume; what is too loud is cut off at the top, not wrapped around.
    #[must_use]
    pub fn frame(&self, factor: i32) -> Frame {
        std::array::from_fn(|i| {
            saturate(((i64::from(self.samples[i]) * i64::from(factor)) >> 8).clamp(-32_768, 32_767) as i32)
        })
    }
}

fn saturate(sample: i32) -> i16 {
    sample.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

/// Loudness of sound for meters and RFC 6464: the mean square of some frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loudness {
    sum: u64,
    frames: u32,
    /// Of the last complete 100 ms; silence before.
    level: f64,
}

impl Loudness {
    /// Takes 10 ms.
    pub fn add(&mut self, frame: &Frame) {
        self.sum += frame.iter().map(|&sample| u64::from(sample.unsigned_abs()).pow(2)).sum::<u64>();
        self.frames += 1;
        if self.frames == 10 {
            let shown = decibels(self.sum / (10 * FRAME_SAMPLES as u64));
            self.level = ((shown + 60.0) / 60.0 * 100.0).clamp(0.0, 100.0);
            (self.sum, self.frames) = (0, 0);
        }
    }

    /// 0 (-60 dB below full scale or less) to 100 (full scale), of the last 100 ms.
    #[must_use]
    pub const fn level(&self) -> f64 {
        self.level
    }
}

/// Level in -dBov as RFC 6464 wants it: 0 (loudest) to 127 (silence).
#[must_use]
pub fn audio_level(samples: &[i16]) -> u8 {
    let sum: u64 = samples.iter().map(|&sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
    (-decibels(sum / (samples.len() as u64).max(1))).clamp(0.0, 127.0).round() as u8
}

/// Of a mean square, relative to full scale; -127 for nothing.
fn decibels(mean_square: u64) -> f64 {
    if mean_square == 0 { -127.0 } else { 10.0 * (mean_square as f64 / f64::from(32_768).powi(2)).log10() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voices_add_up_and_saturate() {
        let mut sum = Sum::default();
        sum.add(&[20_000; FRAME_SAMPLES], factor(100));
        assert_eq!(sum.frame(factor(100))[0], 20_000);
        sum.add(&[20_000; FRAME_SAMPLES], factor(50));
        assert_eq!(sum.frame(factor(100))[7], 30_000);
        sum.add(&[20_000; FRAME_SAMPLES], factor(200));
        assert_eq!(sum.frame(factor(100))[0], i16::MAX);
        let mut low = Sum::default();
        (0..3).for_each(|_| low.add(&[i16::MIN; FRAME_SAMPLES], factor(200)));
        assert_eq!(low.frame(factor(200))[479], i16::MIN);
    }

    #[test]
    fn overshoot_of_one_voice_comes_back_under_a_low_volume() {
        let mut sum = Sum::default();
        (0..2).for_each(|_| sum.add(&[30_000; FRAME_SAMPLES], factor(100)));
        assert_eq!(sum.frame(factor(50))[0], 30_000);
    }

    #[test]
    fn volumes() {
        for (percent, expected) in [(0, 0), (50, 500), (100, 1000), (200, 2000), (250, 2000)] {
            let mut frame = [1000; FRAME_SAMPLES];
            scale(&mut frame, factor(percent));
            assert_eq!(frame[0], expected, "{percent}");
        }
    }

    #[test]
    fn levels() {
        assert_eq!(audio_level(&[0; 960]), 127);
        assert_eq!(audio_level(&[i16::MIN; 960]), 0);
        assert_eq!(audio_level(&[3277; 960]), 20);
        let mut loudness = Loudness::default();
        assert_eq!(loudness.level(), 0.0);
        (0..10).for_each(|_| loudness.add(&[3277; FRAME_SAMPLES]));
        assert!((loudness.level() - 66.7).abs() < 0.5, "{}", loudness.level());
        (0..10).for_each(|_| loudness.add(&[0; FRAME_SAMPLES]));
        assert_eq!(loudness.level(), 0.0);
    }
}
