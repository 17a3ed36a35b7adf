//! How much one client may say: what is too fast waits on its side, and whoever goes on like that is put out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::tally::Refused;
use crate::limits::{Bucket, Rate};

/// A message costs one token, and one more for each of these bytes: reading it takes as long.
const BYTES_PER_TOKEN: usize = 4096;
/// Whoever has said too much all the time for so long does not stop by itself.
const FLOOD: Duration = Duration::from_secs(10);

/// What to do after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Hear the next.
    Go,
    /// Take this one, and hear the next after so long.
    Wait(Duration),
    /// Hear nothing more.
    Over,
}

/// What is left for one client.
#[derive(Debug)]
pub struct Patience {
    rate: Rate,
    bucket: Option<Bucket>,
    /// Since when it says too much.
    too_fast_since: Option<Instant>,
    refused: Arc<Refused>,
}

impl Patience {
    /// All of it; how often it came to an end is counted in `refused`.
    pub fn new(rate: Rate, refused: Arc<Refused>) -> Patience {
        Patience { rate, bucket: None, too_fast_since: None, refused }
    }

    /// A message of `bytes` came.
    pub fn hear(&mut self, bytes: usize, now: Instant) -> Verdict {
        let bucket = self.bucket.get_or_insert_with(|| Bucket::new(now));
        if bucket.is_half_full(self.rate, now) {
            self.too_fast_since = None;
        }
        let cost = u32::try_from(1 + bytes / BYTES_PER_TOKEN).unwrap_or(u32::MAX);
        let wait = bucket.charge(self.rate, cost, now);
        if wait.is_zero() {
            return Verdict::Go;
        }
        let is_new = self.too_fast_since.is_none();
        let since = *self.too_fast_since.get_or_insert(now);
        let over = now.saturating_duration_since(since) >= FLOOD;
        if is_new || over {
            self.refused.messages.add();
        }
        if over { Verdict::Over } else { Verdict::Wait(wait) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says a message as soon as it may, for `time`; returns how many were heard, and whether it was put out.
    fn flood(patience: &mut Patience, bytes: usize, start: Instant, time: Duration) -> (u32, bool) {
        let (mut now, mut heard) = (start, 0);
        while now < start + time {
            heard += 1;
            match patience.hear(bytes, now) {
                Verdict::Go => now += Duration::from_micros(100),
                Verdict::Wait(wait) => now += wait,
                Verdict::Over => return (heard, true),
            }
        }
        (heard, false)
    }

    #[test]
    fn who_floods_is_slowed_down_and_put_out_after_ten_seconds() {
        let start = Instant::now();
        let refused = Arc::<Refused>::default();
        let mut patience = Patience::new(Rate::new(50, 10), Arc::clone(&refused));
        let (heard, out) = flood(&mut patience, 100, start, Duration::from_secs(9));
        assert!(!out && (940..=960).contains(&heard), "{heard}");
        assert_eq!(refused.messages.get(), 1);
        let (heard, out) = flood(&mut patience, 100, start + Duration::from_secs(9), Duration::from_secs(9));
        assert!(out && heard < 60, "{heard}");
    }

    #[test]
    fn who_stops_in_time_begins_anew() {
        let start = Instant::now();
        let mut patience = Patience::new(Rate::new(50, 10), Default::default());
        for round in 0..20 {
            let begin = start + round * Duration::from_secs(15);
            let (_, out) = flood(&mut patience, 100, begin, Duration::from_secs(8));
            assert!(!out, "round {round}");
        }
    }

    #[test]
    fn large_messages_cost_more() {
        let start = Instant::now();
        let mut patience = Patience::new(Rate::new(50, 10), Default::default());
        let (heard, _) = flood(&mut patience, 1 << 20, start, Duration::from_secs(9));
        assert!(heard < 8, "{heard} MiB in nine seconds");
    }
}
