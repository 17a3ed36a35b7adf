//! What of a stream is on its way: written to the kernel, and not yet acknowledged by the other end.
//!
//! On a line that got too narrow it becomes older and older. What is written behind it arrives late even if nothing waits here, and when the
//! line's queue overflows, everything waits until TCP has sent again what was lost: TCP fills every queue that it finds. So pictures are
//! written only as long as no more than a window of bytes is on its way. It is halved when the line shows that it is full, and grows by half
//! per round trip while it is what limits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So much longer than the line takes at its best may something be on its way before the line counts as full.
const PATIENCE: Duration = Duration::from_millis(100);
/// The best of the last one to two times as long counts: a line may become another.
const MEMORY: Duration = Duration::from_secs(30);
/// Bytes of the window: as if there were none, and two packets.
const LARGEST: usize = 1 << 20;
const SMALLEST: usize = 2_400;

/// Its pieces, how quick the line can be, and the window.
#[derive(Debug)]
pub struct Flight {
    /// Bytes written, and of them those that have arrived.
    written: u64,
    arrived: u64,
    /// Where each piece that has not arrived ends, and when it was written.
    pieces: VecDeque<(u64, Instant)>,
    /// The shortest time that a piece took, in this stretch of [`MEMORY`] and in the one before it.
    quickest: [Option<Duration>; 2],
    /// When this stretch began.
    since: Instant,
    window: usize,
    /// When it became smaller: what was written before that says nothing about it.
    lowered_at: Option<Instant>,
    /// Whether more would have been written without it.
    limits: bool,
}

impl Flight {
    /// Nothing was written yet.
    pub fn new(now: Instant) -> Flight {
        Flight {
            written: 0,
            arrived: 0,
            pieces: VecDeque::new(),
            quickest: [None; 2],
            since: now,
            window: LARGEST,
            lowered_at: None,
            limits: false,
        }
    }

    /// So many bytes were written.
    pub fn written(&mut self, bytes: usize, now: Instant) {
        self.written += bytes as u64;
        self.pieces.push_back((self.written, now));
    }

    /// All but so many of the bytes have arrived.
    pub fn acknowledged(&mut self, missing: usize, now: Instant) {
        if now >= self.since + MEMORY {
            self.quickest = [None, self.quickest[0]];
            self.since = now;
        }
        let arrived = self.written.saturating_sub(missing as u64).max(self.arrived);
        let more = usize::try_from(arrived - self.arrived).unwrap_or(LARGEST);
        self.arrived = arrived;
        while let Some((_, at)) = self.pieces.front().copied().filter(|(end, _)| *end <= arrived) {
            self.pieces.pop_front();
            let took = now.saturating_duration_since(at);
            self.quickest[0] = Some(self.quickest[0].map_or(took, |quickest| quickest.min(took)));
        }
        if more > 0 && std::mem::take(&mut self.limits) {
            self.window = (self.window + more / 2).min(LARGEST);
        }
    }

    /// Bytes that have arrived.
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Whether more pictures may be written now.
    pub fn has_room(&mut self, now: Instant) -> bool {
        let flying = usize::try_from(self.written - self.arrived).unwrap_or(LARGEST);
        if let Some(written_at) = self.late_since(now) {
            if self.lowered_at.is_none_or(|lowered_at| written_at > lowered_at) {
                self.window = (flying / 2).clamp(SMALLEST, self.window);
                self.lowered_at = Some(now);
            }
            return false;
        }
        let has_room = flying < self.window;
        self.limits |= !has_room;
        has_room
    }

