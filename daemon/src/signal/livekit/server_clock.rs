//! What the room server's clock shows, from its answers to pings. Capture times are compared by it: it is the one clock that everybody in
//! the room can know, whatever their own show.
//!
//! A ping that was answered at the server's time T, sent and answered here at A and B, says: the server showed T somewhere between A
//! and B. The middle is taken. It is wrong by at most half of B - A, and by nothing when both ways take equally long; so of the newest
//! answers the one with the shortest round trip counts (the clock filter of RFC 5905 §10).

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use livekit_protocol as proto;

use crate::clock::Monotonic;
use crate::rtc::NtpClock;

/// Answers among which the best is chosen. With a ping every 5 s none is older than 40 s, in which two crystals part by 4 ms at most.
const SAMPLES: usize = 8;
/// Answers without which nothing is said: a single one, in the bustle of a login, was seen to be wrong by half of its round trip.
const ENOUGH: usize = 2;
/// A longer round trip tells too little, and can be a wall clock that was set meanwhile.
const LONGEST_TRIP: Duration = Duration::from_secs(5);

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    clock: NtpClock,
    round_trip: Duration,
}

impl Sample {
    /// From an answer that arrived `now`, when our wall clock showed `wall`: pings carry the time of that. `None` when it cannot be right.
    pub(super) fn new(pong: &proto::Pong, wall: SystemTime, now: Monotonic) -> Option<Self> {
        let sent = UNIX_EPOCH + Duration::from_millis(u64::try_from(pong.last_ping_timestamp).ok()?);
        let server = u64::try_from(pong.timestamp).ok().filter(|time| *time > 0)?;
        let round_trip = wall.duration_since(sent).ok()?;
        if round_trip > LONGEST_TRIP {
            return None;
        }
        let shown = UNIX_EPOCH.checked_add(Duration::from_millis(server))?;
        Some(Self { clock: NtpClock::new(shown, now - round_trip / 2), round_trip })
    }
}

/// The clock. Knows no clock itself: the time is part of a sample.
#[derive(Debug, Default)]
pub(super) struct ServerClock {
    samples: VecDeque<Sample>,
}

impl ServerClock {
    /// Takes an answer, and says what the server's clock shows when that is now known better than before.
    pub(super) fn take(&mut self, sample: Sample) -> Option<NtpClock> {
        let before = self.best();
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        let best = self.best();
        best.filter(|_| best != before)
    }

    /// The newest of those with the shortest round trip.
    fn best(&self) -> Option<NtpClock> {
        if self.samples.len() < ENOUGH {
            return None;
        }
        self.samples.iter().rev().min_by_key(|sample| sample.round_trip).map(|sample| sample.clock)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The server's wall clock in ms at the zero of our clock, and ours, which is an hour slow.
    const SERVER: u64 = 1_700_003_600_000;
    const OURS: u64 = 1_700_000_000_000;

    /// An answer to a ping sent at `sent` ms, with so many ms each way.
    fn sample(sent: u64, there: u64, back: u64) -> Option<Sample> {
        let pong = proto::Pong { last_ping_timestamp: (OURS + sent) as i64, timestamp: (SERVER + sent + there) as i64 };
        let now = sent + there + back;
        Sample::new(&pong, UNIX_EPOCH + Duration::from_millis(OURS + now), Monotonic::from_millis(now))
    }

    /// The server's clock when it is known wrong by `late` ms.
    fn clock(late: i64) -> NtpClock {
        let shown = UNIX_EPOCH + Duration::from_millis(SERVER.saturating_add_signed(late));
        NtpClock::new(shown, Monotonic::default())
    }

    #[test]
    fn the_answer_with_the_shortest_round_trip_counts_until_it_is_old() {
        let mut server = ServerClock::default();
        // (there, back, what is told)
        let steps = [
            (60, 20, None),
            (90, 20, Some(clock(20))),
            (10, 12, Some(clock(-1))),
            (40, 40, None),
            (12, 10, Some(clock(1))),
            (50, 40, None),
        ];
        for (index, (there, back, told)) in steps.into_iter().enumerate() {
            let sample = sample(10_000 + 5000 * index as u64, there, back).expect("right");
            assert_eq!(server.take(sample), told, "step {index}");
        }
        let told: Vec<_> =
            (0..8).filter_map(|n| server.take(sample(50_000 + 5000 * n, 30, 30).expect("right"))).collect();
        assert_eq!(told, [clock(0)], "eight later the old ones are gone, and of equals the newest counts");
    }

    #[test]
    fn an_answer_that_cannot_be_right_is_none() {
        assert!(sample(10_000, 2000, 2000).is_some());
        assert_eq!(sample(10_000, 3000, 3000), None, "or the wall clock was set forward");
        let wall = UNIX_EPOCH + Duration::from_secs(1000);
        for (sent, server, why) in [
            (1_000_001, 5, "answered before it was sent: the wall clock was set back"),
            (-1, 5, "no time"),
            (999_990, 0, "a server without a clock"),
            (999_990, -7, "no time"),
        ] {
            let pong = proto::Pong { last_ping_timestamp: sent, timestamp: server };
            assert_eq!(Sample::new(&pong, wall, Monotonic::from_millis(5)), None, "{why}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(sent: i64, server: i64, now: u64) {
            let pong = proto::Pong { last_ping_timestamp: sent, timestamp: server };
            let _ = Sample::new(&pong, UNIX_EPOCH + Duration::from_secs(1000), Monotonic::from_nanos(now));
        }
    }
}
