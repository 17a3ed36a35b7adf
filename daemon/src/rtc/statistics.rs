//! Counters of a peer connection. Only measured values: what could not be measured yet is `None`.

use std::time::Duration;

use crate::clock::Monotonic;

/// One sender report of the other side (RFC 3550 §6.4.1): this RTP timestamp was captured at that moment of its wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// NTP time, seconds since 1900 in the upper 32 bits, fraction in the lower ones.
    pub ntp: u64,
    /// RTP timestamp of the same moment.
    pub rtp: u32,
    /// When the report arrived here.
    pub arrived: Monotonic,
}

/// A whole peer connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeerStatistics {
    /// Round-trip time, from receiver reports, else from ICE checks.
    pub rtt: Option<Duration>,
    /// RTP packets sent, retransmissions included.
    pub packets_sent: u64,
    /// RTP payload bytes sent.
    pub bytes_sent: u64,
    /// RTP packets received, each once.
    pub packets_received: u64,
    /// RTP payload bytes received.
    pub bytes_received: u64,
    /// RTP packets that are missing for good.
    pub packets_lost: u64,
}

/// One sender.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SenderStatistics {
    /// Packets sent, without retransmissions.
    pub packets: u64,
    /// Payload bytes sent, without retransmissions.
    pub bytes: u64,
    /// Packets sent again because the other side asked.
    pub retransmitted: u64,
    /// Packets that the other side asked for again (one NACK message can name several).
    pub nacks: u64,
    /// Key frames that the other side asked for (PLI and FIR).
    pub plis: u64,
    /// Packets that were dropped because the queue was full.
    pub overflows: u64,
    /// Part of the packets lost on the way, 0 to 1, from the newest receiver report.
    pub fraction_lost: Option<f32>,
    /// Packets lost on the way since the start, from the newest receiver report.
    pub packets_lost: Option<u64>,
    /// Jitter at the other side, from the newest receiver report.
    pub jitter: Option<Duration>,
    /// Round-trip time, from the newest receiver report (RFC 3550 §6.4.1, LSR and DLSR).
    pub rtt: Option<Duration>,
}

/// One receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReceiverStatistics {
    /// Packets received, each once.
    pub packets: u64,
    /// Payload bytes received, each packet once.
    pub bytes: u64,
    /// Packets that are missing for good, or still on their way.
    pub lost: u64,
    /// Packets that came as a retransmission.
    pub recovered: u64,
    /// Packets that came more than once and were dropped.
    pub duplicates: u64,
    /// Packets asked for again.
    pub nacks: u64,
    /// Key frames asked for.
    pub plis: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1), `None` before the second packet.
    pub jitter: Option<Duration>,
    /// Round-trip time of the connection, when a sender of ours measured it or the other side reports it.
    pub rtt: Option<Duration>,
    /// The newest sender report.
    pub sender_report: Option<SenderReport>,
}
