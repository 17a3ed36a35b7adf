//! What all participants measured, as one line of JSON.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::participant::Outcome;
use crate::tally::percentile;

/// A run.
#[derive(Debug)]
pub struct Report {
    /// Participants.
    pub people: u16,
    /// Tracks that somebody received.
    pub subscriptions: usize,
    /// Measured time.
    pub seconds: f64,
    /// Processor time of this program per second; near 1 it measures itself.
    pub cpu: f64,
    /// Each participant's number and what it measured.
    pub outcomes: Vec<(u16, Outcome)>,
}

impl Report {
    /// As JSON: times in milliseconds, counts of packets in the whole measured time.
    pub fn json(&self) -> Value {
        let sent: HashMap<_, _> = self.outcomes.iter().flat_map(|(_, outcome)| outcome.sent.clone()).collect();
        let receivers = self.outcomes.iter().filter(|(_, outcome)| outcome.receives);
        let lost: u64 = receivers.map(|(number, outcome)| outcome.tally.lost(&sent, *number)).sum();
        let sum = |of: fn(&Outcome) -> u64| self.outcomes.iter().map(|(_, outcome)| of(outcome)).sum::<u64>();
        let sorted = |of: fn(&Outcome) -> &Vec<u32>| {
            let mut all: Vec<u32> = self.outcomes.iter().flat_map(|(_, outcome)| of(outcome).iter().copied()).collect();
            all.sort_unstable();
            all
        };
        let (delays, late) = (sorted(|o| &o.tally.delays), sorted(|o| &o.late));
        let ms = |sorted: &[u32], share| f64::from(percentile(sorted, share)) / 1_000.0;
        json!({
            "participants": self.people,
            "subscriptions": self.subscriptions,
            "seconds": self.seconds,
            "sent": sent.values().map(|counters| counters.end - counters.start).sum::<u64>(),
            "received": sum(|o| o.tally.packets),
            "received_bytes": sum(|o| o.tally.bytes),
            "duplicates": sum(|o| o.tally.duplicates),
            "lost": lost,
            "delay_ms": { "p50": ms(&delays, 0.5), "p99": ms(&delays, 0.99), "max": ms(&delays, 1.0) },
            "key_frames_asked": sum(|o| o.key_frames_asked),
            "tool": {
                "cpu": self.cpu,
                "late_ms": { "p50": ms(&late, 0.5), "p99": ms(&late, 0.99) },
                "unsent": sum(|o| o.unsent),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    #[test]
    fn a_run_in_one_line() {
        let mut sender = Outcome::default();
        sender.sent.insert((0, 0), 10..20);
        let mut receiver = Outcome { receives: true, ..Default::default() };
        for counter in 10..19 {
            receiver.tally.arrived(Stamp { publisher: 0, encoding: 0, counter, sent: 0 }, 80, counter * 1_000_000);
        }
        let outcomes = vec![(0, sender), (1, receiver)];
        let json = Report { people: 2, subscriptions: 1, seconds: 1.0, cpu: 0.1, outcomes }.json();
        assert_eq!(
            (json["sent"].as_u64(), json["received"].as_u64(), json["lost"].as_u64()),
            (Some(10), Some(9), Some(1))
        );
        assert_eq!(json["delay_ms"]["p50"].as_f64(), Some(14.0));
    }
}
