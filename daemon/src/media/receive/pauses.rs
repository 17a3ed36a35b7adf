//! Breaks in what is played: when one begins, when it ends, how long they took.

use std::time::Duration;

use crate::clock::Monotonic;

/// Notices breaks longer than a given time.
#[derive(Debug)]
pub(super) struct Pauses {
    longest: Duration,
    first: Option<Monotonic>,
    last: Option<Monotonic>,
    paused: bool,
    resting: bool,
    count: u64,
    time: Duration,
}

impl Pauses {
    /// Breaks longer than `longest` count.
    pub(super) const fn new(longest: Duration) -> Self {
        Self { longest, first: None, last: None, paused: false, resting: false, count: 0, time: Duration::ZERO }
    }

    /// Something was played. Returns whether that ended a break; [`Self::check`] before it tells of one that nobody noticed.
    pub(super) fn played(&mut self, now: Monotonic) -> bool {
        self.check(now);
        let ended = self.end(now);
        self.first.get_or_insert(now);
        self.last = Some(now);
        ended
    }

    /// The sender is muted: nothing has to come, and that it does not is no break. Returns whether that ended a break.
    pub(super) fn rest(&mut self, resting: bool, now: Monotonic) -> bool {
        if self.resting == resting {
            return false;
        }
        self.resting = resting;
        let ended = self.end(now);
        // What came before does not say when the next thing is due.
        self.last = None;
        ended
    }

    fn end(&mut self, now: Monotonic) -> bool {
        let ended = std::mem::take(&mut self.paused);
        if ended && let Some(last) = self.last {
            self.time += now.since(last);
        }
        ended
    }

    /// Returns whether a break has begun by now that was not noticed before.
    pub(super) fn check(&mut self, now: Monotonic) -> bool {
        let begins = !self.paused && !self.resting && self.last.is_some_and(|last| now.since(last) > self.longest);
        if begins {
            self.paused = true;
            self.count += 1;
        }
        begins
    }

    /// When to check again, if something was played and no break is on.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        let last = self.last.filter(|_| !self.paused && !self.resting)?;
        Some(last + self.longest + Duration::from_millis(1))
    }

    /// Breaks so far and their time, that of one that goes on included.
    pub(super) fn counts(&self, now: Monotonic) -> (u64, Duration) {
        let running = self.last.filter(|_| self.paused).map_or(Duration::ZERO, |last| now.since(last));
        (self.count, self.time + running)
    }

    /// Time since the first thing was played.
    pub(super) fn playing(&self, now: Monotonic) -> Duration {
        self.first.map_or(Duration::ZERO, |first| now.since(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_are_noticed_once_and_measured() {
        let ms = |millis: u64| Monotonic::from_millis(1000 + millis);
        let mut pauses = Pauses::new(Duration::from_millis(500));
        assert!(!pauses.check(ms(5000)), "nothing was played yet");
        assert_eq!(pauses.deadline(), None);
        for n in 0..10 {
            assert!(!pauses.played(ms(6000 + 33 * n)));
        }
        assert_eq!(pauses.deadline(), Some(ms(6000 + 297 + 501)));
        assert!(!pauses.check(ms(6700)));
        assert!(pauses.check(ms(6798)) && !pauses.check(ms(6900)), "once");
        assert_eq!(pauses.counts(ms(6997)), (1, Duration::from_millis(700)), "it goes on");
        assert_eq!(pauses.deadline(), None);
        assert!(pauses.played(ms(7297)));
        assert_eq!(pauses.counts(ms(7297)), (1, Duration::from_millis(1000)));
        assert!(pauses.played(ms(7900)), "one that nobody checked for");
        assert_eq!(pauses.counts(ms(7950)), (2, Duration::from_millis(1603)));
        assert_eq!(pauses.playing(ms(7950)), Duration::from_millis(1950));
    }

    #[test]
    fn a_muted_sender_makes_no_breaks() {
        let ms = |millis: u64| Monotonic::from_millis(1000 + millis);
        let mut pauses = Pauses::new(Duration::from_millis(500));
        pauses.played(ms(0));
        assert!(!pauses.rest(true, ms(100)));
        assert!(!pauses.played(ms(120)), "the last one on its way");
        assert_eq!(pauses.deadline(), None);
        assert!(!pauses.check(ms(9000)));
        assert!(!pauses.rest(false, ms(9000)) && !pauses.check(ms(9900)), "it has to begin first");
        assert!(!pauses.played(ms(9900)));
        assert_eq!(pauses.counts(ms(9900)), (0, Duration::ZERO));
        assert!(pauses.check(ms(10_500)), "as before");
        assert!(pauses.rest(true, ms(10_600)), "it was no break after all");
        assert_eq!(pauses.counts(ms(12_000)), (1, Duration::from_millis(700)));
    }
}