    /// When the oldest of what is on its way was written, if it is late.
    fn late_since(&self, now: Instant) -> Option<Instant> {
        // Not before it is known what this line needs at its best.
        let quickest = self.quickest.iter().flatten().min()?;
        self.pieces.front().map(|(_, at)| *at).filter(|at| now > *at + *quickest + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// A line on which a piece of 1000 bytes took 20 ms.
    fn line(start: Instant) -> Flight {
        let mut flight = Flight::new(start);
        flight.written(1000, start);
        flight.acknowledged(0, start + ms(20));
        flight
    }

    #[test]
    fn there_is_no_room_behind_what_is_on_its_way_for_longer_than_the_line_needs() {
        let start = Instant::now();
        let mut flight = line(start);
        assert!(flight.has_room(start + ms(500)), "nothing is on its way");
        flight.written(100_000, start + ms(500));
        flight.written(1000, start + ms(600));
        assert!(flight.has_room(start + ms(500 + 120)));
        assert!(!flight.has_room(start + ms(500 + 121)));
        flight.acknowledged(1001, start + ms(625));
        assert!(!flight.has_room(start + ms(625)), "one byte of the first is missing");
        flight.acknowledged(1000, start + ms(630));
        assert!(flight.has_room(start + ms(630)), "the second is younger");
        assert!(!flight.has_room(start + ms(721)));
    }

    #[test]
    fn a_line_is_not_full_before_it_is_known_how_long_it_takes() {
        let start = Instant::now();
        let mut flight = Flight::new(start);
        flight.written(1000, start);
        assert!(flight.has_room(start + ms(5000)));
        flight.acknowledged(0, start + ms(600));
        flight.written(1000, start + ms(1000));
        assert!(flight.has_room(start + ms(1700)), "a satellite");
        assert!(!flight.has_room(start + ms(1701)));
    }

    #[test]
    fn a_full_line_halves_the_window_once_for_what_was_on_its_way() {
        let start = Instant::now();
        let mut flight = line(start);
        for at in [500, 510, 520] {
            flight.written(10_000, start + ms(at));
        }
        assert!(!flight.has_room(start + ms(630)));
        assert_eq!(flight.window, 15_000);
        flight.acknowledged(20_000, start + ms(640));
        assert!(!flight.has_room(start + ms(640)), "the second is late, too, but was written before");
        assert_eq!(flight.window, 15_000);
        flight.acknowledged(0, start + ms(650));
        flight.written(14_999, start + ms(660));
        assert!(flight.has_room(start + ms(660)));
        flight.written(1, start + ms(660));
        assert!(!flight.has_room(start + ms(660)));
        assert!(!flight.has_room(start + ms(800)));
        assert_eq!(flight.window, 7_500);
    }

    #[test]
    fn the_window_grows_while_it_is_what_limits_and_only_then() {
        let start = Instant::now();
        let mut flight = line(start);
        flight.written(20_000, start + ms(500));
        assert!(!flight.has_room(start + ms(700)));
        let mut windows = Vec::new();
        for n in 0..5 {
            let at = start + ms(1000 + n * 30);
            flight.acknowledged(0, at);
            assert!(flight.has_room(at));
            flight.written(flight.window, at);
            assert!(!flight.has_room(at + ms(10)));
            windows.push(flight.window);
        }
        assert_eq!(windows, [10_000, 15_000, 22_500, 33_750, 50_625]);
        flight.acknowledged(0, start + ms(1200));
        let window = flight.window;
        for n in 0..100 {
            let at = start + ms(1200 + n * 30);
            flight.written(1000, at);
            assert!(flight.has_room(at));
            flight.acknowledged(0, at + ms(20));
        }
        assert_eq!(flight.window, window, "it was not reached");
    }

    #[test]
    fn a_window_that_is_never_enough_still_has_room_for_packets() {
        let start = Instant::now();
        let mut flight = line(start);
        for n in 1..40 {
            flight.written(1_202, start + ms(n * 1000));
            assert!(!flight.has_room(start + ms(n * 1000 + 900)));
            flight.acknowledged(0, start + ms(n * 1000 + 950));
            assert!(flight.has_room(start + ms(n * 1000 + 950)));
        }
        assert_eq!(flight.window, SMALLEST);
    }

    #[test]
    fn a_line_that_became_slower_is_learned_after_a_while() {
        let start = Instant::now();
        let mut flight = line(start);
        let mut room = Vec::new();
        for second in 1..100 {
            let at = start + ms(second * 1000);
            flight.written(1000, at);
            room.push(flight.has_room(at + ms(300)));
            flight.acknowledged(0, at + ms(300));
        }
        assert!(room[..29].iter().all(|room| !room) && room[62..].iter().all(|room| *room), "{room:?}");
    }

    #[test]
    fn more_missing_than_was_written_is_no_error() {
        let start = Instant::now();
        let mut flight = Flight::new(start);
        flight.written(10, start);
        flight.acknowledged(1000, start);
        assert!(flight.has_room(start + ms(1000)));
    }
}
