//! Keeping time for devices that have no clock of their own: absolute deadlines, so that nothing drifts.

use std::time::Duration;

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec};

use crate::clock::Monotonic;

/// Sleeps until the clock shows `deadline`. Returns at once when that has passed.
pub(super) fn sleep_until(deadline: Monotonic) {
    let nanos = deadline.as_nanos();
    let until = Timespec {
        tv_sec: i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(nanos % 1_000_000_000).unwrap_or(0),
    };
    // A signal may end the sleep early; anything else means that the time has come.
    while clock_nanosleep_absolute(ClockId::Monotonic, &until) == Err(rustix::io::Errno::INTR) {}
}

/// The times at which a picture source makes its pictures: `start + n / rate`, computed afresh for every n.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cadence {
    start: Monotonic,
    numerator: u64,
    denominator: u64,
    next: u64,
}

impl Cadence {
    /// `numerator / denominator` pictures a second, the first one at `start`. Both are 1 or more.
    pub(super) const fn new(start: Monotonic, numerator: u32, denominator: u32) -> Self {
        Self { start, numerator: numerator as u64, denominator: denominator as u64, next: 0 }
    }

    fn time_of(&self, index: u64) -> Monotonic {
        let nanos = u128::from(index) * 1_000_000_000 * u128::from(self.denominator) / u128::from(self.numerator);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When the next picture is due.
    pub(super) fn deadline(&self) -> Monotonic {
        self.time_of(self.next)
    }

    /// The next picture was made at `now`. Whatever fell due before `now` is left out, as a camera would, so a consumer
    /// that was held up gets no burst afterwards. Returns how many were left out.
    pub(super) fn advance(&mut self, now: Monotonic) -> u64 {
        self.next += 1;
        let mut missed = 0;
        while self.time_of(self.next + 1) <= now {
            self.next += 1;
            missed += 1;
        }
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_do_not_drift() {
        let start = Monotonic::from_millis(500);
        let mut cadence = Cadence::new(start, 30, 1);
        for _ in 0..30 * 3600 {
            let due = cadence.deadline();
            assert_eq!(cadence.advance(due), 0);
        }
        assert_eq!(cadence.deadline(), start + Duration::from_secs(3600));
    }

    #[test]
    fn a_late_consumer_gets_no_burst() {
        let start = Monotonic::from_millis(0);
        let mut cadence = Cadence::new(start, 10, 1);
        assert_eq!(cadence.advance(Monotonic::from_millis(5)), 0);
        assert_eq!(cadence.deadline(), Monotonic::from_millis(100));
        // The picture due at 100 is fetched at 450: the one of 400 is due at once, 200 and 300 are gone.
        assert_eq!(cadence.advance(Monotonic::from_millis(450)), 2);
        assert_eq!(cadence.deadline(), Monotonic::from_millis(400));
    }

    #[test]
    fn the_sleep_ends_at_its_deadline_and_not_before() {
        let deadline = Monotonic::now() + Duration::from_millis(3);
        sleep_until(deadline);
        assert!(Monotonic::now() >= deadline);
        sleep_until(Monotonic::from_millis(1));
    }
}
