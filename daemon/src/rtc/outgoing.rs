//! One stream that we send, on the driver's side: numbers, header extensions, pacing, repairs.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtp::packet::Packet;

use super::capture_time::{self, CaptureStamps};
use super::ntp::NtpClock;
use super::pacing::Pace;
use super::packet::{MediaKind, OutgoingRtp};
use super::reports::Sent;
use super::resend::{self, History};
use super::sender::{Negotiated, Outlet};
use crate::clock::Monotonic;

/// A level above which [`OutgoingRtp::audio_level`] is called speech, in -dBov.
const SPEECH: u8 = 50;

/// The wall clocks that tell others when something was captured.
pub(super) struct Clocks {
    pub(super) own: NtpClock,
    pub(super) server: Option<NtpClock>,
}

/// A stream that we send.
pub(super) struct Outgoing {
    pub(super) outlet: Arc<Outlet>,
    pub(super) negotiated: Negotiated,
    sequence: u16,
    rtx_sequence: u16,
    history: History,
    stamps: CaptureStamps,
    pace: Pace,
    blocked: bool,
    sent: Sent,
    /// The other side reported on our source, so it knows which section it belongs to.
    pub(super) known: bool,
    /// Packets were sent since the last sender report.
    pub(super) report_due: bool,
    /// Sequence number of the newest FIR (RFC 5104 §4.3.1.2): a repeated one is the same request.
    pub(super) newest_fir: Option<u8>,
}

impl Outgoing {
    /// `start`: any number, the first sequence number is made from it.
    pub(super) fn new(outlet: Arc<Outlet>, negotiated: Negotiated, start: u16) -> Self {
        Self {
            outlet,
            negotiated,
            // The lower half: a first packet that is lost just before the wrap would confuse SRTP's rollover counter.
            sequence: start & 0x7fff,
            rtx_sequence: start.rotate_left(8) & 0x7fff,
            history: History::default(),
            stamps: CaptureStamps::default(),
            pace: Pace::default(),
            blocked: false,
            sent: Sent::default(),
            known: false,
            report_due: false,
            newest_fir: None,
        }
    }

    /// Puts the waiting packets that may leave now on `wire`. True when this was the stream's first packet.
    pub(super) fn flush(&mut self, now: Monotonic, clocks: &Clocks, wire: &mut VecDeque<Packet>) -> bool {
        let first = self.sent.packets == 0;
        self.blocked = false;
        while self.outlet.has_packets() {
            if self.outlet.kind == MediaKind::Video && !self.pace.take(now) {
                self.blocked = true;
                break;
            }
            let Some(packet) = self.outlet.take() else { break };
            let octets = packet.payload.len() as u64;
            self.sent.packets += 1;
            self.sent.octets += octets;
            self.sent.newest = Some((packet.timestamp, packet.captured_at));
            self.report_due = true;
            self.outlet.count(|statistics| {
                statistics.packets += 1;
                statistics.bytes += octets;
            });
            let packet = self.stamp(packet, clocks);
            if self.outlet.kind == MediaKind::Video {
                self.history.push(packet.clone());
            }
            wire.push_back(packet);
        }
        first && self.sent.packets > 0
    }

    fn stamp(&mut self, packet: OutgoingRtp, clocks: &Clocks) -> Packet {
        let mut stamped = Packet { payload: packet.payload, ..Packet::default() };
        let header = &mut stamped.header;
        header.version = 2;
        header.marker = packet.marker;
        header.payload_type = self.negotiated.codec.payload_type;
        header.sequence_number = self.sequence;
        header.timestamp = packet.timestamp;
        header.ssrc = self.outlet.ssrc;
        self.sequence = self.sequence.wrapping_add(1);
        let mut extend = |id: u8, value: Bytes| {
            if let Err(error) = header.set_extension(id, value) {
                log::warn!("header extension {id} cannot be written: {error}");
            }
        };
        if let (Some(id), false) = (self.negotiated.mid_extension, self.known) {
            extend(id, Bytes::copy_from_slice(self.negotiated.mid.as_bytes()));
        }
        if let (Some(id), Some(level)) = (self.negotiated.level_extension, packet.audio_level) {
            let speech = if level < SPEECH { 0x80 } else { 0 };
            extend(id, Bytes::copy_from_slice(&[speech | level.min(127)]));
        }
        if let Some(id) = self.negotiated.capture_time_extension
            && self.stamps.take(self.outlet.kind, packet.timestamp, packet.captured_at)
        {
            extend(id, capture_time::write(packet.captured_at, &clocks.own, clocks.server.as_ref()));
        }
        stamped
    }

    /// Puts the packets that the other side misses on `wire` again.
    pub(super) fn repair(&mut self, missing: &[u16], now: Monotonic, wire: &mut VecDeque<Packet>) {
        let mut repaired = 0;
        for sequence in missing {
            let Some(packet) = self.history.take(*sequence, now) else { continue };
            let packet = match self.negotiated.rtx {
                Some(payload_type) => {
                    let wrapped = resend::wrap(packet, self.outlet.rtx_ssrc, payload_type, self.rtx_sequence);
                    self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
                    wrapped
                }
                None => packet,
            };
            wire.push_back(packet);
            repaired += 1;
        }
        self.outlet.count(|statistics| {
            statistics.nacks += missing.len() as u64;
            statistics.retransmitted += repaired;
        });
    }

    /// When packets that wait for their pace may leave.
    pub(super) fn next_flush(&self) -> Option<Monotonic> {
        self.blocked.then(|| self.pace.next())
    }

    /// The report to be sent now; `None` before the first packet.
    pub(super) fn report(&mut self, now: Monotonic, clock: &NtpClock) -> Option<SenderReport> {
        self.report_due = false;
        self.sent.report(self.outlet.ssrc, self.negotiated.codec.clock_rate, now, clock)
    }
}
