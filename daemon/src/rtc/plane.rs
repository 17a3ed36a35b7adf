//! What the handles, the negotiation and the driver share about one connection's media.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::ntp::NtpClock;
use super::packet::MediaKind;
use super::receiver::Inlet;
use super::runtime::Wake;
use super::sdp::Codec;
use super::sender::{Outlet, SenderFeedback};
use super::statistics::PeerStatistics;

/// One section on which the other side sends.
#[derive(Clone)]
pub(super) struct Incoming {
    pub(super) mid: String,
    pub(super) codecs: Vec<Codec>,
    /// Declared sources with those of their retransmissions; others are found by the `mid` header extension.
    pub(super) sources: Vec<(u32, Option<u32>)>,
    pub(super) mid_extension: Option<u8>,
    pub(super) level_extension: Option<u8>,
    pub(super) capture_time_extension: Option<u8>,
    pub(super) inlet: Arc<Inlet>,
}

/// What was negotiated.
#[derive(Clone, Default)]
pub(super) struct Table {
    pub(super) outlets: Vec<Arc<Outlet>>,
    pub(super) incoming: Vec<Incoming>,
    /// Header extension of transport-wide congestion control, when the other side wants feedback.
    pub(super) transport_cc: Option<u8>,
}

/// The media of one connection.
#[derive(Default)]
pub(super) struct Plane {
    pub(super) wake: Wake,
    table: Mutex<Table>,
    version: AtomicU64,
    connected: AtomicBool,
    server_clock: Mutex<Option<NtpClock>>,
    /// Nanoseconds, 0 = not measured.
    rtt: AtomicU64,
    /// Counters of tracks that are gone.
    past: Mutex<PeerStatistics>,
}

impl Plane {
    /// Changes what was negotiated and has the driver take it over.
    pub(super) fn change(&self, change: impl FnOnce(&mut Table)) {
        change(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner));
        self.version.fetch_add(1, Ordering::AcqRel);
        self.wake.wake();
    }

    /// So many bits per second fit on the connection's line, sound included.
    pub(super) fn carries(&self, bits_per_second: u64) {
        for outlet in self.table().outlets.iter().filter(|outlet| outlet.kind == MediaKind::Video) {
            outlet.tell(SenderFeedback::Estimate { bits_per_second });
        }
    }

    /// Grows with every change.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn table(&self) -> Table {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets what is known of the server's clock, which capture times are compared by.
    pub(super) fn set_server_clock(&self, clock: NtpClock) {
        *self.server_clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock);
        // The driver takes it over with its next packet: nothing waits for it.
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn server_clock(&self) -> Option<NtpClock> {
        *self.server_clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// Sets whether media can flow, and tells the senders.
    pub(super) fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Release);
        for outlet in self.table().outlets {
            outlet.connected(connected);
        }
        self.wake.wake();
    }

    pub(super) fn measured(&self, rtt: Duration) {
        self.rtt.store(u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX).max(1), Ordering::Release);
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        Some(self.rtt.load(Ordering::Acquire)).filter(|nanos| *nanos > 0).map(Duration::from_nanos)
    }

    /// Keeps the counters of an outlet that is removed.
    pub(super) fn retire_outlet(&self, outlet: &Outlet) {
        add_outlet(&mut self.past.lock().unwrap_or_else(PoisonError::into_inner), outlet);
    }

    /// Keeps the counters of an inlet that is removed.
    pub(super) fn retire_inlet(&self, inlet: &Inlet) {
        add_inlet(&mut self.past.lock().unwrap_or_else(PoisonError::into_inner), inlet);
    }

    /// Counters of everything that there was.
    pub(super) fn statistics(&self) -> PeerStatistics {
        let mut sum = *self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let table = self.table();
        table.outlets.iter().for_each(|outlet| add_outlet(&mut sum, outlet));
        table.incoming.iter().for_each(|incoming| add_inlet(&mut sum, &incoming.inlet));
        PeerStatistics { rtt: self.rtt(), ..sum }
    }
}

fn add_outlet(sum: &mut PeerStatistics, outlet: &Outlet) {
    let statistics = outlet.statistics();
    sum.packets_sent += statistics.packets + statistics.retransmitted;
    sum.bytes_sent += statistics.bytes;
}

fn add_inlet(sum: &mut PeerStatistics, inlet: &Inlet) {
    let statistics = inlet.statistics();
    sum.packets_received += statistics.packets;
    sum.bytes_received += statistics.bytes;
    sum.packets_lost += statistics.lost;
}
