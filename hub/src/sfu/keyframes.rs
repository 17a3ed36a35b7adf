//! How often a publisher is asked for a key frame.
//!
//! Every subscriber may ask; each key frame costs the publisher's link several times a normal picture, so that the
//! requests of many must not become a flood. A request that comes too soon is not lost: it is made when it may be.

use std::time::{Duration, Instant};

/// Between two requests caused by loss at subscribers.
const INTERVAL: Duration = Duration::from_millis(500);
/// Between two requests for somebody who sees nothing yet: the wait is the time to the first picture.
const INTERVAL_FIRST: Duration = Duration::from_millis(100);

/// Why a key frame is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A subscriber asks because it lost something.
    Repair,
    /// A subscriber has no picture yet.
    First,
}

/// Throttle of one encoding's key frame requests.
#[derive(Debug, Default)]
pub struct KeyFrames {
    last: Option<Instant>,
    /// A wish that came too soon.
    due: Option<Instant>,
    /// A wish for later: a key frame before that does not reach whom it is for.
    later: Option<Instant>,
}

impl KeyFrames {
    /// Registers a wish; true when the publisher is to be asked now. Otherwise [`KeyFrames::due`] says when.
    pub fn want(&mut self, want: Want, now: Instant) -> bool {
        let interval = match want {
            Want::Repair => INTERVAL,
            Want::First => INTERVAL_FIRST,
        };
        let allowed = self.last.map_or(now, |last| last + interval);
        if allowed <= now {
            self.last = Some(now);
            self.due = None;
            return true;
        }
        self.due = Some(self.due.map_or(allowed, |due| due.min(allowed)));
        false
    }

    /// Registers a wish for a key frame that is made at `at` or after.
    pub fn want_at(&mut self, at: Instant) {
        self.later = Some(self.later.map_or(at, |later| later.max(at)));
    }

    /// When the publisher is to be asked on behalf of an earlier wish.
    pub fn due(&self) -> Option<Instant> {
        match (self.due, self.later) {
            (Some(due), Some(later)) => Some(due.min(later)),
            (due, later) => due.or(later),
        }
    }

    /// Asks on behalf of an earlier wish, if it is time; true when the publisher is to be asked now.
    pub fn take_due(&mut self, now: Instant) -> bool {
        let past = |at: &Option<Instant>| at.is_some_and(|at| at <= now);
        if !past(&self.due) && !past(&self.later) {
            return false;
        }
        self.due = None;
        self.later = self.later.filter(|later| *later > now);
        self.last = Some(now);
        true
    }

    /// A key frame passed: wishes that came too soon are fulfilled.
    pub fn passed(&mut self) {
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wish_is_passed_on_at_once_and_the_flood_is_not() {
        let t = Instant::now();
        let ms = |n| t + Duration::from_millis(n);
        let mut frames = KeyFrames::default();
        assert!(frames.want(Want::Repair, t));
        for n in 1..100 {
            assert!(!frames.want(Want::Repair, ms(n)));
        }
        assert_eq!(frames.due(), Some(ms(500)));
        assert!(!frames.take_due(ms(499)));
        assert!(frames.take_due(ms(500)), "the flood becomes one request");
        assert!(!frames.take_due(ms(501)));
    }

    #[test]
    fn somebody_without_a_picture_waits_less() {
        let t = Instant::now();
        let mut frames = KeyFrames::default();
        assert!(frames.want(Want::Repair, t));
        assert!(frames.want(Want::First, t + Duration::from_millis(100)));
    }

    #[test]
    fn a_key_frame_that_passes_fulfils_waiting_wishes() {
        let t = Instant::now();
        let mut frames = KeyFrames::default();
        frames.want(Want::Repair, t);
        frames.want(Want::Repair, t + Duration::from_millis(10));
        frames.passed();
        assert_eq!(frames.due(), None);
    }

    #[test]
    fn a_wish_for_later_is_not_fulfilled_by_a_key_frame_before() {
        let t = Instant::now();
        let later = t + Duration::from_millis(30);
        let mut frames = KeyFrames::default();
        frames.want_at(later);
        frames.passed();
        assert_eq!(frames.due(), Some(later));
        assert!(!frames.take_due(t));
        assert!(frames.take_due(later));
        assert_eq!(frames.due(), None);
    }
}
