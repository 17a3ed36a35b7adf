//! The model of an emulated link, without its sockets: which packets get lost, and when the others arrive.

use std::collections::VecDeque;

/// What one direction of a link does to packets.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// One-way delay in nanoseconds.
    pub delay: u64,
    /// Up to this many nanoseconds more, evenly spread; packets stay in order.
    pub jitter: u64,
    /// Share of packets that get lost, 0 to 1.
    pub loss: f64,
    /// Bit rate, if it is limited.
    pub limit: Option<Limit>,
}

/// A token bucket with a bounded queue: what comes faster than the rate waits, and what finds the queue full is lost.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Bits per second; not 0.
    pub rate: u64,
    /// Bytes that pass at once after a rest.
    pub burst: u64,
    /// Bytes that may wait.
    pub queue: u64,
}

impl Limit {
    /// Time in nanoseconds that `bytes` take at the rate.
    fn time(self, bytes: u64) -> u64 {
        bytes * 8_000_000_000 / self.rate
    }
}

/// One direction of a link.
#[derive(Debug)]
pub struct Direction {
    conditions: Conditions,
    random: Random,
    queue: VecDeque<(u64, Vec<u8>)>,
    last_due: u64,
    /// When the token bucket is full again, were nothing more sent.
    full_at: u64,
    /// Packets that were sent into it.
    pub packets: u64,
    /// Packets that it lost.
    pub lost: u64,
    /// Bytes that were sent into it.
    pub bytes: u64,
}

impl Direction {
    /// A direction whose losses depend on `seed` and on the order of its own packets only.
    #[must_use]
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        let queue = VecDeque::new();
        Self { conditions, random: Random(seed), queue, last_due: 0, full_at: 0, packets: 0, lost: 0, bytes: 0 }
    }

    /// Loses another share of the packets from now on.
    pub fn set_loss(&mut self, loss: f64) {
        self.conditions.loss = loss;
    }

    /// Carries another bit rate from now on; `None` is no limit. What waits already keeps its time.
    pub fn set_limit(&mut self, limit: Option<Limit>) {
        self.conditions.limit = limit;
    }

    /// Takes a packet at time `now`.
    pub fn send(&mut self, packet: &[u8], now: u64) {
        self.packets += 1;
        self.bytes += packet.len() as u64;
        if self.random.unit() < self.conditions.loss {
            self.lost += 1;
            return;
        }
        let Some(leaves) = self.pass(packet.len() as u64, now) else {
            self.lost += 1;
            return;
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let jitter = (self.random.unit() * self.conditions.jitter as f64) as u64;
        self.last_due = self.last_due.max(leaves + self.conditions.delay + jitter);
        self.queue.push_back((self.last_due, packet.to_vec()));
    }

    /// When a packet leaves the token bucket; `None` when the queue before it is full.
    fn pass(&mut self, bytes: u64, now: u64) -> Option<u64> {
        let Some(limit) = self.conditions.limit else { return Some(now) };
        let full_at = self.full_at.max(now) + limit.time(bytes);
        // What the bucket cannot pay for at once has to wait.
        let wait = (full_at - now).saturating_sub(limit.time(limit.burst));
        if wait > limit.time(limit.queue) {
            return None;
        }
        self.full_at = full_at;
        Some(now + wait)
    }

    /// The next packet that has arrived by `now`.
    pub fn receive(&mut self, now: u64) -> Option<Vec<u8>> {
        let (due, _) = self.queue.front()?;
        if *due > now {
            return None;
        }
        self.queue.pop_front().map(|(_, packet)| packet)
    }

    /// When the next packet arrives.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.queue.front().map(|(due, _)| *due)
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
#[derive(Debug)]
struct Random(u64);

impl Random {
    /// Evenly spread over 0 to 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        #[allow(clippy::cast_precision_loss)] // 53 bits fit
        let share = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn packets_arrive_in_order_after_the_delay() {
        let mut link = Direction::new(Conditions { delay: 40 * MS, jitter: 20 * MS, loss: 0.0, limit: None }, 1);
        for number in 0..100_u8 {
            link.send(&[number], u64::from(number) * MS);
        }
        assert_eq!(link.receive(40 * MS - 1), None);
        let mut now = 0;
        for number in 0..100_u8 {
            now = now.max(link.next_due().expect("a packet is under way"));
            assert!((40..=60).contains(&(now / MS - u64::from(number))) || now / MS >= u64::from(number) + 40);
            assert_eq!(link.receive(now), Some(vec![number]));
        }
    }

    #[test]
    fn loss_has_its_rate_and_the_same_seed_loses_the_same() {
        let conditions = Conditions { delay: 0, jitter: 0, loss: 0.02, limit: None };
        let lost = |seed| {
            let mut link = Direction::new(conditions, seed);
            (0..20_000_u32).for_each(|number| link.send(&number.to_le_bytes(), 0));
            link.lost
        };
        assert!((300..500).contains(&lost(7)), "{}", lost(7));
        assert_eq!(lost(7), lost(7));
        assert_ne!(lost(7), lost(8));
    }

    #[test]
    fn a_limited_link_passes_its_rate_and_loses_what_its_queue_has_no_room_for() {
        // 1 Mbit/s: a packet of 1250 bytes takes 10 ms.
        let limit = Limit { rate: 1_000_000, burst: 2_500, queue: 12_500 };
        let mut link = Direction::new(Conditions { delay: 0, jitter: 0, loss: 0.0, limit: Some(limit) }, 1);
        let packet = [0; 1_250];
        (0..20).for_each(|_| link.send(&packet, 0));
        assert_eq!(link.lost, 8, "two pass at once and ten wait");
        let mut arrivals = Vec::new();
        while let Some(due) = link.next_due() {
            arrivals.push(due / MS);
            link.receive(due);
        }
        assert_eq!(arrivals, [0, 0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
        link.send(&packet, 1_000 * MS);
        assert_eq!(link.next_due(), Some(1_000 * MS), "after a rest the bucket is full again");
    }
}
