//! Which packets of one source arrived, which are missing, and when to ask for them again (RFC 4585 §6.2.1).
//!
//! A retransmission is asked for a little after a gap is seen (packets may only be out of order), then about once a
//! repair time, a bounded number of times: a packet that nobody can repair must not be asked for for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Monotonic;

/// How far back a packet is remembered. At 4 Mbit/s this is about five seconds.
const WINDOW: u64 = 2048;
/// More missing packets than this are an outage: a key frame costs less.
const MISSING_LIMIT: usize = 400;
/// A jump of the sequence number by more than this is a new start of the source.
const RESTART: u64 = 3000;
/// A gap is given this long to close by itself.
const REORDER_TIME: Duration = Duration::from_millis(8);
/// Requests for one packet.
const TRIES: u8 = 10;
/// After this time nobody waits for a packet any more.
const GIVE_UP: Duration = Duration::from_millis(1200);
/// Shortest and longest time between two requests for one packet.
const RETRY: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(200));

/// What a packet turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The first time; the extended sequence number.
    New(u64),
    /// The first of a source that started anew; the extended sequence number.
    Restart(u64),
    /// It came before.
    Duplicate,
    /// Too old to know.
    Stale,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    since: Monotonic,
    /// The first and the newest request.
    asked: Option<(Monotonic, Monotonic)>,
    tries: u8,
}

/// The packets of one source.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// Extended sequence number of the first packet and of the newest.
    range: Option<(u64, u64)>,
    /// Bit `n % WINDOW`: packet n arrived.
    seen: Vec<u64>,
    missing: BTreeMap<u64, Missing>,
    unique: u64,
    asks: bool,
    /// Smoothed time from a request to its packet.
    repair_time: Option<Duration>,
}

impl Arrivals {
    /// `asks`: missing packets are to be asked for.
    pub(super) fn new(asks: bool) -> Self {
        Self {
            range: None,
            seen: vec![0; usize::try_from(WINDOW / 64).unwrap_or(32)],
            missing: BTreeMap::new(),
            unique: 0,
            asks,
            repair_time: None,
        }
    }

    /// Whether any packet came.
    pub(super) fn has_started(&self) -> bool {
        self.range.is_some()
    }

    /// The extended number of `sequence`: the one nearest to the newest.
    fn extend(&self, sequence: u16) -> u64 {
        let Some((_, newest)) = self.range else {
            // Room below for packets that were overtaken.
            return 0x1_0000 + u64::from(sequence);
        };
        let difference = i64::from(sequence.wrapping_sub((newest & 0xffff) as u16) as i16);
        newest.saturating_add_signed(difference)
    }

    fn bit(number: u64) -> (usize, u64) {
        let position = number % WINDOW;
        ((position / 64) as usize, 1 << (position % 64))
    }

    fn set(&mut self, number: u64, value: bool) {
        let (word, mask) = Self::bit(number);
        if value {
            self.seen[word] |= mask;
        } else {
            self.seen[word] &= !mask;
        }
    }

    fn has(&self, number: u64) -> bool {
        let (word, mask) = Self::bit(number);
        self.seen[word] & mask != 0
    }

    fn start(&mut self, number: u64) {
        self.range = Some((number, number));
        self.seen.fill(0);
        self.missing.clear();
        self.unique = 1;
        self.set(number, true);
    }

    /// Notes a packet.
    pub(super) fn insert(&mut self, sequence: u16, now: Monotonic) -> Arrival {
        let number = self.extend(sequence);
        let Some((first, newest)) = self.range else {
            self.start(number);
            return Arrival::New(number);
        };
        if number > newest {
            if number - newest > RESTART {
                self.start(number);
                return Arrival::Restart(number);
            }
            for skipped in newest + 1..number {
                self.set(skipped, false);
                if self.asks {
                    self.missing.insert(skipped, Missing { since: now, asked: None, tries: 0 });
                }
            }
            while self.missing.len() > MISSING_LIMIT {
                self.missing.pop_first();
            }
            self.range = Some((first, number));
        } else {
            if newest - number >= WINDOW {
                return Arrival::Stale;
            }
            if self.has(number) {
                return Arrival::Duplicate;
            }
            if number < first {
                self.range = Some((number, newest));
            }
            if let Some((first, _)) = self.missing.remove(&number).and_then(|missing| missing.asked) {
                // Which request was answered is not known. The first is right unless it, or its answer, was lost; so a
                // shorter time is believed sooner than a longer one.
                let sample = now.since(first);
                self.repair_time = Some(match self.repair_time {
                    Some(time) if sample > time => (time * 7 + sample) / 8,
                    Some(time) => (time + sample) / 2,
                    None => sample,
                });
            }
        }
        self.set(number, true);
        self.unique += 1;
        Arrival::New(number)
    }

