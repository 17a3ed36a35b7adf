//! Sequence numbers and timestamps of one track as one subscriber sees them.
//!
//! A subscriber must see one unbroken stream: it may join late, pause, or be moved to another encoding of the same
//! picture, but every gap in its sequence numbers must be a packet that the network lost, and nothing else, because
//! it asks for what is missing (RFC 4585 section 6.2.1).

use std::collections::VecDeque;
use std::time::Instant;

use super::timing::timestamp_since;

/// How far before the first packet of a source a reordered packet may still be forwarded.
const REORDERED: u64 = 256;
/// Of so many of the newest numbers it is known which were left out.
const LEFT_OUT: u64 = 1024;

/// One incoming packet, as far as rewriting needs it.
#[derive(Debug, Clone, Copy)]
pub struct Incoming {
    /// SSRC of the source; a change is a new source.
    pub source: u32,
    /// Sequence number, extended beyond 16 bits.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// When its content was made, on our clock.
    pub made_at: Instant,
}

/// Sequence number (extended) and timestamp to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// Extended sequence number.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// No later packet went out before it.
    pub newest: bool,
    /// It is the first one of another source than before.
    pub changed: bool,
}

/// Rewriting state of one subscription.
#[derive(Debug)]
pub struct Rewrite {
    /// Outgoing timestamp 0.
    epoch: Instant,
    /// RTP clock in Hz.
    rate: u32,
    source: Option<Source>,
    next_sequence: u64,
    last_timestamp: Option<u32>,
}

#[derive(Debug)]
struct Source {
    ssrc: u32,
    first_in: u64,
    first_out: u64,
    /// Numbers before `first_out` that are free for packets that arrive late.
    room_before: u64,
    timestamp_offset: u32,
    newest_in: u64,
    left_out: LeftOut,
}

/// Packets of a source that are kept from this subscriber: their numbers are closed up.
#[derive(Debug, Default)]
struct LeftOut {
    count: u64,
    /// Ascending.
    recent: VecDeque<u64>,
    /// Of older numbers it is not known any more.
    known_from: u64,
}

impl LeftOut {
    fn add(&mut self, sequence: u64) {
        self.count += 1;
        self.recent.push_back(sequence);
        while let Some(oldest) = self.recent.front().copied().filter(|oldest| oldest + LEFT_OUT < sequence) {
            self.recent.pop_front();
            self.known_from = oldest + 1;
        }
    }

    /// How many came before `sequence`; `None` when it is one of them, or too old.
    fn before(&self, sequence: u64) -> Option<u64> {
        let later = self.recent.iter().rev().take_while(|left| **left > sequence).count();
        let is_left = self.recent.iter().rev().nth(later) == Some(&sequence);
        (sequence >= self.known_from && !is_left).then(|| self.count - later as u64)
    }
}

impl Rewrite {
    /// Begins with sequence number `first_sequence` (below 2^16: a receiver assumes that no wrap happened before its
    /// first packet); timestamps count from `epoch` in `rate` Hz.
    pub fn new(first_sequence: u16, epoch: Instant, rate: u32) -> Rewrite {
        // Room for packets that arrive later than their successors.
        let next_sequence = u64::from(first_sequence).max(REORDERED);
        Rewrite { epoch, rate, source: None, next_sequence, last_timestamp: None }
    }

    /// Where `packet` goes, or `None` when it belongs to before the start of what this subscriber gets.
    pub fn forward(&mut self, packet: Incoming) -> Option<Outgoing> {
        let starts = self.source.as_ref().is_none_or(|s| s.ssrc != packet.source);
        let changed = starts && self.last_timestamp.is_some();
        if starts {
            self.start(packet);
        }
        let source = self.source.as_mut()?;
        source.newest_in = source.newest_in.max(packet.sequence);
        let sequence = if packet.sequence >= source.first_in {
            source.first_out + (packet.sequence - source.first_in) - source.left_out.before(packet.sequence)?
        } else {
            let before = source.first_in - packet.sequence;
            if before > source.room_before {
                return None;
            }
            source.first_out - before
        };
        let timestamp = packet.timestamp.wrapping_add(source.timestamp_offset);
        let newest = sequence >= self.next_sequence;
        if newest {
            self.next_sequence = sequence + 1;
            self.last_timestamp = Some(timestamp);
        }
        Some(Outgoing { sequence, timestamp, newest, changed })
    }

    /// Leaves a packet of the present source out. Its number is closed up, unless later ones went out already: then it is
    /// returned, because the subscriber would ask for it.
    pub fn leave_out(&mut self, packet: Incoming) -> Option<Outgoing> {
        let source = self.source.as_mut().filter(|s| s.ssrc == packet.source && packet.sequence >= s.first_in)?;
        if packet.sequence > source.newest_in {
            source.newest_in = packet.sequence;
            source.left_out.add(packet.sequence);
            return None;
        }
        self.forward(packet)
    }

    /// Forwarding stops on purpose; the next packet continues without a gap in sequence numbers.
    pub fn pause(&mut self) {
        self.source = None;
    }

