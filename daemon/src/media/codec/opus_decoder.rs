//! Opus decoding (RFC 6716): packets, what forward error correction repeats of a lost one, and concealment.

use opus::{Channels, Decoder};

use super::CodecError;
use crate::audio::SAMPLE_RATE;

/// The longest sound of one packet: 120 ms.
pub const MAX_PACKET_SAMPLES: usize = 5_760;

/// A decoder to mono; stereo packets are mixed down.
pub struct OpusDecoder {
    decoder: Decoder,
}

impl OpusDecoder {
    /// A decoder.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn new() -> Result<Self, CodecError> {
        Decoder::new(SAMPLE_RATE, Channels::Mono)
            .map(|decoder| Self { decoder })
            .map_err(|error| CodecError::Create { codec: "Opus", reason: error.to_string() })
    }

    /// Samples that `packet` decodes to, at 48 kHz; `None` when it is not Opus.
    #[must_use]
    pub fn samples(packet: &[u8]) -> Option<usize> {
        opus::packet::get_nb_samples(packet, SAMPLE_RATE)
            .ok()
            .filter(|&samples| samples > 0 && samples <= MAX_PACKET_SAMPLES)
    }

    /// Decodes a packet and appends its sound to `sound`.
    ///
    /// # Errors
    /// [`CodecError::Decode`]; `sound` is as before.
    pub fn decode(&mut self, packet: &[u8], sound: &mut Vec<i16>) -> Result<(), CodecError> {
        self.run(packet, MAX_PACKET_SAMPLES, false, sound)
    }

    /// Appends `samples` of the lost packet before `packet`, from what `packet` repeats of it, or a guess where it repeats nothing.
    ///
    /// # Errors
    /// [`CodecError::Decode`]; `sound` is as before.
    pub fn repair(&mut self, packet: &[u8], samples: usize, sound: &mut Vec<i16>) -> Result<(), CodecError> {
        self.run(packet, samples, true, sound)
    }

    /// Appends `samples` (a multiple of 120) that continue the sound where nothing arrived; it fades when it goes on.
    ///
    /// # Errors
    /// [`CodecError::Decode`]; `sound` is as before.
    pub fn conceal(&mut self, samples: usize, sound: &mut Vec<i16>) -> Result<(), CodecError> {
        self.run(&[], samples, false, sound)
    }

    fn run(&mut self, packet: &[u8], samples: usize, fec: bool, sound: &mut Vec<i16>) -> Result<(), CodecError> {
        let before = sound.len();
        sound.resize(before + samples, 0);
        match self.decoder.decode(packet, &mut sound[before..], fec) {
            Ok(decoded) => {
                sound.truncate(before + decoded);
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
    use crate::media::codec::opus_encoder::PACKET_SAMPLES;
    use crate::media::codec::{OpusEncoder, OpusSettings};

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
        let mut encoder = OpusEncoder::new(OpusSettings { bits_per_second: 32_000 }).expect("encoder");
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
        let mut decoder = OpusDecoder::new().expect("decoder");
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
                let mut decoder = OpusDecoder::new().expect("decoder");
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

    #[test]
    fn damage_leaves_the_sound_as_it_was() {
        let mut decoder = OpusDecoder::new().expect("decoder");
        let mut sound = vec![1, 2, 3];
        // Code 3 with a frame count of zero, which RFC 6716 §3.2.5 forbids.
        assert!(decoder.decode(&[0x7b, 0x00], &mut sound).is_err());
        assert_eq!(sound, [1, 2, 3]);
    }
}
