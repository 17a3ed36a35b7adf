//! How long to wait before a lost connection is tried again.

use std::time::Duration;

use crate::clock::Monotonic;

/// First wait, doubled with every failure up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait: a network that comes back is found within it.
const LONGEST: Duration = Duration::from_secs(5);

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
        let left = self.limit.checked_sub(now.since(self.since)).filter(|left| !left.is_zero())?;
        let wait = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts += 1;
        Some(wait.min(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_the_time_is_used_up() {
        let start = Monotonic::from_millis(1_000);
        let mut retry = Retry::new(start, Duration::from_secs(12));
        let mut now = start;
        let mut waits = Vec::new();
        while let Some(wait) = retry.failed(now) {
            waits.push(wait.as_millis());
            now = now + wait;
        }
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 4250]);
        assert_eq!(now.since(start), Duration::from_secs(12));
    }

    #[test]
    fn no_time_means_one_attempt() {
        assert_eq!(Retry::new(Monotonic::default(), Duration::ZERO).failed(Monotonic::default()), None);
    }
}
