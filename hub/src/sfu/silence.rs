//! A subscriber that was not heard for a moment.
//!
//! While pictures flow to it, its feedback comes many times a second: when that stops and begins again, its line was gone. What was on its
//! way meanwhile and is not kept any more is lost for good. libwebrtc asks for it in vain, and for a key frame only when it has shown
//! nothing for up to three seconds. So the key frame is asked for as soon as the subscriber is heard again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// From a silence of this length on more is missing than can be sent again: packets are kept for a second, and requests need a moment.
pub const GONE: Duration = Duration::from_millis(800);
/// So many datagrams within a second come from a client that gives feedback on each packet. One that only reports (RFC 3550) sends four at
/// most.
const OFTEN: usize = 8;

/// When a client was heard, and what was sent to it since.
#[derive(Debug, Default)]
pub struct Silence {
    /// The last times.
    heard: VecDeque<Instant>,
    /// A picture, or a part of one, was sent since the last of them.
    pictures: bool,
}

impl Silence {
    /// A packet of a picture was sent.
    pub fn picture_sent(&mut self) {
        self.pictures = true;
    }

    /// Something came; whether that ends a silence in which pictures were lost for good.
    pub fn ends(&mut self, now: Instant) -> bool {
        let missed = std::mem::take(&mut self.pictures);
        let (first, last) = (self.heard.front().copied(), self.heard.back().copied());
        let is_full = self.heard.len() == OFTEN;
        if is_full {
            self.heard.pop_front();
        }
        self.heard.push_back(now);
        let (Some(first), Some(last)) = (first, last) else { return false };
        missed && is_full && last <= first + Duration::from_secs(1) && now >= last + GONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the last datagram ends a silence: `times` of them all, in milliseconds, while pictures flow or not.
    fn ends(times: impl IntoIterator<Item = u64>, pictures: bool) -> bool {
        let (start, mut silence, mut ended) = (Instant::now(), Silence::default(), false);
        for time in times {
            if pictures {
                silence.picture_sent();
            }
            ended = silence.ends(start + Duration::from_millis(time));
        }
        ended
    }

    /// Feedback every 50 ms for a second, then a datagram at `time`.
    fn regular(time: u64) -> impl Iterator<Item = u64> {
        (0..20).map(|n| n * 50).chain([time])
    }

    #[test]
    fn the_first_datagram_after_a_gap_ends_a_silence() {
        assert!(ends(regular(950 + 800), true));
        assert!(ends(regular(30_000), true));
        assert!(!ends(regular(950 + 799), true), "what it missed can be sent again");
        assert!(!ends(regular(1800).chain([1801]), true), "once");
        assert!(ends(regular(1800).chain((0..20).map(|n| 1850 + n * 50)).chain([5000]), true), "and the next one");
    }

    #[test]
    fn nothing_is_lost_when_nothing_flowed() {
        assert!(!ends(regular(5000), false));
    }

    #[test]
    fn who_is_seldom_heard_is_not_silent() {
        for (what, times) in [
            ("a report every second", (0..20).map(|n| n * 1000).collect::<Vec<_>>()),
            ("reports on four tracks", (0..20).map(|n| n * 300).chain([7000]).collect()),
            ("hardly connected", vec![0, 5000]),
            ("its first word", vec![5000]),
        ] {
            assert!(!ends(times, true), "{what}");
        }
    }
}
