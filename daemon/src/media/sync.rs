//! Lip synchronisation: sound and picture of one stream appear together.
//!
//! A sender report says at which moment of the sender's clock a timestamp was captured. The sender's clock and ours differ by an unknown
//! amount, but it is the same amount for sound and picture, so the difference of their delays is known. Whichever appears earlier is
//! held back by what is too much; nothing is held back while they are close enough.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Monotonic;
use crate::rtc::SenderReport;

/// A difference that nobody notices, and the one that a correction leaves. People are used to hearing later than they see, so sound
/// may be late by more than it may be early; every millisecond that a picture is not held back is one of latency saved.
const LATE_SOUND_MS: Limit = Limit { tolerated: 70.0, left: 60.0 };
const LATE_PICTURE_MS: Limit = Limit { tolerated: 45.0, left: 30.0 };
/// The most that one of them is held back.
const MOST_MS: f64 = 400.0;
/// Weight of a new reading.
const WEIGHT: f64 = 1.0 / 32.0;
/// Readings before a correction is made.
const ENOUGH: u32 = 16;

/// What the sound and the picture of one stream know about each other. Make one for each player and give it to both.
#[derive(Clone, Debug, Default)]
pub struct LipSync {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    sound: Track,
    picture: Track,
}

struct Limit {
    tolerated: f64,
    left: f64,
}

#[derive(Debug, Default)]
struct Track {
    /// Mean of (time here it would appear without being held back) - (time there it was captured), ms.
    delay: f64,
    readings: u32,
    /// What it is held back by, ms.
    held: f64,
}

impl Track {
    fn read(&mut self, delay: f64) {
        // A jump is a new report's clock or another source: begin again.
        if self.readings == 0 || (delay - self.delay).abs() > 2000.0 {
            self.delay = delay;
            self.readings = 1;
        } else {
            self.delay += (delay - self.delay) * WEIGHT.max(1.0 / f64::from(self.readings + 1));
            self.readings = self.readings.saturating_add(1);
        }
    }
}

impl LipSync {
    /// Nothing is known yet; nothing is delayed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The sound with this timestamp is heard at `at`, having been held back as [`LipSync::hold_sound`] says.
    pub(crate) fn sound_heard(&self, report: &SenderReport, timestamp: u32, at: Monotonic) {
        let mut inner = self.inner();
        let held = inner.sound.held;
        inner.sound.read(since_capture(report, timestamp, 48_000, at) - held);
        inner.decide();
    }

    /// The picture with this timestamp is shown at `at`, having been held back as [`LipSync::hold_picture`] says.
    pub(crate) fn picture_shown(&self, report: &SenderReport, timestamp: u32, at: Monotonic) {
        let mut inner = self.inner();
        let held = inner.picture.held;
        inner.picture.read(since_capture(report, timestamp, 90_000, at) - held);
        inner.decide();
    }

    /// How long to hold back sound.
    pub(crate) fn hold_sound(&self) -> Duration {
        millis(self.inner().sound.held)
    }

    /// How long to hold back pictures.
    pub(crate) fn hold_picture(&self) -> Duration {
        millis(self.inner().picture.held)
    }

