//! Sound level meters and voice activity. A meter that nobody listens to does not look at its sound.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::mixer::{Loudness, mean_square};
use crate::audio::Frame;
use crate::clock::Monotonic;

/// A meter that was given no sound for this long shows silence.
const STALE: Duration = Duration::from_millis(300);

/// How many listen to the meters: all meters of one engine share it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Audience {
    listeners: Arc<AtomicUsize>,
}

impl Audience {
    /// Somebody listens, until the returned seat is dropped.
    #[must_use]
    pub fn join(&self) -> Seat {
        self.listeners.fetch_add(1, Ordering::Relaxed);
        Seat { audience: self.clone() }
    }

    fn is_empty(&self) -> bool {
        self.listeners.load(Ordering::Relaxed) == 0
    }
}

/// One listener of the meters.
#[derive(Debug)]
pub struct Seat {
    audience: Audience,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.audience.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a meter shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoundReading {
    /// RMS level of the last 100 ms, of both sides of stereo together: 0 (-60 dBFS or less) to 100 (0 dBFS), linear in dB.
    pub level: f64,
    /// Somebody speaks; see [`VoiceActivity`].
    pub voice: bool,
}

impl SoundReading {
    /// The louder of two, and a voice in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { level: self.level.max(other.level), voice: self.voice || other.voice }
    }
}

/// The meter of one microphone or one received voice. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SoundMeter {
    audience: Audience,
    state: Arc<Mutex<Option<State>>>,
}

#[derive(Debug)]
struct State {
    loudness: Loudness,
    voice: VoiceActivity,
    at: Monotonic,
}

impl SoundMeter {
    /// A meter for this audience.
    #[must_use]
    pub fn new(audience: &Audience) -> Self {
        Self { audience: audience.clone(), state: Arc::default() }
    }

    /// Takes 10 ms of sound.
    pub fn add(&self, frame: &Frame, now: Monotonic) {
        if self.audience.is_empty() {
            return;
        }
        let mut slot = self.lock();
        let is_stale = slot.as_ref().is_none_or(|state| now.since(state.at) > STALE);
        if is_stale {
            *slot = Some(State { loudness: Loudness::default(), voice: VoiceActivity::default(), at: now });
        }
        if let Some(state) = slot.as_mut() {
            state.at = now;
            state.loudness.add(frame);
            state.voice.add(frame);
        }
    }

