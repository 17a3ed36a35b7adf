//! How much the network's delay varies, and how long a voice has to wait for its packets because of that.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Monotonic;

/// Packets that the estimate looks back on: five seconds of 20 ms packets.
const WINDOW: usize = 256;
/// Before so many packets the starting value counts.
const ENOUGH: usize = 10;
const START: i64 = 20_000;
const LEAST: i64 = 10_000;
const MOST: i64 = 400_000;
/// For what the estimate cannot see: scheduling of the playing thread.
const MARGIN: i64 = 5_000;

/// Estimates the delay that lets all but the latest few packets be there in time. Times are microseconds.
#[derive(Debug, Default)]
pub(super) struct DelayEstimator {
    /// Transit time of each packet; only differences mean something, the clocks are not the same.
    transits: VecDeque<i64>,
    losses: VecDeque<bool>,
    target: Option<i64>,
    fastest: i64,
    since_update: usize,
}

impl DelayEstimator {
    /// A packet with this unwrapped 48 kHz timestamp arrived.
    pub(super) fn arrived(&mut self, at: Monotonic, timestamp: i64) {
        let transit = transit(at, timestamp);
        if self.transits.len() == WINDOW {
            self.transits.pop_front();
        }
        self.transits.push_back(transit);
        self.fastest = if self.transits.len() == 1 { transit } else { self.fastest.min(transit) };
        self.since_update += 1;
        if self.transits.len() >= ENOUGH && (self.since_update >= 10 || self.target.is_none()) {
            self.update();
        }
    }

    /// A packet was decoded (`false`) or missing when its time came (`true`).
    pub(super) fn lost(&mut self, lost: bool) {
        if self.losses.len() == WINDOW {
            self.losses.pop_front();
        }
        self.losses.push_back(lost);
    }

    /// How long after the fastest possible arrival the sample of this timestamp would be played if it were played at `at`.
    pub(super) fn delay(&self, at: Monotonic, timestamp: i64) -> i64 {
        transit(at, timestamp) - self.fastest
    }

    /// The delay to aim at.
    pub(super) fn target(&self) -> i64 {
        self.target.unwrap_or(START)
    }

    /// The delay to aim at.
    pub(super) fn target_duration(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.target()).unwrap_or(0))
    }

    fn update(&mut self) {
        self.since_update = 0;
        let mut sorted: Vec<i64> = self.transits.iter().copied().collect();
        sorted.sort_unstable();
        self.fastest = sorted[0];
        let quantile = |percent: usize| sorted[(sorted.len() - 1) * percent / 100] - sorted[0];
        let mut target = quantile(97) + MARGIN;
        let lost = self.losses.iter().filter(|&&lost| lost).count();
        if lost * 100 > self.losses.len() {
            // A lost packet is repaired from the next one: that one has to be there when the lost one's time comes.
            target = target.max(20_000 + quantile(80) + MARGIN);
        }
        self.target = Some(target.clamp(LEAST, MOST));
    }
}

fn transit(at: Monotonic, timestamp: i64) -> i64 {
    i64::try_from(at.as_nanos() / 1000).unwrap_or(i64::MAX) - timestamp * 1000 / 48
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(delays_ms: impl Iterator<Item = u64>) -> DelayEstimator {
        let mut estimator = DelayEstimator::default();
        for (n, delay) in delays_ms.enumerate() {
            let n = n as u64;
            estimator.arrived(Monotonic::from_millis(1000 + 20 * n + delay), (n * 960) as i64);
        }
        estimator
    }

    #[test]
    fn a_steady_link_needs_the_least() {
        assert_eq!(after((0..300).map(|_| 37)).target(), LEAST);
    }

    #[test]
    fn jitter_raises_the_target_to_cover_nearly_all_packets() {
        let target = after((0..300).map(|n| 10 + n * 7 % 30)).target();
        assert!((30_000..=36_000).contains(&target), "{target}");
    }

    #[test]
    fn one_late_packet_in_a_hundred_does_not() {
        assert_eq!(after((0..300).map(|n| if n % 100 == 50 { 200 } else { 5 })).target(), LEAST);
    }

    #[test]
    fn jitter_that_ended_is_forgotten() {
        assert_eq!(after((0..800).map(|n| if n < 300 { n % 60 } else { 3 })).target(), LEAST);
    }

    #[test]
    fn losses_make_room_for_the_repair() {
        let mut estimator = after((0..100).map(|_| 5));
        (0..100).for_each(|n| estimator.lost(n % 20 == 0));
        for n in 100..120_u64 {
            estimator.arrived(Monotonic::from_millis(1005 + 20 * n), (n * 960) as i64);
        }
        assert_eq!(estimator.target(), 25_000);
    }

    #[test]
    fn few_packets_leave_the_starting_value() {
        assert_eq!(after((0..5).map(|n| n * 10)).target(), START);
    }
}
