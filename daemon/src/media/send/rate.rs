//! When to encode what: the rate of pictures and of key frames.

use std::time::Duration;

use crate::clock::Monotonic;

/// Least time between key frames that were asked for: several receivers often ask within a moment, one key frame serves them all.
const BETWEEN_KEYS: Duration = Duration::from_millis(250);

/// Lets pictures through at no more than a given rate, evenly.
#[derive(Debug, Default)]
pub(super) struct Thinner {
    due: Option<Monotonic>,
}

impl Thinner {
    /// Whether the picture taken at `at` is to be encoded, at `fps` pictures a second.
    pub(super) fn pass(&mut self, at: Monotonic, fps: u32) -> bool {
        let interval = Duration::from_nanos(1_000_000_000 / u64::from(fps.max(1)));
        let Some(due) = self.due else {
            self.due = Some(at + interval);
            return true;
        };
        // A camera's clock jitters: a picture a little early is the one that was meant.
        if at + interval / 4 < due {
            return false;
        }
        // After a pause begin anew instead of catching up.
        self.due = Some(if at > due + interval { at + interval } else { due + interval });
        true
    }
}

/// Decides which pictures become key frames.
#[derive(Debug, Default)]
pub(super) struct KeyFrames {
    /// The next picture must be one: nothing can be decoded before it.
    must: bool,
    asked: bool,
    last: Option<Monotonic>,
}

impl KeyFrames {
    /// The stream starts (again): the next picture is a key frame.
    pub(super) const fn restart(&mut self) {
        self.must = true;
    }

    /// A receiver asks. The key frame comes at once, or, soon after another one, when that had time to arrive: asking is never forgotten.
    pub(super) const fn ask(&mut self) {
        self.asked = true;
    }

    /// Whether the picture that is encoded at `now` is to be a key frame.
    pub(super) fn take(&mut self, now: Monotonic) -> bool {
        let rested = self.last.is_none_or(|last| now.since(last) >= BETWEEN_KEYS);
        let key = self.must || self.asked && rested;
        if key {
            (self.must, self.asked, self.last) = (false, false, Some(now));
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Monotonic {
        Monotonic::from_millis(1000 + millis)
    }

    #[test]
    fn rates_are_kept_evenly_whatever_the_camera_does() {
        // camera rate, wanted rate, pictures let through in 10 s
        for (camera, wanted, expected) in
            [(30, 30, 300), (30, 15, 150), (60, 30, 300), (25, 30, 250), (30, 10, 100), (30, 20, 200)]
        {
            let mut thinner = Thinner::default();
            let (mut count, mut last, mut longest) = (0_u64, 0, 0);
            for n in 0..camera * 10 {
                let at = n * 1000 / camera + n * 7 % 3;
                if thinner.pass(ms(at), wanted as u32) {
                    count += 1;
                    longest = longest.max(at - last);
                    last = at;
                }
            }
            assert!(count.abs_diff(expected) <= expected / 50 + 1, "{camera} -> {wanted}: {count}");
            let interval = 1000 / wanted.min(camera);
            assert!(longest <= interval + 1000 / camera + 3, "{camera} -> {wanted}: a hole of {longest} ms");
        }
    }

    #[test]
    fn after_a_pause_nothing_is_caught_up() {
        let mut thinner = Thinner::default();
        assert!(thinner.pass(ms(0), 10));
        let passed = (0..20).filter(|n| thinner.pass(ms(5000 + n * 10), 10)).count();
        assert!(passed <= 3, "{passed}");
    }

    #[test]
    fn requests_are_served_at_once_but_not_in_a_row() {
        let mut keys = KeyFrames::default();
        keys.restart();
        let mut made = Vec::new();
        for n in 0..40_u64 {
            // Two receivers ask in the same moment, and one again while the key frame is on its way.
            if [3, 4, 5, 20].contains(&n) {
                keys.ask();
            }
            if keys.take(ms(n * 33)) {
                made.push(n);
            }
        }
        assert_eq!(made, [0, 8, 20]);
    }

    #[test]
    fn a_start_does_not_wait() {
        let mut keys = KeyFrames::default();
        keys.restart();
        assert!(keys.take(ms(0)) && !keys.take(ms(1)));
        keys.restart();
        assert!(keys.take(ms(2)));
    }
}
