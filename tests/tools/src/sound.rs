//! Synthetic speech-like sound, so that a codec has something to do: syllables of a voice with two formants, hisses
//! between them, and pauses.

use std::f64::consts::TAU;
use std::io::{self, Write};

/// Samples per second.
pub const RATE: u32 = 48_000;

/// `seconds` of sound, mono.
#[must_use]
pub fn speech(seconds: u32) -> Vec<i16> {
    let mut noise = 0x1234_5678_u32;
    let mut phase = 0.0;
    (0..RATE * seconds)
        .map(|sample| {
            let time = f64::from(sample) / f64::from(RATE);
            let syllable = (time * 4.0).floor();
            let place = time * 4.0 - syllable;
            // Two words of five syllables, then a pause of one.
            let speaking = f64::from(u8::from(syllable.rem_euclid(6.0) < 5.0));
            let envelope = speaking * (place * std::f64::consts::PI).sin().max(0.0).sqrt();
            let pitch = 115.0 + 25.0 * (time * 1.3).sin() + 10.0 * place;
            phase = (phase + pitch / f64::from(RATE)).fract();
            let (first, second) = (400.0 + 300.0 * (syllable * 1.7).sin(), 1500.0 + 600.0 * (syllable * 2.3).cos());
            let voice: f64 = (1..24)
                .map(|harmonic| {
                    let frequency = f64::from(harmonic) * pitch;
                    let near = |formant: f64| (-((frequency - formant) / 250.0).powi(2)).exp();
                    (near(first) + 0.5 * near(second) + 0.05) * (TAU * phase * f64::from(harmonic)).sin()
                })
                .sum();
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = (f64::from(noise >> 16) / 32768.0 - 1.0) * if place < 0.2 { 0.08 } else { 0.002 };
            #[allow(clippy::cast_possible_truncation)] // clamped
            let level = ((voice * 0.18 * envelope + hiss) * 32767.0).clamp(-32768.0, 32767.0) as i16;
            level
        })
        .collect()
}

/// Writes samples as a WAV file (16 bit, mono).
///
/// # Errors
/// Those of the output.
pub fn write_wav(output: &mut impl Write, samples: &[i16]) -> io::Result<()> {
    let size = u32::try_from(samples.len() * 2).map_err(io::Error::other)?;
    output.write_all(b"RIFF")?;
    output.write_all(&(36 + size).to_le_bytes())?;
    output.write_all(b"WAVEfmt ")?;
    output.write_all(&16_u32.to_le_bytes())?;
    output.write_all(&1_u16.to_le_bytes())?;
    output.write_all(&1_u16.to_le_bytes())?;
    output.write_all(&RATE.to_le_bytes())?;
    output.write_all(&(RATE * 2).to_le_bytes())?;
    output.write_all(&2_u16.to_le_bytes())?;
    output.write_all(&16_u16.to_le_bytes())?;
    output.write_all(b"data")?;
    output.write_all(&size.to_le_bytes())?;
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    output.write_all(&bytes)
}

/// The samples of a WAV file that [`write_wav`] made.
#[must_use]
pub fn samples_of_wav(bytes: &[u8]) -> Vec<i16> {
    bytes.get(44..).unwrap_or_default().chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_is_loud_enough_and_never_clips_all_the_time() {
        let samples = speech(3);
        let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
        assert!(peak > 6000, "{peak}");
        assert!(samples.iter().filter(|s| s.unsigned_abs() >= 32767).count() < samples.len() / 1000);
    }

    #[test]
    fn a_wav_file_holds_the_samples() {
        let mut file = Vec::new();
        write_wav(&mut file, &[1, -2, 3]).expect("writes to memory");
        assert_eq!(file.len(), 50);
        assert_eq!(samples_of_wav(&file), [1, -2, 3]);
    }
}
