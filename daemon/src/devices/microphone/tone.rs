//! The test sound: silence, and a beep in the first 100 ms of every whole second of CLOCK_MONOTONIC.
//!
//! The `pattern` camera flashes in the same 100 ms, so the two show how far apart picture and sound arrive. Every sample has
//! its place on the clock: sample n of a second is taken n / 48000 s into it.

use std::f64::consts::TAU;
use std::time::Duration;

use crate::audio::{Channels, FRAME_SAMPLES, Frame, SAMPLE_RATE};
use crate::clock::Monotonic;
use crate::devices::microphone::Microphone;
use crate::devices::pace::sleep_until;
use crate::devices::{DeviceError, name_hash};

const FRAME: Duration = Duration::from_millis(10);
const FRAMES_PER_SECOND: u64 = 100;
const BEEP_FRAMES: u64 = 10;
/// -12 dBFS, peak.
const PEAK: f64 = 8230.0;
/// A reader that was away for longer misses sound, as with any device.
const PATIENCE: Duration = Duration::from_millis(500);

/// The beep's frequency in Hz: 1000 without a name; the name itself when it is a number from 100 to 8000; otherwise one of
/// twelve that depends on the name.
#[must_use]
pub fn frequency(name: &str) -> u32 {
    const OTHERS: [u32; 12] = [400, 500, 600, 700, 800, 1200, 1400, 1600, 1800, 2200, 2600, 3000];
    if name.is_empty() {
        return 1000;
    }
    match name.parse() {
        Ok(hertz @ 100..=8000) => hertz,
        _ => OTHERS[(name_hash(name) % 12) as usize],
    }
}

/// The microphone `tone[:NAME]`.
pub(super) struct ToneMicrophone {
    beep: Vec<i16>,
    /// Number of the next frame since the clock's start, in units of 10 ms.
    next: u64,
}

impl ToneMicrophone {
    pub(super) fn open(name: &str) -> Self {
        let step = TAU * f64::from(frequency(name)) / f64::from(SAMPLE_RATE);
        let samples = BEEP_FRAMES as usize * FRAME_SAMPLES;
        let beep = (0..samples).map(|index| (PEAK * (step * index as f64).sin()).round() as i16).collect();
        Self { beep, next: Self::frame_at(Monotonic::now()) }
    }

    const fn frame_at(time: Monotonic) -> u64 {
        time.as_millis() / 10
    }

    /// The sound of frame `number`.
    fn render(&self, number: u64, frame: &mut Frame) {
        let place = number % FRAMES_PER_SECOND;
        let samples = frame.reshape(Channels::Mono);
        if place < BEEP_FRAMES {
            samples.copy_from_slice(&self.beep[place as usize * FRAME_SAMPLES..][..FRAME_SAMPLES]);
        } else {
            samples.fill(0);
        }
    }
}

impl Microphone for ToneMicrophone {
    fn read(&mut self, frame: &mut Frame) -> Result<Monotonic, DeviceError> {
        let now = Monotonic::now();
        if now.since(Monotonic::from_millis(self.next * 10)) > PATIENCE {
            self.next = Self::frame_at(now);
        }
        let begin = Monotonic::from_millis(self.next * 10);
        // A frame is there when its last sample was taken.
        sleep_until(begin + FRAME);
        self.render(self.next, frame);
        self.next += 1;
        Ok(begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(name: &str) -> Vec<i16> {
        let microphone = ToneMicrophone::open(name);
        let mut all = Vec::new();
        for number in 0..FRAMES_PER_SECOND {
            let mut frame = Frame::silent(Channels::Mono);
            microphone.render(1_234_500 + number, &mut frame);
            all.extend(frame.samples());
        }
        all
    }

    #[test]
    fn the_beep_is_a_tenth_of_a_second_of_1_khz_at_minus_12_dbfs() {
        let sound = second("");
        assert!(sound[4800..].iter().all(|&sample| sample == 0), "silence after the beep");
        let crossings = sound[..4800].windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        assert_eq!(crossings, 99, "100 periods");
        let peak = f64::from(sound[..4800].iter().map(|sample| sample.unsigned_abs()).max().unwrap());
        let decibels = 20.0 * (peak / 32768.0).log10();
        assert!((decibels + 12.0).abs() < 0.05, "{decibels} dBFS");
        assert_eq!((sound[0], sound[12]), (0, 8230), "the phase starts with the second");
    }

    #[test]
    fn names_choose_the_frequency() {
        assert_eq!((frequency(""), frequency("440"), frequency("8000")), (1000, 440, 8000));
        for name in ["2", "desk", "9000"] {
            assert_ne!(frequency(name), 1000);
            assert_eq!(frequency(name), frequency(name));
        }
        assert_ne!(second("2"), second(""));
    }

    #[test]
    fn frames_follow_each_other_without_a_gap_at_the_pace_of_the_clock() {
        let mut microphone = ToneMicrophone::open("");
        let mut frame = Frame::silent(Channels::Mono);
        let first = microphone.read(&mut frame).unwrap();
        assert_eq!(first.as_nanos() % 10_000_000, 0, "on the 10 ms grid");
        for index in 1..6 {
            let begin = microphone.read(&mut frame).unwrap();
            assert_eq!(begin, first + FRAME * index);
            assert!(Monotonic::now() >= begin + FRAME, "no sample before it was taken");
        }
    }

    #[test]
    fn a_reader_that_slept_hears_the_present() {
        let mut microphone = ToneMicrophone::open("");
        microphone.next -= 200;
        let mut frame = Frame::silent(Channels::Mono);
        let begin = microphone.read(&mut frame).unwrap();
        assert!(Monotonic::now().since(begin) < Duration::from_secs(1));
    }
}
