//! One source that we hear, on the driver's side: which of its packets are new, which are missing, how it does.

use std::sync::Arc;

use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtp::packet::Packet;

use super::arrivals::{Arrival, Arrivals};
use super::capture_time;
use super::ntp::NtpClock;
use super::packet::{IncomingRtp, MediaKind, Mime};
use super::plane::Incoming;
use super::receiver::Inlet;
use super::reports::Heard;
use super::resend;
use super::sdp::Codec;
use super::statistics::SenderReport;
use crate::clock::Monotonic;

/// A source of the other side.
pub(super) struct Source {
    pub(super) inlet: Arc<Inlet>,
    codecs: Vec<Codec>,
    level_extension: Option<u8>,
    capture_time_extension: Option<u8>,
    pub(super) arrivals: Arrivals,
    heard: Heard,
    clock_rate: u32,
    /// Packets came since the last receiver report.
    pub(super) report_due: bool,
}

impl Source {
    pub(super) fn new(incoming: &Incoming) -> Self {
        let asks = incoming.inlet.kind == MediaKind::Video && incoming.codecs.iter().any(|codec| codec.nack);
        let clock_rate = match incoming.inlet.kind {
            MediaKind::Audio => Mime::Opus.clock_rate(),
            MediaKind::Video => Mime::H264.clock_rate(),
        };
        Self {
            inlet: Arc::clone(&incoming.inlet),
            codecs: incoming.codecs.clone(),
            level_extension: incoming.level_extension,
            capture_time_extension: incoming.capture_time_extension,
            arrivals: Arrivals::new(asks),
            heard: Heard::default(),
            clock_rate,
            report_due: false,
        }
    }

    /// Takes over what a renegotiation changed.
    pub(super) fn update(&mut self, incoming: &Incoming) {
        self.codecs.clone_from(&incoming.codecs);
        self.level_extension = incoming.level_extension;
        self.capture_time_extension = incoming.capture_time_extension;
    }

    /// Takes a packet of this source, or of its retransmissions, and returns it if it is new. Capture times are read by the `server`'s
    /// clock, if it is known.
    pub(super) fn receive(&mut self, packet: Packet, now: Monotonic, server: Option<&NtpClock>) -> Option<IncomingRtp> {
        let wire_type = packet.header.payload_type;
        let repaired = self.codecs.iter().find(|codec| codec.rtx == Some(wire_type));
        let (codec, sequence, payload) = match repaired {
            Some(codec) => {
                // A probe has no packet inside.
                let (sequence, payload) = resend::unwrap(&packet.payload)?;
                (codec, sequence, payload)
            }
            None => {
                let codec = self.codecs.iter().find(|codec| codec.payload_type == wire_type)?;
                (codec, packet.header.sequence_number, packet.payload)
            }
        };
        let repaired = repaired.is_some();
        if repaired && !self.arrivals.has_started() {
            // Where the media's own numbers are is not known yet.
            return None;
        }
        let number = match self.arrivals.insert(sequence, now) {
            Arrival::New(number) => number,
            Arrival::Restart(number) => {
                self.heard.restart();
                number
            }
            Arrival::Duplicate | Arrival::Stale => {
                self.inlet.count(|statistics| statistics.duplicates += 1);
                return None;
            }
        };
        if !repaired {
            self.heard.packet(number, packet.header.timestamp, self.clock_rate, now);
        }
        self.report_due = true;
        let jitter = self.heard.jitter(self.clock_rate);
        let lost = self.arrivals.lost();
        let bytes = payload.len() as u64;
        self.inlet.count(|statistics| {
            statistics.packets += 1;
            statistics.bytes += bytes;
            statistics.lost = lost;
            statistics.jitter = jitter;
            statistics.recovered += u64::from(repaired);
        });
        let level = self.level_extension.and_then(|id| packet.header.get_extension(id));
        let capture_time = self.capture_time_extension.and_then(|id| packet.header.get_extension(id));
        Some(IncomingRtp {
            arrived: now,
            sequence,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            payload_type: codec.payload_type,
            mime: codec.mime,
            payload,
            audio_level: level.and_then(|level| level.first().map(|byte| byte & 0x7f)),
            captured_at: server.zip(capture_time).and_then(|(server, value)| capture_time::read(&value, server, now)),
        })
    }

    /// Notes a sender report about this source.
    pub(super) fn sender_report(&mut self, report: SenderReport) {
        self.heard.sender_report = Some(report);
        self.inlet.count(|statistics| statistics.sender_report = Some(report));
    }

    /// The report to be sent now; `None` before the first packet.
    pub(super) fn report(&mut self, ssrc: u32, now: Monotonic) -> Option<ReceptionReport> {
        self.report_due = false;
        self.heard.report(ssrc, now)
    }
}
