//! Adding up voices.

use crate::audio::{Channels, FRAME_SAMPLES, Frame};

/// Volume as the API counts it, 0 to 200 (100 = as it is), as a factor in 1/256.
#[must_use]
pub fn factor(percent: u8) -> i32 {
    i32::from(percent.min(200)) * 256 / 100
}

/// Changes the volume of samples in place, with saturation.
pub fn scale(samples: &mut [i16], factor: i32) {
    if factor != 256 {
        for sample in samples {
            *sample = saturate((i32::from(*sample) * factor) >> 8);
        }
    }
}

/// A sum of frames with room for overshoot. It is mono until something stereo is added.
#[derive(Debug)]
pub struct Sum {
    channels: Channels,
    samples: [i32; 2 * FRAME_SAMPLES],
}

impl Default for Sum {
    fn default() -> Self {
        Self { channels: Channels::Mono, samples: [0; 2 * FRAME_SAMPLES] }
    }
}

impl Sum {
    /// Adds a frame at this volume.
    pub fn add(&mut self, frame: &Frame, factor: i32) {
        let at_volume = |sample: i16| (i32::from(sample) * factor) >> 8;
        if self.channels < frame.channels() {
            self.widen();
        }
        if self.channels == frame.channels() {
            for (sum, &sample) in self.samples.iter_mut().zip(frame.samples()) {
                *sum += at_volume(sample);
            }
        } else {
            for (pair, &sample) in self.samples.as_chunks_mut::<2>().0.iter_mut().zip(frame.samples()) {
                pair.iter_mut().for_each(|sum| *sum += at_volume(sample));
            }
        }
    }

    /// What was mono so far is on both sides from now on.
    fn widen(&mut self) {
        self.channels = Channels::Stereo;
        for i in (0..FRAME_SAMPLES).rev() {
            (self.samples[2 * i], self.samples[2 * i + 1]) = (self.samples[i], self.samples[i]);
        }
    }

    /// Writes the sum at this volume; what is too loud is cut off at the top, not wrapped around.
    pub fn write(&self, factor: i32, frame: &mut Frame) {
        for (sample, &sum) in frame.reshape(self.channels).iter_mut().zip(&self.samples) {
            *sample = saturate(((i64::from(sum) * i64::from(factor)) >> 8).clamp(-32_768, 32_767) as i32);
        }
    }
}

fn saturate(sample: i32) -> i16 {
    sample.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

/// Loudness of sound for meters and RFC 6464: the mean square of some frames, and of both sides of stereo (one of them alone is
/// 3 dB less than the same in mono).
#[derive(Clone, Copy, Debug, Default)]
pub struct Loudness {
    /// Of the frames' mean squares.
    sum: u64,
    frames: u32,
    /// Of the last complete 100 ms; silence before.
    level: f64,
}

impl Loudness {
    /// Takes 10 ms.
    pub fn add(&mut self, frame: &Frame) {
        self.sum += mean_square(frame.samples());
        self.frames += 1;
        if self.frames == 10 {
            let shown = decibels(self.sum / 10);
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
    (-decibels(mean_square(samples))).clamp(0.0, 127.0).round() as u8
}

/// The mean of the squares of all samples, of whichever channel.
#[must_use]
pub fn mean_square(samples: &[i16]) -> u64 {
    let sum: u64 = samples.iter().map(|&sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
    sum / (samples.len() as u64).max(1)
}

/// Of a mean square, relative to full scale; -127 for nothing.
fn decibels(mean_square: u64) -> f64 {
    if mean_square == 0 { -127.0 } else { 10.0 * (mean_square as f64 / f64::from(32_768).powi(2)).log10() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sum: &Sum, percent: u8) -> Vec<i16> {
        let mut frame = Frame::silent(Channels::Mono);
        sum.write(factor(percent), &mut frame);
        frame.samples().to_vec()
    }

    #[test]
    fn voices_add_up_and_saturate() {
        let mut sum = Sum::default();
        sum.add(&Frame::level(20_000), factor(100));
        assert_eq!(written(&sum, 100), [20_000; 480]);
        sum.add(&Frame::level(20_000), factor(50));
        assert_eq!(written(&sum, 100), [30_000; 480]);
        sum.add(&Frame::level(20_000), factor(200));
        assert_eq!(written(&sum, 100), [i16::MAX; 480]);
        let mut low = Sum::default();
        (0..3).for_each(|_| low.add(&Frame::level(i16::MIN), factor(200)));
        assert_eq!(written(&low, 200), [i16::MIN; 480]);
    }

    #[test]
    fn mono_and_stereo_add_up_in_any_order() {
        let (mono, stereo) = (Frame::level(1000), Frame::sides(200, -3000));
        for order in [[&mono, &stereo, &mono], [&stereo, &mono, &mono], [&mono, &mono, &stereo]] {
            let mut sum = Sum::default();
            order.into_iter().for_each(|frame| sum.add(frame, factor(100)));
            assert_eq!(written(&sum, 100), [2200, -1000].repeat(480));
        }
    }

    #[test]
    fn overshoot_of_one_voice_comes_back_under_a_low_volume() {
        let mut sum = Sum::default();
        (0..2).for_each(|_| sum.add(&Frame::level(30_000), factor(100)));
        assert_eq!(written(&sum, 50), [30_000; 480]);
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
        (0..10).for_each(|_| loudness.add(&Frame::level(3277)));
        assert!((loudness.level() - 66.7).abs() < 0.5, "{}", loudness.level());
        (0..10).for_each(|_| loudness.add(&Frame::level(0)));
        assert_eq!(loudness.level(), 0.0);
        (0..10).for_each(|_| loudness.add(&Frame::sides(3277, 3277)));
        assert!(
            (loudness.level() - 66.7).abs() < 0.5,
            "the same on both sides is as loud as mono: {}",
            loudness.level()
        );
        (0..10).for_each(|_| loudness.add(&Frame::sides(3277, 0)));
        assert!((loudness.level() - 61.7).abs() < 0.5, "one side alone is 3 dB less: {}", loudness.level());
    }
}
