//! Opus decoding (RFC 6716): packets, what forward error correction repeats of a lost one, and concealment.

use opus::Decoder;

use super::CodecError;
use crate::audio::{Channels, SAMPLE_RATE};

/// The longest sound of one packet, in samples of each channel: 120 ms.
pub const MAX_PACKET_SAMPLES: usize = 5_760;

/// A decoder to so many channels, whatever the packets have: one is mixed down to, two are heard alike where there is only one.
pub struct OpusDecoder {
    decoder: Decoder,
    channels: Channels,
}

impl OpusDecoder {
    /// A decoder.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn new(channels: Channels) -> Result<Self, CodecError> {
        let of = match channels {
            Channels::Mono => opus::Channels::Mono,
            Channels::Stereo => opus::Channels::Stereo,
        };
        Decoder::new(SAMPLE_RATE, of)
            .map(|decoder| Self { decoder, channels })
            .map_err(|error| CodecError::Create { codec: "Opus", reason: error.to_string() })
    }

    /// How many channels it decodes to.
    #[must_use]
    pub const fn channels(&self) -> Channels {
        self.channels
    }

    /// How many channels `packet` has: bit s of its first byte, RFC 6716 §3.1. A sender may change them with every packet.
    #[must_use]
    pub fn channels_of(packet: &[u8]) -> Channels {
        if packet.first().is_some_and(|toc| toc & 4 != 0) { Channels::Stereo } else { Channels::Mono }
    }

    /// Samples of each channel that `packet` decodes to, at 48 kHz; `None` when it is not Opus.
    #[must_use]
    pub fn samples(packet: &[u8]) -> Option<usize> {
        opus::packet::get_nb_samples(packet, SAMPLE_RATE)
            .ok()
            .filter(|&samples| samples > 0 && samples <= MAX_PACKET_SAMPLES)
    }

    /// Decodes a packet and appends its sound to `sound`; two channels in turn, left first.
    ///
    /// # Errors
    /// [`CodecError::Decode`]; `sound` is as before.
    pub fn decode(&mut self, packet: &[u8], sound: &mut Vec<i16>) -> Result<(), CodecError> {
        self.run(packet, MAX_PACKET_SAMPLES, false, sound)
    }

    /// Appends `samples` of each channel of the lost packet before `packet`, from what `packet` repeats of it, or a guess where it repeats nothing.
    ///
    /// # Errors
    /// [`CodecError::Decode`]; `sound` is as before.
    pub fn repair(&mut self, packet: &[u8], samples: usize, sound: &mut Vec<i16>) -> Result<(), CodecError> {
        self.run(packet, samples, true, sound)
    }

    /// Appends `samples` (a multiple of 120) of each channel that continue the sound where nothing arrived; it fades when it goes on.
    ///
    /// # Errors
    /// [`CodecError::Decode`]; `sound` is as before.
    pub fn conceal(&mut self, samples: usize, sound: &mut Vec<i16>) -> Result<(), CodecError> {
        self.run(&[], samples, false, sound)
    }

    fn run(&mut self, packet: &[u8], samples: usize, fec: bool, sound: &mut Vec<i16>) -> Result<(), CodecError> {
        let before = sound.len();
        let width = self.channels.count();
        sound.resize(before + samples * width, 0);
        match self.decoder.decode(packet, &mut sound[before..], fec) {
            Ok(decoded) => {
                sound.truncate(before + decoded * width);
                Ok(())
            }
            Err(error) => {
                sound.truncate(before);
                Err(CodecError::Decode { codec: "Opus", reason: error.to_string() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::{OpusEncoder, OpusSettings, PACKET_SAMPLES};

    /// 20 ms of something like speech: 140 Hz with overtones, rising, in syllables of 150 ms with pauses between them.
    fn voice(packet: usize) -> [i16; PACKET_SAMPLES] {
        std::array::from_fn(|i| {
            let t = (packet * PACKET_SAMPLES + i) as f64 / 48_000.0;
            let pitch = std::f64::consts::TAU * (140.0 * t + 10.0 * t * t);
            let syllable = (t * 4.0).fract();
            let loudness = if syllable < 0.6 { (syllable / 0.6 * std::f64::consts::PI).sin() } else { 0.0 };
            (5000.0 * loudness * (pitch.sin() + 0.5 * (2.0 * pitch).sin() + 0.3 * (5.0 * pitch).sin())) as i16
        })
    }

    fn packets(count: usize, loss: f32) -> Vec<Vec<u8>> {
        let mut encoder =
            OpusEncoder::new(OpusSettings { bits_per_second: 32_000, channels: Channels::Mono }).expect("encoder");
        encoder.set_expected_loss(loss);
        (0..count)
            .map(|n| {
                let mut packet = vec![0; 1500];
                let length = encoder.encode(&voice(n), &mut packet).expect("encoded");
                packet.truncate(length);
                packet
            })
            .collect()
    }

    fn energy(sound: &[i16]) -> f64 {
        sound.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / sound.len() as f64
    }

    fn error(a: &[i16], b: &[i16]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>() / a.len() as f64
    }

    #[test]
    fn a_packet_is_20_ms_and_garbage_is_none() {
        for packet in packets(5, 0.0) {
            assert_eq!(OpusDecoder::samples(&packet), Some(960));
        }
        assert_eq!(OpusDecoder::samples(&[]), None);
    }

    #[test]
    fn sound_keeps_its_level() {
        let mut decoder = OpusDecoder::new(Channels::Mono).expect("decoder");
        let mut sound = Vec::new();
        for packet in packets(50, 0.0) {
            decoder.decode(&packet, &mut sound).expect("decoded");
        }
        assert_eq!(sound.len(), 50 * 960);
        let source: Vec<i16> = (0..50).flat_map(voice).collect();
        let ratio = energy(&sound[9600..]) / energy(&source[9600..]);
        assert!((0.7..1.3).contains(&ratio), "{ratio}");
    }

    #[test]
    fn a_lost_packet_is_repaired_from_the_next_one_better_than_guessed() {
        let packets = packets(60, 0.2);
        let (mut guessed, mut repaired) = (0.0, 0.0);
        for lost in [20, 31, 42, 53] {
            let mut sounds = Vec::new();
            for repair in [None, Some(false), Some(true)] {
                let mut decoder = OpusDecoder::new(Channels::Mono).expect("decoder");
                let mut sound = Vec::new();
                for (n, packet) in packets.iter().enumerate().take(lost + 1) {
                    match repair {
                        Some(fec) if n == lost => {
                            if fec {
                                decoder.repair(&packets[n + 1], 960, &mut sound).expect("repaired");
                            } else {
                                decoder.conceal(960, &mut sound).expect("concealed");
                            }
                        }
                        _ => decoder.decode(packet, &mut sound).expect("decoded"),
                    }
                }
                assert_eq!(sound.len(), (lost + 1) * 960);
                sounds.push(sound.split_off(lost * 960));
            }
            guessed += error(&sounds[0], &sounds[1]);
            repaired += error(&sounds[0], &sounds[2]);
        }
        assert!(repaired < guessed, "repaired {repaired:.0}, guessed {guessed:.0}");
    }

    /// How loud a tone is in one side of stereo, as the power of its bin of the last half second.
    fn power(sound: &[i16], side: usize, hertz: f64) -> f64 {
        let tail = &sound[sound.len() - 48_000..];
        let (mut re, mut im) = (0.0, 0.0);
        for (i, pair) in tail.as_chunks::<2>().0.iter().enumerate() {
            let turn = std::f64::consts::TAU * hertz * i as f64 / 48_000.0;
            re += f64::from(pair[side]) * turn.cos();
            im += f64::from(pair[side]) * turn.sin();
        }
        re * re + im * im
    }

    #[test]
    fn the_sides_of_stereo_stay_apart_at_every_preset() {
        // What repairs losses is taken from the sides: they are less far apart then, and still two.
        for (kbps, loss, least) in [(56, 0.0, 30.0), (192, 0.0, 30.0), (56, 0.1, 12.0)] {
            let settings = OpusSettings { bits_per_second: kbps * 1000, channels: Channels::Stereo };
            let mut encoder = OpusEncoder::new(settings).expect("encoder");
            encoder.set_expected_loss(loss);
            let mut decoder = OpusDecoder::new(Channels::Stereo).expect("decoder");
            let mut sound = Vec::new();
            for n in 0..100 {
                let samples: Vec<i16> = (0..PACKET_SAMPLES)
                    .flat_map(|i| {
                        let t = (n * PACKET_SAMPLES + i) as f64 / 48_000.0 * std::f64::consts::TAU;
                        [440.0, 1000.0].map(|hertz| (8000.0 * (hertz * t).sin()) as i16)
                    })
                    .collect();
                let mut packet = vec![0; 1500];
                let length = encoder.encode(&samples, &mut packet).expect("encoded");
                assert_eq!(OpusDecoder::channels_of(&packet[..length]), Channels::Stereo);
                assert_eq!(OpusDecoder::samples(&packet[..length]), Some(960));
                decoder.decode(&packet[..length], &mut sound).expect("decoded");
            }
            assert_eq!(sound.len(), 2 * 100 * PACKET_SAMPLES);
            for (side, own, other) in [(0, 440.0, 1000.0), (1, 1000.0, 440.0)] {
                let apart = 10.0 * (power(&sound, side, own) / power(&sound, side, other)).log10();
                assert!(apart > least, "{kbps} kbit/s, loss {loss}: side {side} only {apart:.1} dB");
            }
        }
    }

    #[test]
    fn one_kind_of_packet_decodes_to_the_other_kind_of_sound() {
        let mono = packets(1, 0.0).remove(0);
        assert_eq!(OpusDecoder::channels_of(&mono), Channels::Mono);
        let mut both = Vec::new();
        OpusDecoder::new(Channels::Stereo).expect("decoder").decode(&mono, &mut both).expect("decoded");
        assert!(both.len() == 1920 && both.as_chunks::<2>().0.iter().all(|[left, right]| left == right));
    }

    #[test]
    fn damage_leaves_the_sound_as_it_was() {
        let mut decoder = OpusDecoder::new(Channels::Mono).expect("decoder");
        let mut sound = vec![1, 2, 3];
        // Code 3 with a frame count of zero, which RFC 6716 §3.2.5 forbids.
        assert!(decoder.decode(&[0x7b, 0x00], &mut sound).is_err());
        assert_eq!(sound, [1, 2, 3]);
    }
}
