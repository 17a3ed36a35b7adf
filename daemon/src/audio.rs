//! The one sound format inside the daemon: 48 kHz, signed 16 bit, one channel or two.
//!
//! Opus runs at 48 kHz, so devices convert rates at their edge and nothing between them has to. Every frame says how many channels
//! it has: mono stays mono, and costs what one channel costs, until it meets something that has two.

/// Samples per second and channel.
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples of one channel in one device frame: 10 ms, the period that capture, playback and the mixer work in.
pub const FRAME_SAMPLES: usize = 480;

/// How many channels sound has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channels {
    /// One.
    #[default]
    Mono,
    /// Left and right.
    Stereo,
}

impl Channels {
    /// The number.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }
}

/// 10 ms of sound: 480 samples of one channel, or 480 pairs of left and right.
#[derive(Clone, Debug)]
pub struct Frame {
    channels: Channels,
    /// Those of the channels come first; the rest has no meaning.
    samples: [i16; 2 * FRAME_SAMPLES],
}

impl Frame {
    /// A frame in which nothing is heard.
    #[must_use]
    pub const fn silent(channels: Channels) -> Self {
        Self { channels, samples: [0; 2 * FRAME_SAMPLES] }
    }

    /// How many channels it has.
    #[must_use]
    pub const fn channels(&self) -> Channels {
        self.channels
    }

    /// The samples; of two channels in turn, left first.
    #[must_use]
    pub fn samples(&self) -> &[i16] {
        &self.samples[..self.channels.count() * FRAME_SAMPLES]
    }

    /// As [`Frame::samples`], to be changed.
    pub fn samples_mut(&mut self) -> &mut [i16] {
        &mut self.samples[..self.channels.count() * FRAME_SAMPLES]
    }

    /// Gives it so many channels, and the samples of them to be written: what they are before means nothing.
    pub fn reshape(&mut self, channels: Channels) -> &mut [i16] {
        self.channels = channels;
        self.samples_mut()
    }

    /// Writes the frame with so many channels to `out`, which holds just that: mono goes to both sides, stereo becomes the mean.
    pub fn write_as(&self, channels: Channels, out: &mut [i16]) {
        match (self.channels, channels) {
            (Channels::Mono, Channels::Stereo) => {
                for (pair, &sample) in out.as_chunks_mut::<2>().0.iter_mut().zip(self.samples()) {
                    *pair = [sample; 2];
                }
            }
            (Channels::Stereo, Channels::Mono) => {
                for (mean, &[left, right]) in out.iter_mut().zip(self.samples().as_chunks::<2>().0) {
                    *mean = i16::midpoint(left, right);
                }
            }
            (Channels::Mono, Channels::Mono) | (Channels::Stereo, Channels::Stereo) => {
                out.copy_from_slice(self.samples());
            }
        }
    }
}

#[cfg(test)]
impl Frame {
    /// Mono that has this value all the time.
    pub(crate) fn level(sample: i16) -> Self {
        let mut frame = Self::silent(Channels::Mono);
        frame.samples_mut().fill(sample);
        frame
    }

    /// Stereo whose sides have these values all the time.
    pub(crate) fn sides(left: i16, right: i16) -> Self {
        let mut frame = Self::silent(Channels::Stereo);
        frame.samples_mut().as_chunks_mut::<2>().0.fill([left, right]);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mono_is_heard_on_both_sides_and_stereo_becomes_the_mean() {
        let mut stereo = [0; 2 * FRAME_SAMPLES];
        Frame::level(700).write_as(Channels::Stereo, &mut stereo);
        assert_eq!(stereo, [700; 2 * FRAME_SAMPLES]);
        let mut mono = [0; FRAME_SAMPLES];
        for (left, right, mean) in
            [(100, 300, 200), (i16::MAX, i16::MAX, i16::MAX), (i16::MIN, i16::MIN, i16::MIN), (-500, 500, 0)]
        {
            Frame::sides(left, right).write_as(Channels::Mono, &mut mono);
            assert_eq!(mono, [mean; FRAME_SAMPLES], "{left} {right}");
        }
    }

    #[test]
    fn a_frame_has_the_samples_of_its_channels() {
        let mut frame = Frame::sides(1, 2);
        assert_eq!((frame.samples().len(), &frame.samples()[..4]), (960, &[1, 2, 1, 2][..]));
        frame.reshape(Channels::Mono).fill(5);
        assert_eq!((frame.channels(), frame.samples()), (Channels::Mono, &[5; FRAME_SAMPLES][..]));
    }
}
