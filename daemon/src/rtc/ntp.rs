//! Wall clocks as NTP writes their time (RFC 5905 §6): ours, and those of others as far as we know them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::Monotonic;

/// Seconds from 1900 (NTP) to 1970 (Unix).
const NTP_OFFSET: u64 = 2_208_988_800;

/// A wall clock, known by one reading: what it shows at points of our clock, as if it were never set and ran as ours does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NtpClock {
    /// Unix time at the zero of our clock.
    zero: Duration,
}

impl NtpClock {
    /// The clock that showed `wall` at `now`.
    #[must_use]
    pub fn new(wall: SystemTime, now: Monotonic) -> Self {
        let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { zero: unix.saturating_sub(Duration::from_nanos(now.as_nanos())) }
    }

    /// What it shows at `at`: seconds since 1900 in the upper 32 bits, fraction in the lower ones.
    pub(super) fn ntp(&self, at: Monotonic) -> u64 {
        let unix = self.zero + Duration::from_nanos(at.as_nanos());
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        ((unix.as_secs() + NTP_OFFSET) << 32) | fraction
    }

    /// When it shows `ntp`, a time of this era (1900 to 2036); `None` when that was before the zero of our clock.
    pub(super) fn when(&self, ntp: u64) -> Option<Monotonic> {
        let seconds = (ntp >> 32).checked_sub(NTP_OFFSET)?;
        // Up, because writing rounds down: what was written in whole nanoseconds is read as it was.
        let nanos = ((ntp & 0xffff_ffff) * 1_000_000_000).div_ceil(1 << 32);
        let since = (Duration::from_secs(seconds) + Duration::from_nanos(nanos)).checked_sub(self.zero)?;
        u64::try_from(since.as_nanos()).ok().map(Monotonic::from_nanos)
    }

    /// How far it is ahead of another, in seconds with 32 bits of fraction; below zero = behind.
    pub(super) fn ahead_of(&self, other: &Self) -> i64 {
        let fixed = |time: Duration| {
            (i64::try_from(time.as_secs()).unwrap_or(i64::MAX) << 32)
                | i64::from(((u64::from(time.subsec_nanos()) << 32) / 1_000_000_000) as u32)
        };
        fixed(self.zero).wrapping_sub(fixed(other.zero))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_millis(millis)
    }

    #[test]
    fn ntp_counts_from_1900_and_carries_the_fraction() {
        let clock = NtpClock::new(UNIX_EPOCH + Duration::from_millis(10_500), at(10_000));
        let ntp = clock.ntp(at(11_000));
        assert_eq!(ntp >> 32, NTP_OFFSET + 11);
        assert_eq!((ntp & 0xffff_ffff) >> 16, 0x8000, "half a second");
    }

    #[test]
    fn a_time_is_read_as_it_was_written() {
        let clock = NtpClock::new(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123), at(10_000));
        for millis in [0, 1, 10_000, 86_400_007] {
            let read = clock.when(clock.ntp(at(millis))).expect("not before the zero");
            assert_eq!(read, at(millis));
        }
        for (ntp, why) in [(0, "1900"), (NTP_OFFSET << 32, "1970")] {
            assert_eq!(clock.when(ntp), None, "{why}");
        }
    }

    #[test]
    fn two_clocks_differ_by_a_signed_time() {
        let right = NtpClock::new(UNIX_EPOCH + Duration::from_millis(1_700_000_000_000), at(7));
        let fast = NtpClock::new(UNIX_EPOCH + Duration::from_millis(1_700_003_600_500), at(7));
        assert_eq!(fast.ahead_of(&right), (3600 << 32) + (1 << 31));
        assert_eq!(right.ahead_of(&fast), -((3600 << 32) + (1 << 31)));
        assert_eq!(right.ahead_of(&right), 0);
    }
}