    /// What it shows now; silence when no sound comes.
    #[must_use]
    pub fn reading(&self, now: Monotonic) -> SoundReading {
        match self.lock().as_ref().filter(|state| now.since(state.at) <= STALE) {
            Some(state) => SoundReading { level: state.loudness.level(), voice: state.voice.is_active() },
            None => SoundReading::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frames of 10 ms that have to be loud in a row before it is a voice: a click is shorter.
const ONSET: u32 = 5;
/// Frames that a voice goes on after its last loud one: the gaps between words.
const HANGOVER: u32 = 30;
/// Frames that one minimum of the noise floor is looked for in, and how many of them count: about the last 1.2 s.
const BLOCK: u32 = 30;
const BLOCKS: usize = 4;
/// Frames before anything is decided: the floor of the room is not known earlier.
const LEARNING: u32 = 30;
/// How much louder than the floor a voice is, in dB. The RMS of 10 ms of steady noise varies by less than 3 dB.
const ABOVE_FLOOR_DB: f64 = 9.0;
/// Quieter than this, in dBFS, is nothing.
const LEAST_DB: f64 = -55.0;

/// Voice or noise, by energy: a voice rises and falls by more than steady noise does.
///
/// A frame is loud when it is [`ABOVE_FLOOR_DB`] above the quietest one of the last 1.2 s. Its limits: it takes anything that
/// comes and goes (music, clapping, a passing car) for a voice, and a steady hum, however loud, for noise.
#[derive(Debug)]
pub struct VoiceActivity {
    /// The quietest frame of the last blocks, and of the one that is being filled, in dBFS.
    floors: [f64; BLOCKS],
    block: f64,
    frames: u32,
    loud: u32,
    hangover: u32,
}

impl Default for VoiceActivity {
    fn default() -> Self {
        Self { floors: [0.0; BLOCKS], block: 0.0, frames: 0, loud: 0, hangover: 0 }
    }
}

impl VoiceActivity {
    /// Takes 10 ms.
    pub fn add(&mut self, frame: &Frame) {
        let power = mean_square(frame.samples()) as f64 / f64::from(32_768).powi(2);
        let level = 10.0 * power.max(1e-9).log10();
        self.block = self.block.min(level);
        let floor = self.floors.iter().copied().fold(self.block, f64::min).max(LEAST_DB - ABOVE_FLOOR_DB);
        self.frames = self.frames.saturating_add(1);
        if self.frames.is_multiple_of(BLOCK) {
            self.floors.rotate_left(1);
            self.floors[BLOCKS - 1] = self.block;
            self.block = 0.0;
        }
        let is_loud = level > LEAST_DB && level > floor + ABOVE_FLOOR_DB && self.frames > LEARNING;
        self.loud = if is_loud { self.loud + 1 } else { 0 };
        if self.loud >= ONSET || (is_loud && self.hangover > 0) {
            self.hangover = HANGOVER;
        } else {
            self.hangover = self.hangover.saturating_sub(1);
        }
    }

    /// Somebody speaks, or did until a moment ago.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.hangover > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone() -> Frame {
        Frame::level(3277)
    }

    fn noise(seed: &mut u32, amplitude: i32) -> Frame {
        let mut frame = Frame::level(0);
        frame.samples_mut().fill_with(|| {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (((*seed >> 16) as i32 - 32_768) * amplitude / 32_768) as i16
        });
        frame
    }

    fn at(frame: u64) -> Monotonic {
        Monotonic::from_millis(1000 + frame * 10)
    }

    /// The share of the frames after the first second that count as a voice.
    fn active(frames: impl Iterator<Item = Frame>) -> f64 {
        let mut voice = VoiceActivity::default();
        let (mut all, mut spoken) = (0.0, 0.0);
        for (n, frame) in frames.enumerate() {
            voice.add(&frame);
            if n >= 100 {
                all += 1.0;
                spoken += f64::from(u8::from(voice.is_active()));
            }
        }
        spoken / all
    }

    #[test]
    fn a_meter_shows_what_it_hears_and_falls_to_zero_without_sound() {
        let audience = Audience::default();
        let meter = SoundMeter::new(&audience);
        let _seat = audience.join();
        (0..10).for_each(|n| meter.add(&tone(), at(n)));
        let level = meter.reading(at(10)).level;
        assert!((level - 66.7).abs() < 0.5, "-20 dBFS is two thirds of 60 dB: {level}");
        assert_eq!(meter.reading(at(60)), SoundReading::default(), "no sound came for half a second");
        meter.add(&tone(), at(61));
        assert!(meter.reading(at(61)).level < 1.0, "what was before a pause is not shown again");
    }

    #[test]
    fn nothing_is_measured_for_an_empty_audience() {
        let audience = Audience::default();
        let meter = SoundMeter::new(&audience);
        (0..10).for_each(|n| meter.add(&tone(), at(n)));
        assert!(meter.lock().is_none(), "nobody listens");
        let seat = audience.join();
        (10..20).for_each(|n| meter.add(&tone(), at(n)));
        assert!(meter.reading(at(20)).level > 60.0);
        drop(seat);
        (20..80).for_each(|n| meter.add(&tone(), at(n)));
        assert_eq!(meter.reading(at(80)), SoundReading::default(), "nobody listens any more");
    }

    #[test]
    fn steady_noise_and_hum_are_no_voice() {
        for amplitude in [300, 3000, 20_000] {
            let mut seed = 7;
            let share = active((0..1000).map(|_| noise(&mut seed, amplitude)));
            assert!(share < 0.01, "noise of {amplitude}: {share}");
        }
        assert!(active((0..1000).map(|_| tone())) < 0.01);
        assert!(active((0..1000).map(|_| Frame::level(0))) < 0.01);
    }

    #[test]
    fn syllables_in_noise_are_a_voice_and_the_pause_after_them_is_none() {
        let mut seed = 7;
        let mut voice = VoiceActivity::default();
        (0..100).for_each(|_| voice.add(&noise(&mut seed, 300)));
        assert!(!voice.is_active());
        let mut spoken = 0;
        for n in 0..200 {
            // Four syllables a second, 150 ms each.
            let loud = n % 25 < 15;
            voice.add(&noise(&mut seed, if loud { 6000 } else { 300 }));
            spoken += u32::from(voice.is_active());
        }
        assert!(spoken > 180, "{spoken} of 200");
        (0..60).for_each(|_| voice.add(&noise(&mut seed, 300)));
        assert!(!voice.is_active(), "300 ms after the last word it is over");
        (0..3).for_each(|_| voice.add(&noise(&mut seed, 20_000)));
        assert!(!voice.is_active(), "a click is shorter than a voice");
    }
}
