//! What is reported about the streams of one peer connection, as far as its rating needs it.

use std::collections::HashMap;
use std::time::Duration;

use str0m::media::Mid;
use str0m::stats::{MediaEgressStats, MediaIngressStats};

use super::TrackKind;

/// The newest reports of one peer's streams.
#[derive(Debug, Default)]
pub struct Reports {
    /// Jitter of what comes in, in RTP time.
    jitter: HashMap<Mid, u32>,
    outgoing: HashMap<Mid, Outgoing>,
}

/// What is known of a stream that goes out.
#[derive(Debug, Default)]
struct Outgoing {
    now: Counts,
    before: Counts,
    round_trip: Duration,
    jitter: u32,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    packets: u64,
    lost: u64,
}

/// What a stream that goes out counted for a while.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Packets.
    pub packets: u64,
    /// Of them, those that its receiver missed, with what the publisher's side had lost before.
    pub lost: u64,
    /// One way, with what its receiver has to wait for late packets.
    pub delay: Duration,
}

impl Reports {
    /// A stream that comes in.
    pub fn incoming(&mut self, stats: &MediaIngressStats) {
        self.jitter.insert(stats.mid, stats.jitter);
    }

    /// A stream that goes out.
    pub fn outgoing(&mut self, stats: &MediaEgressStats) {
        let Some(remote) = &stats.remote else { return };
        let round_trip = stats.rtt.unwrap_or_default();
        self.sent(stats.mid, Counts { packets: stats.packets, lost: remote.packets_lost }, round_trip, remote.jitter);
    }

    fn sent(&mut self, mid: Mid, now: Counts, round_trip: Duration, jitter: u32) {
        let stream = self.outgoing.entry(mid).or_default();
        // The section got another stream, which counts from the beginning.
        if now.packets < stream.now.packets {
            stream.before = Counts::default();
        }
        (stream.now, stream.round_trip, stream.jitter) = (now, round_trip, jitter);
    }

    /// What the receiver of a stream that comes in, which is the hub, has to wait for late packets.
    pub fn wait(&self, mid: Mid, kind: TrackKind) -> Duration {
        waiting(self.jitter.get(&mid).copied().unwrap_or(0), kind)
    }

    /// What the stream that goes out in section `mid` counted since the last call.
    pub fn take_sent(&mut self, mid: Mid, kind: TrackKind) -> Sent {
        let Some(stream) = self.outgoing.get_mut(&mid) else { return Sent::default() };
        let before = std::mem::replace(&mut stream.before, stream.now);
        Sent {
            packets: stream.now.packets.saturating_sub(before.packets),
            lost: stream.now.lost.saturating_sub(before.lost),
            delay: stream.round_trip / 2 + waiting(stream.jitter, kind),
        }
    }
}

/// A jitter buffer holds about twice the jitter (RFC 3550 section 6.4.1).
fn waiting(jitter: u32, kind: TrackKind) -> Duration {
    let rate = match kind {
        TrackKind::Audio => 48_000,
        TrackKind::Video => 90_000,
    };
    Duration::from_micros(u64::from(jitter) * 2_000_000 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_before_does_not_count_again() {
        let mid = Mid::from("0");
        let mut reports = Reports::default();
        let ms = Duration::from_millis;
        assert_eq!(reports.take_sent(mid, TrackKind::Video), Sent::default());
        for ((packets, lost), expected) in
            [((100, 2), (100, 2)), ((150, 5), (50, 3)), ((150, 5), (0, 0)), ((20, 1), (20, 1))]
        {
            reports.sent(mid, Counts { packets, lost }, ms(80), 900);
            let sent = Sent { packets: expected.0, lost: expected.1, delay: ms(60) };
            assert_eq!(reports.take_sent(mid, TrackKind::Video), sent);
        }
        assert_eq!(reports.wait(mid, TrackKind::Audio), ms(0));
        reports.jitter.insert(mid, 480);
        assert_eq!(reports.wait(mid, TrackKind::Audio), ms(20));
    }
}
