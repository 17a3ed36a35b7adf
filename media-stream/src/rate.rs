//! What a line carries, seen from how much of what was written arrives while it is full.

use std::time::{Duration, Instant};

/// It is measured over so long.
const SPAN: Duration = Duration::from_millis(500);
/// A line is full when it had no room at more than one of so many looks.
const SHARE: u32 = 4;
/// A line that is not full may carry more: so much is tried after each [`SPAN`], in percent.
const GROWTH: u64 = 115;
/// Bit/s: above it nothing is held back, and below it nothing is of use.
const MOST: u64 = 100_000_000;
const LEAST: u64 = 20_000;

/// The bit rate of one line.
#[derive(Debug)]
pub struct LineRate {
    since: Instant,
    /// Bytes that had arrived then.
    arrived: u64,
    looks: u32,
    full: u32,
    bits: Option<u64>,
}

impl LineRate {
    /// Nothing is known.
    pub fn new(now: Instant) -> LineRate {
        LineRate { since: now, arrived: 0, looks: 0, full: 0, bits: None }
    }

    /// So many bytes have arrived since the beginning, and the line has room for more or not. What it carries in bit/s, when that is news;
    /// `None`, too, as long as it was never full.
    pub fn look(&mut self, arrived: u64, has_room: bool, now: Instant) -> Option<u64> {
        self.looks += 1;
        self.full += u32::from(!has_room);
        let span = now.saturating_duration_since(self.since);
        if span < SPAN {
            return None;
        }
        let measured = (arrived.saturating_sub(self.arrived) as f64 * 8.0 / span.as_secs_f64()) as u64;
        let is_full = self.full * SHARE > self.looks;
        let before = self.bits;
        self.bits = if is_full {
            Some(measured.clamp(LEAST, MOST))
        } else {
            self.bits.map(|bits| (bits * GROWTH / 100).min(MOST))
        };
        (self.since, self.arrived, self.looks, self.full) = (now, arrived, 0, 0);
        self.bits.filter(|_| self.bits != before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_line_carries_what_arrives_and_one_with_room_more() {
        let start = Instant::now();
        let mut rate = LineRate::new(start);
        let mut news = Vec::new();
        // 50 kbit in each half second, looked at every 100 ms: with room, then full, then with room again.
        for n in 1..=20_u64 {
            let has_room = !(6..=10).contains(&n);
            news.extend(rate.look(n * 1_250, has_room, start + Duration::from_millis(n * 100)).map(|bits| (n, bits)));
        }
        assert_eq!(news, [(10, 100_000), (15, 115_000), (20, 132_250)]);
    }

    #[test]
    fn one_look_without_room_is_no_full_line() {
        let start = Instant::now();
        let mut rate = LineRate::new(start);
        let looks = (1..=10).map(|n| rate.look(n * 1_000, n != 3, start + Duration::from_millis(n * 50)));
        assert_eq!(looks.flatten().count(), 0);
    }

    #[test]
    fn it_is_bounded() {
        let start = Instant::now();
        let mut rate = LineRate::new(start);
        assert_eq!(rate.look(0, false, start + SPAN), Some(LEAST));
        let last = (2..200).filter_map(|n| rate.look(0, true, start + SPAN * n)).last();
        assert_eq!(last, Some(MOST));
    }
}
