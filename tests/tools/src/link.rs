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
}

/// One direction of a link.
#[derive(Debug)]
pub struct Direction {
    conditions: Conditions,
    random: Random,
    queue: VecDeque<(u64, Vec<u8>)>,
    last_due: u64,
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
        Self { conditions, random: Random(seed), queue, last_due: 0, packets: 0, lost: 0, bytes: 0 }
    }

    /// Takes a packet at time `now`.
    pub fn send(&mut self, packet: &[u8], now: u64) {
        self.packets += 1;
        self.bytes += packet.len() as u64;
        if self.random.unit() < self.conditions.loss {
            self.lost += 1;
            return;
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let jitter = (self.random.unit() * self.conditions.jitter as f64) as u64;
        self.last_due = self.last_due.max(now + self.conditions.delay + jitter);
        self.queue.push_back((self.last_due, packet.to_vec()));
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
        let mut link = Direction::new(Conditions { delay: 40 * MS, jitter: 20 * MS, loss: 0.0 }, 1);
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
        let conditions = Conditions { delay: 0, jitter: 0, loss: 0.02 };
        let lost = |seed| {
            let mut link = Direction::new(conditions, seed);
            (0..20_000_u32).for_each(|number| link.send(&number.to_le_bytes(), 0));
            link.lost
        };
        assert!((300..500).contains(&lost(7)), "{}", lost(7));
        assert_eq!(lost(7), lost(7));
        assert_ne!(lost(7), lost(8));
    }
}
