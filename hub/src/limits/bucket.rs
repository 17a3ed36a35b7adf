//! Token buckets: so many in a second, and after a quiet time several seconds' worth at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Time in which one token is added.
    interval: Duration,
    /// Time in which an empty bucket fills.
    capacity: Duration,
}

impl Rate {
    /// `per_second` tokens (0 counts as 1), and room for `seconds` of them.
    pub fn new(per_second: u32, seconds: u32) -> Rate {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Rate { interval, capacity: interval * (per_second.max(1) * seconds.max(1)) }
    }
}

/// One bucket, full at first. It is kept as the time at which it will be full again (the generic cell rate algorithm).
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// A full one.
    pub fn new(now: Instant) -> Bucket {
        Bucket { full_at: now }
    }

    /// Takes `cost` tokens if they are there (a full bucket gives whatever is asked for). The error is how long it takes until
    /// they are.
    pub fn take(&mut self, rate: Rate, cost: u32, now: Instant) -> Result<(), Duration> {
        let price = rate.interval.saturating_mul(cost).min(rate.capacity);
        let full_at = self.full_at.max(now) + price;
        match full_at.saturating_duration_since(now).saturating_sub(rate.capacity) {
            Duration::ZERO => {
                self.full_at = full_at;
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Takes `cost` tokens, there or not; returns how long it takes until nothing is owed.
    pub fn charge(&mut self, rate: Rate, cost: u32, now: Instant) -> Duration {
        self.full_at = self.full_at.max(now) + rate.interval.saturating_mul(cost).min(rate.capacity);
        self.full_at.saturating_duration_since(now).saturating_sub(rate.capacity)
    }

    /// Whether no more than half of the tokens are missing.
    pub fn is_half_full(&self, rate: Rate, now: Instant) -> bool {
        self.full_at.saturating_duration_since(now) <= rate.capacity / 2
    }

    /// Whether nothing is missing.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

/// Buckets below this number are not worth looking through.
const FEW: usize = 256;

/// A bucket for each of many.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    buckets: HashMap<K, Bucket>,
    /// Number of buckets at which those are dropped that are full again, and so as good as new.
    enough: usize,
}

impl<K: Hash + Eq> Buckets<K> {
    /// None yet; each fills at `rate`.
    pub fn new(rate: Rate) -> Buckets<K> {
        Buckets { rate, buckets: HashMap::new(), enough: FEW }
    }

    /// Takes a token of `key`'s. The error is how long it takes until there is one.
    pub fn take(&mut self, key: K, now: Instant) -> Result<(), Duration> {
        if self.buckets.len() >= self.enough {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            self.enough = (2 * self.buckets.len()).max(FEW);
        }
        self.buckets.entry(key).or_insert_with(|| Bucket::new(now)).take(self.rate, 1, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_as_many_as_are_added() {
        let start = Instant::now();
        let rate = Rate::new(10, 2);
        let mut bucket = Bucket::new(start);
        assert_eq!((0..100).filter(|_| bucket.take(rate, 1, start).is_ok()).count(), 20);
        assert_eq!(bucket.take(rate, 1, start), Err(Duration::from_millis(100)));
        let mut taken = 0;
        for ms in 0..5_000 {
            taken += usize::from(bucket.take(rate, 1, start + Duration::from_millis(ms)).is_ok());
        }
        assert_eq!(taken, 49, "ten a second, the first after 100 ms");
        let later = start + Duration::from_secs(60);
        assert!(bucket.is_full(later));
        assert_eq!((0..100).filter(|_| bucket.take(rate, 1, later).is_ok()).count(), 20, "rest is not hoarded");
    }

    #[test]
    fn what_costs_more_than_a_bucket_holds_passes_when_it_is_full() {
        let start = Instant::now();
        let rate = Rate::new(10, 2);
        let mut bucket = Bucket::new(start);
        assert_eq!(bucket.take(rate, 1_000_000, start), Ok(()));
        assert_eq!(bucket.take(rate, 1_000_000, start), Err(Duration::from_secs(2)));
        assert_eq!(bucket.take(rate, 5, start), Err(Duration::from_millis(500)));
    }

    #[test]
    fn a_debt_is_paid_in_time() {
        let start = Instant::now();
        let rate = Rate::new(10, 1);
        let mut bucket = Bucket::new(start);
        let waits: Vec<u128> = [5, 5, 5, 1_000].map(|cost| bucket.charge(rate, cost, start).as_millis()).into();
        assert_eq!(waits, [0, 0, 500, 1_500]);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!([1_900, 2_000].map(|ms| bucket.is_half_full(rate, at(ms))), [false, true]);
        assert_eq!(bucket.charge(rate, 1, at(4_000)), Duration::ZERO);
    }

    #[test]
    fn one_cannot_empty_anothers_bucket_and_nothing_is_kept_of_those_who_rest() {
        let start = Instant::now();
        let mut buckets = Buckets::new(Rate::new(10, 1));
        while buckets.take(0, start).is_ok() {}
        assert!(buckets.take(1, start).is_ok());
        for key in 2..100_000 {
            let now = start + Duration::from_millis(key);
            assert!(buckets.take(key, now).is_ok());
        }
        assert!(buckets.buckets.len() <= 2 * FEW, "{}", buckets.buckets.len());
    }
}