    fn start(&mut self, packet: Incoming) {
        let mut timestamp = timestamp_since(self.epoch, packet.made_at, self.rate);
        if let Some(last) = self.last_timestamp {
            // A later packet never has an earlier or the same time, whatever the two sources' clocks say.
            let ahead = timestamp.wrapping_sub(last) as i32;
            if ahead <= 0 {
                timestamp = last.wrapping_add(self.rate / 100);
            }
        }
        self.source = Some(Source {
            ssrc: packet.source,
            first_in: packet.sequence,
            first_out: self.next_sequence,
            // Numbers before a later source's first belong to the source before it.
            room_before: if self.last_timestamp.is_none() { REORDERED } else { 0 },
            timestamp_offset: timestamp.wrapping_sub(packet.timestamp),
            newest_in: packet.sequence,
            left_out: LeftOut::default(),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn packet(source: u32, sequence: u64, timestamp: u32, made_at: Instant) -> Incoming {
        Incoming { source, sequence, timestamp, made_at }
    }

    #[test]
    fn gaps_and_reordering_of_the_source_stay_as_they_are() {
        let t = Instant::now();
        let mut rewrite = Rewrite::new(1_000, t, 90_000);
        let sequence = |out: Option<Outgoing>| out.map(|o| o.sequence);
        assert_eq!(sequence(rewrite.forward(packet(1, 70_000, 5, t))), Some(1_000));
        assert_eq!(sequence(rewrite.forward(packet(1, 70_003, 5, t))), Some(1_003));
        assert_eq!(sequence(rewrite.forward(packet(1, 70_001, 5, t))), Some(1_001));
        assert_eq!(sequence(rewrite.forward(packet(1, 69_999, 5, t))), Some(999), "reordered with the very first");
        assert_eq!(sequence(rewrite.forward(packet(1, 60_000, 5, t))), None, "from before the subscription");
        assert_eq!(sequence(rewrite.forward(packet(1, 70_004, 5, t))), Some(1_004));
    }

    #[test]
    fn timestamps_keep_the_sources_distances() {
        let t = Instant::now();
        let mut rewrite = Rewrite::new(1_000, t, 90_000);
        let made = t + Duration::from_millis(200);
        let first = rewrite.forward(packet(1, 9, u32::MAX - 10, made)).expect("forwarded");
        let second = rewrite.forward(packet(1, 10, 2_989, made)).expect("forwarded");
        assert_eq!(first.timestamp, 18_000);
        assert_eq!(second.timestamp, 18_000 + 3_000);
    }

    #[test]
    fn after_a_pause_there_is_no_gap_and_time_has_passed() {
        let t = Instant::now();
        let mut rewrite = Rewrite::new(1_000, t, 90_000);
        rewrite.forward(packet(1, 500, 100, t));
        rewrite.pause();
        let later = rewrite.forward(packet(1, 900, 100 + 90_000, t + Duration::from_secs(1))).expect("forwarded");
        assert_eq!(later, Outgoing { sequence: 1_001, timestamp: 90_000, newest: true, changed: true });
    }

    #[test]
    fn another_source_continues_numbers_and_never_goes_back_in_time() {
        let t = Instant::now();
        let mut rewrite = Rewrite::new(1_000, t, 90_000);
        rewrite.forward(packet(1, 500, 100, t + Duration::from_millis(500)));
        let switched = rewrite.forward(packet(2, 7, 77, t + Duration::from_millis(400))).expect("forwarded");
        assert_eq!(switched.sequence, 1_001);
        assert_eq!(switched.timestamp, 45_000 + 900);
    }

    #[test]
    fn numbers_that_are_left_out_are_closed_up_unless_they_come_late() {
        let t = Instant::now();
        let mut rewrite = Rewrite::new(1_000, t, 90_000);
        // Number, left out, the number that it gets.
        let steps = [
            (500, false, Some(1_000)),
            (501, true, None),
            (504, false, Some(1_003)),
            // 502 was on its way and is to be left out: its place is kept.
            (502, true, Some(1_001)),
            (503, false, Some(1_002)),
            (501, false, None),
            (506, true, None),
            (505, false, Some(1_004)),
            (507, false, Some(1_005)),
        ];
        for (sequence, left_out, expected) in steps {
            let packet = packet(1, sequence, 5, t);
            let out = if left_out { rewrite.leave_out(packet) } else { rewrite.forward(packet) };
            assert_eq!(out.map(|o| o.sequence), expected, "{sequence}");
        }
        for sequence in 508..3_000 {
            rewrite.leave_out(packet(1, sequence, 5, t));
        }
        assert_eq!(rewrite.forward(packet(1, 900, 5, t)), None, "too late to be told");
        assert_eq!(rewrite.forward(packet(1, 3_000, 5, t)).map(|o| o.sequence), Some(1_006));
    }

    #[test]
    fn sequence_numbers_start_within_the_first_turn() {
        let t = Instant::now();
        let mut rewrite = Rewrite::new(0, t, 48_000);
        let first = rewrite.forward(packet(1, 500_000, 0, t)).expect("forwarded");
        assert!(first.sequence < 65_536 && first.sequence >= REORDERED);
    }
}
