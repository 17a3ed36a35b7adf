//! CLOCK_MONOTONIC, the one clock of all measurements.

use std::time::Duration;

/// Nanoseconds of CLOCK_MONOTONIC.
#[must_use]
pub fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Sleeps until `due` (nanoseconds of CLOCK_MONOTONIC); returns at once when that is past.
pub fn sleep_until(due: u64) {
    if let Some(left) = due.checked_sub(now()) {
        std::thread::sleep(Duration::from_nanos(left));
    }
}