    /// How much later pictures appear than the sound of the same moment, in ms; below 0 = earlier. `None` until both were measured.
    #[must_use]
    pub fn offset_ms(&self) -> Option<i32> {
        let inner = self.inner();
        if inner.sound.readings == 0 || inner.picture.readings == 0 {
            return None;
        }
        Some(((inner.picture.delay + inner.picture.held) - (inner.sound.delay + inner.sound.held)).round() as i32)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn decide(&mut self) {
        if self.sound.readings < ENOUGH || self.picture.readings < ENOUGH {
            return;
        }
        let picture_later = self.picture.delay - self.sound.delay;
        self.sound.held = held(self.sound.held, picture_later, &LATE_PICTURE_MS);
        self.picture.held = held(self.picture.held, -picture_later, &LATE_SOUND_MS);
    }
}

/// What to hold one back by when the other is `late` ms later by itself.
fn held(now: f64, late: f64, limit: &Limit) -> f64 {
    let wanted = if late > limit.tolerated { (late - limit.left).min(MOST_MS) } else { 0.0 };
    // Small changes are not worth a correction, except the one back to nothing.
    let small = (wanted - now).abs() < 10.0 && (wanted > 0.0 || late > limit.left);
    if small { now } else { wanted }
}

fn millis(value: f64) -> Duration {
    Duration::from_secs_f64(value.max(0.0) / 1000.0)
}

/// Milliseconds of our clock since the sender's clock showed the moment of capture; only differences mean something.
fn since_capture(report: &SenderReport, timestamp: u32, rate: u32, at: Monotonic) -> f64 {
    let since_report = f64::from(timestamp.wrapping_sub(report.rtp) as i32) * 1000.0 / f64::from(rate);
    let captured = (report.ntp >> 32) as f64 * 1000.0 + (report.ntp & 0xffff_ffff) as f64 * 1000.0 / 4_294_967_296.0;
    at.as_nanos() as f64 / 1_000_000.0 - captured - since_report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rtp: u32) -> SenderReport {
        SenderReport { ntp: 3_900_000_000 << 32 | 1 << 31, rtp, arrived: Monotonic::from_millis(0) }
    }

    /// Plays ten seconds in which sound and picture take so long by themselves; returns the offset and the holds at the end.
    fn play(sound_ms: u64, picture_ms: u64) -> (Option<i32>, Duration, Duration) {
        let sync = LipSync::new();
        // The first sound and the first picture were captured at the same moment; their timestamps wrap on the way.
        let (sound, picture) = (report(u32::MAX - 1000), report(5));
        for n in 0..500_u64 {
            let at = |delay: u64, hold: Duration| Monotonic::from_millis(1000 + n * 20 + delay) + hold;
            let ticks = |rate: u32| (n as u32 * 20).wrapping_mul(rate / 1000);
            sync.sound_heard(&sound, sound.rtp.wrapping_add(ticks(48_000)), at(sound_ms, sync.hold_sound()));
            sync.picture_shown(&picture, picture.rtp.wrapping_add(ticks(90_000)), at(picture_ms, sync.hold_picture()));
        }
        (sync.offset_ms(), sync.hold_sound(), sync.hold_picture())
    }

    #[test]
    fn what_is_close_enough_is_left_alone() {
        for (sound, picture, offset) in [(85, 20, -65), (20, 60, 40), (30, 30, 0)] {
            assert_eq!(play(sound, picture), (Some(offset), Duration::ZERO, Duration::ZERO));
        }
    }

    #[test]
    fn the_earlier_one_waits_for_the_later_one() {
        let (offset, sound, picture) = play(150, 20);
        assert!((-75..=-50).contains(&offset.expect("measured")), "{offset:?}");
        assert!(sound.is_zero() && picture.as_millis() >= 55, "{sound:?} {picture:?}");
        let (offset, sound, picture) = play(40, 160);
        assert!((20..=50).contains(&offset.expect("measured")), "{offset:?}");
        assert!(picture.is_zero() && sound.as_millis() >= 75, "{sound:?} {picture:?}");
    }

    #[test]
    fn nothing_is_held_without_both() {
        let sync = LipSync::new();
        for n in 0..100 {
            sync.picture_shown(&report(0), n * 3000, Monotonic::from_millis(u64::from(n) * 33));
        }
        assert_eq!((sync.offset_ms(), sync.hold_picture()), (None, Duration::ZERO));
    }

    #[test]
    fn the_hold_is_limited() {
        let (_, sound, picture) = play(20, 5000);
        assert!(sound <= Duration::from_millis(400) && picture.is_zero(), "{sound:?}");
    }
}
