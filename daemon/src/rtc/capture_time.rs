//! The RTP header extension abs-capture-time: when the picture or the sound of a packet was captured.
//!
//! Layout and meaning: <https://webrtc.googlesource.com/src/+/refs/heads/main/docs/native-code/rtp-hdrext/abs-capture-time/>. 64 bits
//! of NTP time by the clock of who captured, the same clock as that of its sender reports, and optionally 64 bits of what this clock is
//! ahead of that of who sends the packet. We write what it is ahead of the *server's* clock, which is what a server that forwards would
//! have to write: so one that passes the extension on as it is tells its receivers the truth.

use std::time::Duration;

use bytes::Bytes;

use super::ntp::NtpClock;
use super::packet::MediaKind;
use crate::clock::Monotonic;

/// Time between two packets of sound that carry it: receivers count on from the timestamps. 17 bytes five times a second are 1 % of a
/// voice's bit rate.
const SOUND_INTERVAL: Duration = Duration::from_millis(200);
/// A capture this long ago, or so far in the future, is a clock that was set, not a delay.
const MOST_AGO: Duration = Duration::from_secs(60);
const MOST_AHEAD: Duration = Duration::from_secs(1);

/// Which packets of one stream carry the time: the first of each picture, and one of sound now and then.
#[derive(Debug, Default)]
pub(super) struct CaptureStamps {
    /// Timestamp and capture time of the newest packet that carries it.
    newest: Option<(u32, Monotonic)>,
}

impl CaptureStamps {
    /// Whether the next packet carries it.
    pub(super) fn take(&mut self, kind: MediaKind, timestamp: u32, captured: Monotonic) -> bool {
        let due = self.newest.is_none_or(|(stamped, at)| match kind {
            MediaKind::Video => stamped != timestamp,
            MediaKind::Audio => captured < at || captured.since(at) >= SOUND_INTERVAL,
        });
        if due {
            self.newest = Some((timestamp, captured));
        }
        due
    }
}

/// What the extension says of a capture at `captured`, by our clock `own`; with the offset, if the server's clock is known.
pub(super) fn write(captured: Monotonic, own: &NtpClock, server: Option<&NtpClock>) -> Bytes {
    let time = own.ntp(captured).to_be_bytes();
    match server {
        Some(server) => Bytes::copy_from_slice(&[time, own.ahead_of(server).to_be_bytes()].concat()),
        None => Bytes::copy_from_slice(&time),
    }
}

/// When, by our clock, what an extension speaks of was captured. `None` when it does not relate the sender's clock to the server's, or when that
/// cannot be true of something that arrives `now`.
pub(super) fn read(value: &[u8], server: &NtpClock, now: Monotonic) -> Option<Monotonic> {
    let (time, rest) = value.split_first_chunk::<8>()?;
    let ahead = i64::from_be_bytes(*rest.first_chunk::<8>()?);
    let captured = server.when(u64::from_be_bytes(*time).checked_add_signed(ahead.checked_neg()?)?)?;
    (now.since(captured) <= MOST_AGO && captured.since(now) <= MOST_AHEAD).then_some(captured)
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_millis(millis)
    }

    fn wall(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn both_ends_agree_whatever_their_own_wall_clocks_show() {
        // One moment: the server's clock shows 1 700 000 000 s, the publisher was started 100 s before, the player 5000 s before.
        let now = 1_700_000_000;
        let server_at_publisher = NtpClock::new(wall(now), at(100_000));
        let server_at_player = NtpClock::new(wall(now), at(5_000_000));
        for (what, shown) in [("right", now), ("an hour fast", now + 3600), ("an hour slow", now - 3600), ("1970", 100)]
        {
            let own = NtpClock::new(wall(shown), at(100_000));
            // Captured 40 ms later, and read 120 ms after that.
            let value = write(at(100_040), &own, Some(&server_at_publisher));
            let captured = read(&value, &server_at_player, at(5_000_160)).expect(what);
            assert!(captured.as_nanos().abs_diff(at(5_000_040).as_nanos()) < 10, "{what}: {captured:?}");
        }
    }

    #[test]
    fn a_clock_that_nobody_related_to_the_servers_says_nothing() {
        let clock = NtpClock::new(wall(1_700_000_000), at(0));
        let value = write(at(10), &clock, None);
        assert_eq!(value.len(), 8);
        assert_eq!(read(&value, &clock, at(20)), None);
    }

    #[test]
    fn a_capture_in_the_future_or_long_ago_is_none() {
        let clock = NtpClock::new(wall(1_700_000_000), at(0));
        let value = write(at(100_000), &clock, Some(&clock));
        for (now, known) in [(98_000, false), (99_500, true), (100_000, true), (159_000, true), (161_000, false)] {
            assert_eq!(read(&value, &clock, at(now)).is_some(), known, "{now}");
        }
    }

    #[test]
    fn pictures_carry_it_in_their_first_packet_and_sound_now_and_then() {
        let mut stamps = CaptureStamps::default();
        for (timestamp, expected) in [(5, true), (5, false), (5, false), (3005, true), (3005, false)] {
            assert_eq!(stamps.take(MediaKind::Video, timestamp, at(1)), expected, "{timestamp}");
        }
        let mut stamps = CaptureStamps::default();
        let stamped = (0..50_u32).filter(|n| stamps.take(MediaKind::Audio, n * 960, at(u64::from(*n) * 20))).count();
        assert_eq!(stamped, 5, "of the 50 packets of a second");
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in proptest::collection::vec(any::<u8>(), 0..20)) {
            let clock = NtpClock::new(wall(1_700_000_000), at(0));
            if let Some(captured) = read(&value, &clock, at(1_000_000)) {
                prop_assert!(captured >= at(940_000) && captured <= at(1_001_000));
            }
        }
    }
}
