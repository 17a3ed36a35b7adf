//! What comes over and about peer connections, for the targets in `fuzz/`.

use std::time::{Duration, UNIX_EPOCH};

use super::handshake::Repetitions;
use super::handshake_budget::HandshakeBudget;
use super::ntp::NtpClock;
use super::{capture_time, sdp};
use crate::clock::Monotonic;

/// A server's session description.
pub fn sdp(text: &str) {
    let sections = sdp::sections(text);
    assert!(sections.len() <= text.matches("m=").count());
    let _ = sdp::candidates(text).count();
}

/// A capture time in a header extension.
pub fn header_extension(value: &[u8]) {
    let now = Monotonic::from_millis(100_000);
    let server = NtpClock::new(UNIX_EPOCH + Duration::from_secs(1_700_000_000), now);
    if let Some(captured) = capture_time::read(value, &server, now) {
        // What is believed lies near enough to be a delay.
        assert!(now.since(captured) < Duration::from_secs(60));
    }
}

/// Datagrams of a handshake.
pub fn handshake(datagrams: &[Vec<u8>]) {
    let (mut repetitions, mut budget) = (Repetitions::default(), HandshakeBudget::default());
    for datagram in datagrams {
        let _ = repetitions.is_one(datagram) || !budget.admits(datagram);
    }
}
