//! From one end to the other: the time from a capture there until it is seen or heard here.

use std::time::Duration;

use crate::clock::Monotonic;

/// Weight of a new reading: the mean is of about the last sixteen.
const WEIGHT: f64 = 1.0 / 16.0;
/// Another reading than the mean by this much, in ms, is another source, not jitter: the mean begins anew.
const JUMP_MS: f64 = 2000.0;
/// Timestamps this far from one whose capture time is known are of another source.
const FAR: Duration = Duration::from_secs(10);
/// What was measured so long ago is not known any more.
const OLD: Duration = Duration::from_secs(6);

/// The delay of one track. Capture times come with some packets; of the others they are counted by their timestamps.
#[derive(Debug)]
pub(super) struct EndToEnd {
    /// Ticks of the timestamps per second.
    rate: u32,
    known: Option<(u32, Monotonic)>,
    /// Mean in ms, and when the newest reading was made.
    mean: Option<(f64, Monotonic)>,
}

impl EndToEnd {
    pub(super) const fn new(rate: u32) -> Self {
        Self { rate, known: None, mean: None }
    }

    /// What has this timestamp was captured at `captured`, by our clock.
    pub(super) const fn captured(&mut self, timestamp: u32, captured: Monotonic) {
        self.known = Some((timestamp, captured));
    }

    /// What has this timestamp is seen or heard at `at`. Of a track whose packets say no capture times, nothing is learnt.
    pub(super) fn presented(&mut self, timestamp: u32, at: Monotonic) {
        let Some((near, captured)) = self.known else { return };
        let ticks = i64::from(timestamp.wrapping_sub(near) as i32);
        let time = Duration::from_secs_f64(ticks.unsigned_abs() as f64 / f64::from(self.rate));
        if time > FAR || at.since(captured) > FAR {
            return;
        }
        let captured = if ticks < 0 { captured - time } else { captured + time };
        let delay = at.since(captured).as_secs_f64() * 1000.0;
        let mean = match self.mean {
            Some((mean, _)) if (delay - mean).abs() < JUMP_MS => mean + (delay - mean) * WEIGHT,
            _ => delay,
        };
        self.mean = Some((mean, at));
    }

    /// The mean of the last readings; `None` when nothing was measured for some time.
    pub(super) fn delay(&self, now: Monotonic) -> Option<Duration> {
        let (mean, at) = self.mean?;
        (now.since(at) < OLD).then(|| Duration::from_secs_f64(mean / 1000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_millis(millis)
    }

    #[test]
    fn a_track_without_capture_times_has_no_delay() {
        let mut track = EndToEnd::new(90_000);
        track.presented(5, at(100));
        assert_eq!(track.delay(at(100)), None);
    }

    #[test]
    fn capture_times_are_counted_by_the_timestamps_before_and_after_the_known_one() {
        let mut track = EndToEnd::new(48_000);
        track.captured(u32::MAX - 100, at(10_000));
        for (packets, shown) in [(-3_i64, 10_140), (0, 10_200), (9, 10_380)] {
            track.presented((i64::from(u32::MAX - 100) + packets * 960) as u32, at(shown));
            assert_eq!(track.delay(at(shown)), Some(Duration::from_millis(200)), "{packets}");
        }
    }

    #[test]
    fn jitter_is_smoothed_and_a_jump_is_believed() {
        let mut track = EndToEnd::new(90_000);
        for n in 0..200_u32 {
            let captured = 10_000 + u64::from(n) * 40;
            track.captured(n * 3600, at(captured));
            track.presented(n * 3600, at(captured + if n % 2 == 0 { 90 } else { 110 }));
        }
        let delay = track.delay(at(18_000)).expect("measured").as_secs_f64() * 1000.0;
        assert!((delay - 100.0).abs() < 2.0, "{delay}");
        track.captured(800_000, at(18_100));
        track.presented(800_000, at(21_000));
        assert_eq!(track.delay(at(21_000)), Some(Duration::from_millis(2900)));
    }

    #[test]
    fn what_is_old_or_of_another_source_says_nothing() {
        let mut track = EndToEnd::new(90_000);
        track.captured(0, at(10_000));
        track.presented(0, at(10_050));
        track.presented(20 * 90_000, at(10_060));
        assert_eq!(track.delay(at(16_000)), Some(Duration::from_millis(50)), "another source's timestamp");
        assert_eq!(track.delay(at(16_100)), None);
        track.presented(0, at(25_000));
        assert_eq!(track.delay(at(25_000)), None, "nobody told capture times for long");
    }
}
