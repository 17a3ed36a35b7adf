//! What the media thread counts, for those who watch the hub.
//!
//! Only that thread writes and others read now and then, so that no write waits for anybody: each is a load and a store of its own
//! cache line's data, without a lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use str0m::media::{Mid, Rid};
use str0m::stats::{MediaEgressStats, MediaIngressStats};

/// A number that one thread adds to and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; to be called by the media thread alone.
    pub fn add(&self, more: u64) {
        // One writer: nothing is lost between the load and the store.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One direction of media.
#[derive(Debug, Default)]
pub struct Direction {
    /// Datagrams, of whatever is in them.
    pub datagrams: Counter,
    /// Bytes in them.
    pub bytes: Counter,
    /// RTP packets, retransmissions too.
    pub packets: Counter,
    /// Requests for retransmission: those that the hub sent for what it receives, or got for what it sends.
    pub nacks: Counter,
    /// Requests for key frames, likewise.
    pub plis: Counter,
    /// RTP packets that whoever receives them says were lost.
    pub lost: Counter,
}

/// What the media thread has counted since it began.
#[derive(Debug, Default)]
pub struct Counters {
    /// What clients send.
    pub received: Direction,
    /// What clients get.
    pub sent: Direction,
    /// Data packets that went nowhere, because their sender sends too much.
    pub data_dropped: Counter,
}

/// What a stream had counted when it was last looked at: str0m's numbers begin with each stream.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    packets: u64,
    nacks: u64,
    lost: u64,
}

/// Adds up the streams of one peer.
#[derive(Debug, Default)]
pub struct StreamTotals {
    incoming: HashMap<(Mid, Option<Rid>), Seen>,
    outgoing: HashMap<(Mid, Option<Rid>), Seen>,
}

impl StreamTotals {
    /// A stream that a client sends.
    pub fn incoming(&mut self, stats: &MediaIngressStats, to: &Direction) {
        let seen = self.incoming.entry((stats.mid, stats.rid)).or_default();
        let arrived = since(seen.packets, stats.packets);
        // A share of the time since the last report, which is about the time since the last look.
        let share = f64::from(stats.loss.unwrap_or(0.0)).clamp(0.0, 0.99);
        let lost = seen.lost + (arrived as f64 * share / (1.0 - share)).round() as u64;
        add(seen, Seen { packets: stats.packets, nacks: stats.nacks, lost }, to);
    }

    /// A stream that a client gets.
    pub fn outgoing(&mut self, stats: &MediaEgressStats, to: &Direction) {
        let seen = self.outgoing.entry((stats.mid, stats.rid)).or_default();
        let lost = stats.remote.as_ref().map_or(seen.lost, |remote| remote.packets_lost);
        add(seen, Seen { packets: stats.packets, nacks: stats.nacks, lost }, to);
    }
}

fn add(seen: &mut Seen, now: Seen, to: &Direction) {
    to.packets.add(since(seen.packets, now.packets));
    to.nacks.add(since(seen.nacks, now.nacks));
    to.lost.add(since(seen.lost, now.lost));
    *seen = now;
}

/// What came since: nothing, when the stream began anew, or when packets that a receiver counted as lost came late.
fn since(before: u64, now: u64) -> u64 {
    now.saturating_sub(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_add_up_and_never_count_backwards() {
        let total = Direction::default();
        let mut seen = Seen::default();
        for (packets, lost) in [(100, 3), (150, 2), (10, 0), (30, 4)] {
            add(&mut seen, Seen { packets, nacks: packets / 10, lost }, &total);
        }
        assert_eq!((total.packets.get(), total.nacks.get()), (170, 17));
        assert_eq!(total.lost.get(), 7);
    }
}
