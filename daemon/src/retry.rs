//! How long to wait before a lost connection is tried again.

use std::time::Duration;

use crate::clock::Monotonic;

/// First wait, doubled with every failure.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait while an outage is short: a way that comes back without our hearing of it is found within it.
const LONGEST: Duration = Duration::from_secs(1);
/// The longest wait of an outage that lasts longer than [`SHORT`].
const LONGEST_LATER: Duration = Duration::from_secs(5);
/// How long an outage is short.
const SHORT: Duration = Duration::from_secs(120);

/// The waits of one outage. Knows no clock: the time is passed in.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    since: Monotonic,
    limit: Duration,
    attempts: u32,
}

impl Retry {
    /// An outage that began at `since` and is given up after `limit`.
    #[must_use]
    pub const fn new(since: Monotonic, limit: Duration) -> Self {
        Self { since, limit, attempts: 0 }
    }

    /// How long to wait after another failure; nothing when the time is used up.
    pub fn failed(&mut self, now: Monotonic) -> Option<Duration> {
        let left = self.left(now).filter(|left| !left.is_zero())?;
        let longest = if now.since(self.since) < SHORT { LONGEST } else { LONGEST_LATER };
        let wait = FIRST.saturating_mul(1 << self.attempts.min(10)).min(longest);
        self.attempts += 1;
        Some(wait.min(left))
    }

    /// How much of the time is left; nothing when it is used up.
    #[must_use]
    pub fn left(&self, now: Monotonic) -> Option<Duration> {
        self.limit.checked_sub(now.since(self.since))
    }

    /// Something has changed: the next wait is a first one again. The time goes on.
    pub const fn hope(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds of every wait until the time is used up.
    fn waits(limit_s: u64) -> Vec<u128> {
        let mut now = Monotonic::from_millis(1_000);
        let mut retry = Retry::new(now, Duration::from_secs(limit_s));
        let mut waits = Vec::new();
        while let Some(wait) = retry.failed(now) {
            waits.push(wait.as_millis());
            now = now + wait;
        }
        waits
    }

    #[test]
    fn waits_grow_until_the_time_is_used_up() {
        assert_eq!(waits(5), [250, 500, 1000, 1000, 1000, 1000, 250]);
        assert_eq!(waits(5).iter().sum::<u128>(), 5_000);
    }

    #[test]
    fn an_outage_of_minutes_is_tried_less_often() {
        let waits = waits(1200);
        let (mut time, mut longest) = (0, 0);
        for wait in &waits {
            longest = longest.max(*wait);
            assert!(time >= SHORT.as_millis() || *wait <= 1_000, "{wait} ms after {time} ms");
            time += wait;
        }
        assert_eq!((longest, time), (5_000, 1_200_000));
    }

    #[test]
    fn hope_shortens_the_wait_but_not_the_time() {
        let start = Monotonic::default();
        let mut retry = Retry::new(start, Duration::from_secs(60));
        let later = start + Duration::from_secs(30);
        for _ in 0..5 {
            retry.failed(later);
        }
        retry.hope();
        assert_eq!(retry.failed(later), Some(FIRST));
        assert_eq!(retry.left(later), Some(Duration::from_secs(30)));
        assert_eq!(retry.failed(start + Duration::from_secs(60)), None);
    }

    #[test]
    fn no_time_means_one_attempt() {
        assert_eq!(Retry::new(Monotonic::default(), Duration::ZERO).failed(Monotonic::default()), None);
    }
}
