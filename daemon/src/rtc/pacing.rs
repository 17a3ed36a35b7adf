//! Spreads the packets of a large picture over some milliseconds, so that a key frame does not overrun a router's queue.

use std::time::Duration;

use crate::clock::Monotonic;

/// Packets that may leave at once: an ordinary picture waits for nothing.
const BURST: u32 = 10;
/// One more packet per this time: about 19 Mbit/s.
const SPACING: Duration = Duration::from_micros(500);
/// Packets are released in groups, because a wake-up costs more than a packet.
const GROUP: u32 = 4;

/// How many packets of one stream may leave.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The moment at which the bucket was, or will be, full again.
    full_at: Monotonic,
}

impl Pace {
    /// Takes the right to send one packet.
    pub(super) fn take(&mut self, now: Monotonic) -> bool {
        let full_at = self.full_at.max(now);
        if full_at.since(now) > SPACING * (BURST - 1) {
            return false;
        }
        self.full_at = full_at + SPACING;
        true
    }

    /// When the next group of packets may leave.
    pub(super) fn next(&self) -> Monotonic {
        self.full_at - SPACING * (BURST - GROUP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_leaves_at_once_and_a_key_frame_in_groups() {
        let mut pace = Pace::default();
        let mut now = Monotonic::from_millis(100);
        let mut released = Vec::new();
        let mut left = 26;
        while left > 0 {
            let mut group = 0;
            while left > 0 && pace.take(now) {
                group += 1;
                left -= 1;
            }
            released.push((now.as_millis() - 100, group));
            now = pace.next();
        }
        assert_eq!(released, [(0, 10), (2, 4), (4, 4), (6, 4), (8, 4)]);
        let later = now + Duration::from_millis(33);
        assert_eq!((0..40).filter(|_| pace.take(later)).count(), 10, "an idle time gives one burst, not more");
    }
}