    /// Time between two requests for one packet.
    fn retry(&self) -> Duration {
        self.repair_time.map_or(Duration::from_millis(50), |time| (time * 5 / 4).clamp(RETRY.0, RETRY.1))
    }

    /// Sequence numbers to ask for now.
    pub(super) fn due(&mut self, now: Monotonic) -> Vec<u16> {
        let retry = self.retry();
        let mut due = Vec::new();
        self.missing.retain(|number, missing| {
            if now.since(missing.since) > GIVE_UP {
                return false;
            }
            let ready = match missing.asked {
                None => now.since(missing.since) >= REORDER_TIME,
                Some((_, newest)) => now.since(newest) >= retry,
            };
            if ready {
                if missing.tries >= TRIES {
                    return false;
                }
                missing.tries += 1;
                missing.asked = Some((missing.asked.map_or(now, |(first, _)| first), now));
                due.push((number & 0xffff) as u16);
            }
            true
        });
        due
    }

    /// When [`Self::due`] has something to say, if nothing arrives until then.
    pub(super) fn next_due(&self) -> Option<Monotonic> {
        let retry = self.retry();
        self.missing
            .values()
            .map(|missing| missing.asked.map_or(missing.since + REORDER_TIME, |(_, newest)| newest + retry))
            .min()
    }

    /// Packets that should have arrived since the first one, less those that did.
    pub(super) fn lost(&self) -> u64 {
        self.range.map_or(0, |(first, newest)| (newest - first + 1).saturating_sub(self.unique))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_millis(1000 + millis)
    }

    #[test]
    fn duplicates_and_order() {
        // (sequence number, what it is)
        let cases = [
            (65_534, true),
            (65_535, true),
            (1, true),
            (0, true),
            (1, false),
            (65_535, false),
            (65_530, true),
            (2, true),
        ];
        let mut arrivals = Arrivals::new(true);
        for (sequence, new) in cases {
            let arrival = arrivals.insert(sequence, at(0));
            assert_eq!(matches!(arrival, Arrival::New(_)), new, "{sequence}: {arrival:?}");
        }
        assert_eq!(arrivals.lost(), 3, "65531 to 65533");
    }

    #[test]
    fn a_gap_is_asked_for_a_bounded_number_of_times() {
        let mut arrivals = Arrivals::new(true);
        arrivals.insert(10, at(0));
        arrivals.insert(13, at(0));
        assert_eq!(arrivals.due(at(2)), [0u16; 0], "it may only be late");
        assert_eq!(arrivals.due(at(8)), [11, 12]);
        assert_eq!(arrivals.due(at(20)), [0u16; 0], "the answer needs time");
        arrivals.insert(11, at(48));
        let mut asked = 0;
        for millis in 49..5000 {
            asked += arrivals.due(at(millis)).len();
        }
        assert_eq!(asked, usize::from(TRIES) - 1);
        assert_eq!(arrivals.next_due(), None, "given up");
        assert_eq!(arrivals.lost(), 1);
        assert!(matches!(arrivals.insert(12, at(5000)), Arrival::New(_)), "late is better than never");
        assert_eq!(arrivals.lost(), 0);
    }

    #[test]
    fn the_time_between_requests_follows_the_repairs() {
        let mut arrivals = Arrivals::new(true);
        arrivals.insert(0, at(0));
        for round in 0..50u16 {
            let now = u64::from(round) * 1000;
            arrivals.insert(round * 2 + 2, at(now));
            assert_eq!(arrivals.due(at(now + 10)), [round * 2 + 1]);
            arrivals.insert(round * 2 + 1, at(now + 110));
        }
        assert_eq!(arrivals.repair_time, Some(Duration::from_millis(100)));
        assert_eq!(arrivals.retry(), Duration::from_millis(125));
    }

    #[test]
    fn an_outage_and_a_restart_do_not_ask_for_thousands() {
        let mut arrivals = Arrivals::new(true);
        arrivals.insert(0, at(0));
        arrivals.insert(1500, at(0));
        assert_eq!(arrivals.due(at(10)).len(), MISSING_LIMIT);
        assert!(matches!(arrivals.insert(20_000, at(20)), Arrival::Restart(_)));
        assert_eq!(arrivals.due(at(40)), [0u16; 0]);
        assert_eq!(arrivals.lost(), 0);
        assert_eq!(arrivals.insert(15_000, at(20)), Arrival::Stale);
    }

    #[test]
    fn sound_is_not_asked_for() {
        let mut arrivals = Arrivals::new(false);
        arrivals.insert(0, at(0));
        arrivals.insert(5, at(0));
        assert_eq!(arrivals.due(at(100)), [0u16; 0]);
        assert_eq!(arrivals.lost(), 4);
    }
}
