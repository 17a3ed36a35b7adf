//! What one receiver counts while it is measured: which packets came, how late, and which never did.

use std::collections::HashMap;
use std::ops::Range;

use crate::stamp::Stamp;

/// Names one encoding in the room: its publisher, and which of the publisher's encodings.
pub type Source = (u16, u8);

/// The time that counts, nanoseconds since the program's epoch; packets belong to it by when they were sent.
pub type Window = Range<u64>;

/// Which of an encoding's packets came.
#[derive(Debug, Default)]
struct Seen {
    base: u64,
    words: Vec<u64>,
}

impl Seen {
    /// Notes packet `counter`; false when it came before.
    fn insert(&mut self, counter: u64) -> bool {
        if self.words.is_empty() {
            self.base = counter / 64;
        }
        let word = counter / 64;
        if word < self.base {
            self.words.splice(0..0, std::iter::repeat_n(0, (self.base - word) as usize));
            self.base = word;
        }
        let index = (word - self.base) as usize;
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        let bit = 1 << (counter % 64);
        let fresh = self.words[index] & bit == 0;
        self.words[index] |= bit;
        fresh
    }

    fn contains(&self, counter: u64) -> bool {
        let index = (counter / 64).checked_sub(self.base).map(|index| index as usize);
        index.and_then(|index| self.words.get(index)).is_some_and(|word| word >> (counter % 64) & 1 == 1)
    }

    fn missing(&self, counters: Range<u64>) -> u64 {
        counters.filter(|counter| !self.contains(*counter)).count() as u64
    }
}

/// A stretch in which a track came in one layer, by counters of that layer.
#[derive(Debug, Clone, Copy)]
struct Run {
    encoding: u8,
    first: u64,
    last: u64,
}

/// A track of one publisher as one receiver gets it.
#[derive(Debug, Default)]
struct Track {
    seen: HashMap<u8, Seen>,
    runs: Vec<Run>,
    newest: u64,
}

impl Track {
    fn arrived(&mut self, stamp: Stamp) -> bool {
        let fresh = self.seen.entry(stamp.encoding).or_default().insert(stamp.counter);
        if stamp.sent >= self.newest {
            self.newest = stamp.sent;
            match self.runs.last_mut() {
                Some(run) if run.encoding == stamp.encoding => run.last = run.last.max(stamp.counter),
                _ => {
                    self.runs.push(Run { encoding: stamp.encoding, first: stamp.counter, last: stamp.counter });
                }
            }
        }
        fresh
    }

    /// Packets that are missing inside of what came.
    fn holes(&self) -> u64 {
        let missing = |run: &Run| self.seen.get(&run.encoding).map_or(0, |seen| seen.missing(run.first..run.last + 1));
        self.runs.iter().map(missing).sum()
    }
}

/// Everything that one receiver counted.
#[derive(Debug, Default)]
pub struct Tally {
    tracks: HashMap<(u16, bool), Track>,
    /// Packets that came for the first time.
    pub packets: u64,
    /// Their payload.
    pub bytes: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// From sending to arrival, microseconds, of each packet.
    pub delays: Vec<u32>,
}

impl Tally {
    /// A packet of `bytes` of payload arrived `at` (nanoseconds since the epoch).
    pub fn arrived(&mut self, stamp: Stamp, bytes: usize, at: u64) {
        let track = self.tracks.entry((stamp.publisher, stamp.encoding == 0)).or_default();
        if !track.arrived(stamp) {
            self.duplicates += 1;
            return;
        }
        self.packets += 1;
        self.bytes += bytes as u64;
        let delay = at.saturating_sub(stamp.sent) / 1_000;
        self.delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
    }

    /// Packets that never came. Of a track with one encoding everything that was sent is expected (`sent`: counters by source); of a
    /// simulcast, which a server thins out on purpose, everything between the first and the last packet of each stretch.
    pub fn lost(&self, sent: &HashMap<Source, Range<u64>>, own: u16) -> u64 {
        let layers = |publisher: u16| sent.keys().filter(|(who, encoding)| *who == publisher && *encoding > 0).count();
        let single = sent
            .iter()
            .filter(|((publisher, encoding), _)| *publisher != own && (*encoding == 0 || layers(*publisher) == 1));
        let missing = single.map(|((publisher, encoding), counters)| {
            let track = self.tracks.get(&(*publisher, *encoding == 0));
            let seen = track.and_then(|track| track.seen.get(encoding));
            seen.map_or(counters.end - counters.start, |seen| seen.missing(counters.clone()))
        });
        let thinned = self.tracks.iter().filter(|((publisher, sound), _)| !sound && layers(*publisher) > 1);
        missing.sum::<u64>() + thinned.map(|(_, track)| track.holes()).sum::<u64>()
    }
}

/// The value that a share of all lies under, of sorted ones; 0 when there are none.
pub fn percentile(sorted: &[u32], share: f64) -> u32 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(encoding: u8, counter: u64, sent: u64) -> Stamp {
        Stamp { publisher: 1, encoding, counter, sent }
    }

    #[test]
    fn what_never_came_is_lost_and_what_came_twice_is_no_packet() {
        let mut tally = Tally::default();
        for counter in [130, 5, 6, 6, 64, 129] {
            tally.arrived(stamp(3, counter, counter * 1_000), 10, counter * 1_000 + 7_000);
        }
        assert_eq!((tally.packets, tally.duplicates, tally.bytes), (5, 1, 50));
        assert_eq!(tally.delays, [7; 5]);
        let sent = HashMap::from([((1, 3), 4..132)]);
        assert_eq!(tally.lost(&sent, 0), 128 - 5);
        assert_eq!(tally.lost(&sent, 1), 0, "nobody gets what it sends itself");
        assert_eq!(tally.lost(&HashMap::from([((2, 0), 0..9)]), 0), 9, "a track of which nothing came");
    }

    #[test]
    fn of_a_simulcast_only_holes_inside_a_stretch_are_lost() {
        let mut tally = Tally::default();
        let steps = [(1, 10, 100), (1, 12, 120), (3, 50, 130), (3, 51, 131), (1, 11, 110), (3, 54, 134), (1, 20, 200)];
        for (encoding, counter, sent) in steps {
            tally.arrived(stamp(encoding, counter, sent), 1, sent);
        }
        let sent = HashMap::from([((1, 1), 0..100), ((1, 2), 0..100), ((1, 3), 0..100)]);
        assert_eq!(tally.lost(&sent, 0), 2, "52 and 53 of the best layer; 11 came late");
    }

    #[test]
    fn percentiles() {
        let sorted: Vec<u32> = (0..=100).collect();
        assert_eq!((percentile(&sorted, 0.5), percentile(&sorted, 0.99), percentile(&[], 0.5)), (50, 99, 0));
    }
}
