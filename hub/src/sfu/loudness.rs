//! How loud a sound track is, by what its publisher writes into its packets' headers (RFC 6464). The sound itself stays unread, so this
//! works for content that is encrypted end to end, too.
//!
//! Levels are in -dBov: 0 is loudest, 127 is silence. What counts as speaking, and for how long, is as with LiveKit's servers.

use std::time::{Duration, Instant};

/// Somebody speaks, or not, for so long at a time; loudness is told this often.
pub const INTERVAL: Duration = Duration::from_millis(400);
/// What is not quieter than this is sound.
const ACTIVE: u8 = 35;
/// Whoever makes sound for this share of the time speaks.
const ACTIVE_SHARE: f32 = 0.4;
/// Weight of the newest interval: the centre of two.
const SMOOTHING: f32 = 2.0 / 3.0;
/// Opus has no longer packets (RFC 6716 section 2.1.4). What is between two packets beyond that was silent.
const LONGEST_PACKET: Duration = Duration::from_millis(120);
/// A track of which nothing came for so long is silent.
const STALE: Duration = Duration::from_millis(800);
/// Loudness is told in so many steps.
pub const STEPS: u8 = 8;

/// Loudness of one track.
#[derive(Debug, Default)]
pub struct Loudness {
    /// Newest RTP timestamp, and when it came.
    newest: Option<(u32, Instant)>,
    observed: Duration,
    active: Duration,
    loudest: Option<u8>,
    /// Amplitude, 1 is full scale.
    smoothed: f32,
}

impl Loudness {
    /// A packet of this level with an RTP timestamp in `rate` Hz came.
    pub fn hear(&mut self, level: u8, timestamp: u32, rate: u32, now: Instant) {
        let ticks = self.newest.map_or(0, |(newest, _)| timestamp.wrapping_sub(newest));
        // It was overtaken.
        if ticks > u32::MAX / 2 {
            return;
        }
        let passed = Duration::from_micros(u64::from(ticks) * 1_000_000 / u64::from(rate.max(1)));
        self.newest = Some((timestamp, now));
        self.observed += passed;
        if level <= ACTIVE {
            self.active += passed.min(LONGEST_PACKET);
            self.loudest = Some(self.loudest.map_or(level, |loudest| loudest.min(level)));
        }
        if self.observed >= INTERVAL {
            self.finish_interval();
        }
    }

    fn finish_interval(&mut self) {
        let share = (self.active.as_secs_f32() / INTERVAL.as_secs_f32()).min(1.0);
        self.smoothed = match self.loudest {
            Some(loudest) if share >= ACTIVE_SHARE => {
                let amplitude = share * amplitude(loudest);
                self.smoothed + (amplitude - self.smoothed) * SMOOTHING
            }
            _ => 0.0,
        };
        (self.observed, self.active, self.loudest) = (Duration::ZERO, Duration::ZERO, None);
    }

    /// Loudness in [`STEPS`], 0 when nobody speaks.
    pub fn step(&mut self, now: Instant) -> u8 {
        if !self.is_fresh(now) {
            *self = Loudness::default();
        }
        if self.smoothed < amplitude(ACTIVE) {
            return 0;
        }
        (self.smoothed * f32::from(STEPS)).ceil().clamp(1.0, f32::from(STEPS)) as u8
    }

    /// Whether anything came lately.
    pub fn is_fresh(&self, now: Instant) -> bool {
        self.newest.is_some_and(|(_, at)| now.saturating_duration_since(at) < STALE)
    }
}

fn amplitude(level: u8) -> f32 {
    10f32.powf(-f32::from(level) / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;
    const PACKET: u32 = RATE / 50;

    /// Hears packets of 20 ms; what it shows after each 400 ms.
    fn steps(levels: &[u8]) -> Vec<u8> {
        let start = Instant::now();
        let mut loudness = Loudness::default();
        let mut shown = Vec::new();
        for (n, level) in levels.iter().enumerate() {
            let at = start + Duration::from_millis(20) * n as u32;
            loudness.hear(*level, (n as u32).wrapping_mul(PACKET).wrapping_sub(7 * PACKET), RATE, at);
            if n > 0 && n % 20 == 0 {
                shown.push(loudness.step(at));
            }
        }
        shown
    }

    #[test]
    fn who_is_loud_for_two_fifths_of_the_time_speaks() {
        let pattern = |loud: usize| (0..61).map(|n| if n % 20 < loud { 10 } else { 127 }).collect::<Vec<u8>>();
        assert_eq!(steps(&pattern(20)), [2, 3, 3]);
        assert_eq!(steps(&pattern(9)), [1, 2, 2]);
        assert_eq!(steps(&pattern(7)), [0, 0, 0]);
        assert_eq!(steps(&[0; 61]), [6, 8, 8]);
        assert_eq!(steps(&[36; 61]), [0, 0, 0], "too quiet to be sound");
        // Half of the amplitude of what is just sound, because of the smoothing, and then enough.
        assert_eq!(steps(&[35; 61])[0], 0);
        assert_eq!(steps(&[30; 61]), [1, 1, 1]);
    }

    #[test]
    fn who_falls_silent_stops_speaking_with_the_interval() {
        let mut levels = vec![10; 41];
        levels.extend([127; 20]);
        assert_eq!(steps(&levels), [2, 3, 0]);
    }

    #[test]
    fn a_track_that_ends_or_pauses_is_silent() {
        let start = Instant::now();
        let mut loudness = Loudness::default();
        for n in 0..41u32 {
            loudness.hear(5, n * PACKET, RATE, start + Duration::from_millis(20) * n);
        }
        let end = start + Duration::from_millis(800);
        assert!(loudness.step(end) > 0 && loudness.is_fresh(end));
        assert_eq!(loudness.step(end + STALE), 0);
        // One loud packet after ten seconds of nothing is not ten seconds of sound.
        loudness.hear(5, 40 * PACKET, RATE, end + STALE);
        loudness.hear(0, 40 * PACKET + 10 * RATE, RATE, end + STALE);
        assert_eq!(loudness.step(end + STALE), 0);
    }

    #[test]
    fn overtaken_packets_change_nothing() {
        let now = Instant::now();
        let mut loudness = Loudness::default();
        loudness.hear(127, 20 * PACKET, RATE, now);
        for n in 0..20 {
            loudness.hear(0, n * PACKET, RATE, now);
        }
        assert_eq!((loudness.step(now), loudness.observed), (0, Duration::ZERO));
    }
}
