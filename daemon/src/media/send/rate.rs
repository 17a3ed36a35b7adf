//! When to encode what: the rate of pictures and of key frames.

use std::time::Duration;

use crate::clock::Monotonic;

/// Least time between key frames that were asked for: several receivers often ask within a moment, one key frame serves them all.
const BETWEEN_KEYS: Duration = Duration::from_millis(60);
/// Key frames that may follow each other that fast, as at the beginning of a call, and the time that gives the right to one more.
const IN_A_ROW: f32 = 3.0;
const ONE_MORE: Duration = Duration::from_millis(400);

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
#[derive(Debug)]
pub(super) struct KeyFrames {
    /// The next picture must be one: nothing can be decoded before it.
    must: bool,
    asked: bool,
    last: Option<Monotonic>,
    /// Key frames that may be made on request now.
    rights: f32,
}

impl Default for KeyFrames {
    fn default() -> Self {
        Self { must: false, asked: false, last: None, rights: IN_A_ROW }
    }
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
        let rested = self.last.map_or(ONE_MORE, |last| now.since(last));
        let rights = (self.rights + rested.as_secs_f32() / ONE_MORE.as_secs_f32()).min(IN_A_ROW);
        let key = self.must || self.asked && rested >= BETWEEN_KEYS && rights >= 1.0;
        if key {
            (self.must, self.asked, self.last) = (false, false, Some(now));
            self.rights = (rights - 1.0).max(0.0);
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

    /// Pictures at 30 fps that become key frames when requests come before these.
    fn made(pictures: u64, asked: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut keys = KeyFrames::default();
        keys.restart();
        (0..pictures)
            .filter(|&n| {
                if asked(n) {
                    keys.ask();
                }
                keys.take(ms(n * 33))
            })
            .collect()
    }

    #[test]
    fn requests_are_served_at_once_but_two_within_a_moment_by_one_key_frame() {
        // Somebody joins just after the start; two receivers ask in the same moment, and one again while the key frame is under way.
        assert_eq!(made(60, |n| [3, 30, 31].contains(&n)), [0, 3, 30, 32]);
    }

    #[test]
    fn whoever_asks_all_the_time_gets_a_key_frame_every_400_ms() {
        let keys = made(300, |_| true);
        assert_eq!(keys[..3], [0, 2, 4]);
        assert!((24..=29).contains(&keys.len()), "{keys:?}");
        let gaps: Vec<u64> = keys[4..].windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (11..=14).contains(gap)), "{gaps:?}");
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
