//! Where media crosses between the `webrtc` crate and the pipelines: its topmost interceptor.
//!
//! Inbound packets go from here straight to their sinks, on the driver's thread, instead of through the crate's queue per
//! track, which drops when it is full. Outbound packets are fetched here from the queues that the encoders fill. Retransmissions are
//! unwrapped and duplicates dropped here, above the transport-wide feedback (which must count every packet) and before the
//! requests for missing packets (which must know of every repair).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rtc::interceptor::{AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport as SenderReportPacket;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};
use rtc::rtp;
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error;

use super::incoming::Source;
use super::ntp::NtpClock;
use super::outgoing::{Clocks, Outgoing};
use super::plane::{Plane, Table};
use super::reports;
use super::sender::SenderFeedback;
use super::statistics::SenderReport;
use crate::clock::Monotonic;

/// Time between two reports, RFC 3550 §6.2 for our bit rates.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// The first report comes sooner: it tells the round trip.
const FIRST_REPORT: Duration = Duration::from_millis(150);
/// Reception reports in one packet (five bits count them, RFC 3550 §6.4.2).
const REPORTS_IN_PACKET: usize = 31;

type RtcpPacket = Box<dyn rtcp::Packet>;

/// The interceptor.
pub(super) struct Exchange {
    plane: Arc<Plane>,
    version: u64,
    table: Table,
    outgoing: HashMap<u32, Outgoing>,
    sources: HashMap<u32, Source>,
    /// Sources of retransmissions, and the source that each repairs.
    repairs: HashMap<u32, u32>,
    wire: VecDeque<TaggedPacket>,
    media: VecDeque<rtp::Packet>,
    /// The crate's clock and ours at the same moment.
    epoch: (Instant, Monotonic),
    clocks: Clocks,
    last_report: Option<Monotonic>,
    report_at: Option<Monotonic>,
    /// Our source in reports and feedback while we send no media.
    ssrc: u32,
    start: u16,
}

impl Exchange {
    /// `random`: any number, different for every connection.
    pub(super) fn new(plane: Arc<Plane>, random: u32) -> Self {
        let epoch = (Instant::now(), Monotonic::now());
        Self {
            plane,
            version: 0,
            table: Table::default(),
            outgoing: HashMap::new(),
            sources: HashMap::new(),
            repairs: HashMap::new(),
            wire: VecDeque::new(),
            media: VecDeque::new(),
            epoch,
            clocks: Clocks { own: NtpClock::new(SystemTime::now(), epoch.1), server: None },
            last_report: None,
            report_at: None,
            ssrc: random.max(1),
            start: (random >> 7) as u16,
        }
    }

    fn time(&self, now: Instant) -> Monotonic {
        self.epoch.1 + now.saturating_duration_since(self.epoch.0)
    }

    /// Takes over what was negotiated since the last time.
    fn refresh(&mut self) {
        let version = self.plane.version();
        if version == self.version {
            return;
        }
        self.version = version;
        self.table = self.plane.table();
        self.clocks.server = self.plane.server_clock();
        let table = &self.table;
        self.outgoing.retain(|_, stream| table.outlets.iter().any(|outlet| Arc::ptr_eq(outlet, &stream.outlet)));
        for outlet in &table.outlets {
            let Some(negotiated) = outlet.negotiated() else { continue };
            if let Some(stream) = self.outgoing.get_mut(&outlet.ssrc) {
                stream.negotiated = negotiated;
            } else {
                self.start = self.start.wrapping_mul(25_173).wrapping_add(13_849);
                let stream = Outgoing::new(Arc::clone(outlet), negotiated, self.start);
                self.outgoing.insert(outlet.ssrc, stream);
            }
        }
        self.sources.retain(|_, source| {
            let same = table.incoming.iter().find(|incoming| Arc::ptr_eq(&incoming.inlet, &source.inlet));
            same.inspect(|incoming| source.update(incoming)).is_some()
        });
        for incoming in &table.incoming {
            for (media, rtx) in &incoming.sources {
                self.sources.entry(*media).or_insert_with(|| Source::new(incoming));
                self.repairs.extend(rtx.map(|rtx| (rtx, *media)));
            }
        }
        let sources = &self.sources;
        self.repairs.retain(|_, media| sources.contains_key(media));
    }

    /// The media source that a packet belongs to, or repairs. One that was not declared is found by its section's `mid`.
    fn source_of(&mut self, header: &rtp::Header) -> Option<u32> {
        if self.sources.contains_key(&header.ssrc) {
            return Some(header.ssrc);
        }
        if let Some(media) = self.repairs.get(&header.ssrc) {
            return Some(*media);
        }
        let incoming = self.table.incoming.iter().find(|incoming| {
            let mid = incoming.mid_extension.and_then(|id| header.get_extension(id));
            mid.is_some_and(|mid| mid == incoming.mid.as_bytes())
        })?;
        if incoming.codecs.iter().any(|codec| codec.rtx == Some(header.payload_type)) {
            let repaired = |source: &Source| Arc::ptr_eq(&source.inlet, &incoming.inlet);
            let media = *self.sources.iter().find(|(_, source)| repaired(source))?.0;
            self.repairs.insert(header.ssrc, media);
            return Some(media);
        }
        self.sources.insert(header.ssrc, Source::new(incoming));
        Some(header.ssrc)
    }

    fn receive(&mut self, packet: rtp::Packet, now: Monotonic) {
        let Some(source) = self.source_of(&packet.header).and_then(|ssrc| self.sources.get_mut(&ssrc)) else {
            return;
        };
        if let Some(packet) = source.receive(packet, now, self.clocks.server.as_ref()) {
            let inlet = Arc::clone(&source.inlet);
            self.schedule_report(now);
            inlet.deliver(packet);
        }
    }

    fn feedback(&mut self, packets: &[RtcpPacket], now: Monotonic) {
        for packet in packets {
            let packet = packet.as_any();
            if let Some(report) = packet.downcast_ref::<SenderReportPacket>() {
                if let Some(source) = self.sources.get_mut(&report.ssrc) {
                    source.sender_report(SenderReport { ntp: report.ntp_time, rtp: report.rtp_time, arrived: now });
                }
                report.reports.iter().for_each(|report| self.reported(report, now));
            } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
                report.reports.iter().for_each(|report| self.reported(report, now));
            } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
                if let Some(stream) = self.outgoing.get_mut(&nack.media_ssrc) {
                    let missing: Vec<u16> = nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
                    stream.repair(&missing, now, &mut self.media);
                }
            } else if let Some(request) = packet.downcast_ref::<PictureLossIndication>() {
                self.key_frame_requested(request.media_ssrc, None);
            } else if let Some(request) = packet.downcast_ref::<FullIntraRequest>() {
                request.fir.iter().for_each(|entry| self.key_frame_requested(entry.ssrc, Some(entry.sequence_number)));
            } else if let Some(estimate) = packet.downcast_ref::<ReceiverEstimatedMaximumBitrate>() {
                self.plane.carries(estimate.bitrate.max(0.0) as u64);
            }
        }
        self.put_on_wire(now);
    }

    fn reported(&mut self, report: &ReceptionReport, now: Monotonic) {
        let Some(stream) = self.outgoing.get_mut(&report.ssrc) else { return };
        stream.known = true;
        let rtt = reports::round_trip(report, self.clocks.own.ntp(now));
        if let Some(rtt) = rtt {
            self.plane.measured(rtt);
        }
        let rate = u64::from(stream.negotiated.codec.clock_rate.max(1));
        let jitter = Duration::from_nanos(u64::from(report.jitter) * 1_000_000_000 / rate);
        let fraction_lost = f32::from(report.fraction_lost) / 256.0;
        stream.outlet.count(|statistics| {
            statistics.fraction_lost = Some(fraction_lost);
            statistics.packets_lost = Some(u64::from(report.total_lost));
            statistics.jitter = Some(jitter);
            statistics.rtt = rtt.or(statistics.rtt);
        });
        stream.outlet.tell(SenderFeedback::ReceiverReport { fraction_lost, rtt, jitter });
    }

    fn key_frame_requested(&mut self, ssrc: u32, fir: Option<u8>) {
        let Some(stream) = self.outgoing.get_mut(&ssrc) else { return };
        if fir.is_some() && stream.newest_fir == fir {
            return;
        }
        stream.newest_fir = fir.or(stream.newest_fir);
        stream.outlet.count(|statistics| statistics.plis += 1);
        stream.outlet.tell(SenderFeedback::KeyFrameRequested);
    }

    /// The source that our feedback comes from: one that the other side knows, if there is one.
    fn own_ssrc(&self) -> u32 {
        self.outgoing.keys().next().copied().unwrap_or(self.ssrc)
    }

    fn schedule_report(&mut self, now: Monotonic) {
        if self.report_at.is_none() {
            self.report_at =
                Some(self.last_report.map_or(now + FIRST_REPORT, |last| (last + REPORT_INTERVAL).max(now)));
        }
    }

    fn put(&mut self, packet: Packet, now: Monotonic) {
        let now = self.epoch.0 + now.since(self.epoch.1);
        let message = AttributedPacket::new(packet);
        self.wire.push_back(TaggedPacket { now, transport: TransportContext::default(), message });
    }

    fn put_on_wire(&mut self, now: Monotonic) {
        while let Some(packet) = self.media.pop_front() {
            self.put(Packet::Rtp(packet), now);
        }
    }

    /// Fetches what the encoders made.
    fn flush(&mut self, now: Monotonic) {
        let mut first: Vec<RtcpPacket> = Vec::new();
        let mut sent = false;
        for stream in self.outgoing.values_mut() {
            if stream.flush(now, &self.clocks, &mut self.media) {
                // At once, so that the other side can synchronise sound and picture from the beginning.
                first.extend(stream.report(now, &self.clocks.own).map(|report| Box::new(report) as RtcpPacket));
            }
            sent |= stream.report_due;
        }
        if sent {
            self.schedule_report(now);
        }
        self.put_on_wire(now);
        if !first.is_empty() {
            self.put(Packet::Rtcp(first), now);
        }
    }

    /// Asks for missing packets and key frames.
    fn request(&mut self, now: Monotonic) {
        let sender_ssrc = self.own_ssrc();
        let mut requests: Vec<RtcpPacket> = Vec::new();
        for (media_ssrc, source) in &mut self.sources {
            let due = source.arrivals.due(now);
            if !due.is_empty() {
                source.inlet.count(|statistics| statistics.nacks += due.len() as u64);
                let nacks = nack_pairs_from_sequence_numbers(&due);
                requests.push(Box::new(TransportLayerNack { sender_ssrc, media_ssrc: *media_ssrc, nacks }));
            }
        }
        for incoming in &self.table.incoming {
            if !incoming.inlet.take_key_frame_request() {
                continue;
            }
            let ours = self.sources.iter().filter(|(_, source)| Arc::ptr_eq(&source.inlet, &incoming.inlet));
            let mut asked = false;
            for (media_ssrc, _) in ours {
                requests.push(Box::new(PictureLossIndication { sender_ssrc, media_ssrc: *media_ssrc }));
                asked = true;
            }
            if asked {
                incoming.inlet.count(|statistics| statistics.plis += 1);
            } else {
                // Its source is not known before its first packet; then a key frame is still wanted.
                incoming.inlet.keep_key_frame_request();
            }
        }
        if !requests.is_empty() {
            self.put(Packet::Rtcp(requests), now);
        }
    }

    /// Sends the reports when they are due.
    fn report(&mut self, now: Monotonic) {
        if self.report_at.is_none_or(|at| now < at) {
            return;
        }
        self.report_at = None;
        self.last_report = Some(now);
        let mut packets: Vec<RtcpPacket> = Vec::new();
        for stream in self.outgoing.values_mut().filter(|stream| stream.report_due) {
            packets.extend(stream.report(now, &self.clocks.own).map(|report| Box::new(report) as RtcpPacket));
        }
        let heard = self.sources.iter_mut().filter(|(_, source)| source.report_due);
        let reports: Vec<ReceptionReport> = heard.filter_map(|(ssrc, source)| source.report(*ssrc, now)).collect();
        let ssrc = self.own_ssrc();
        for reports in reports.chunks(REPORTS_IN_PACKET) {
            packets.push(Box::new(ReceiverReport { ssrc, reports: reports.to_vec(), ..ReceiverReport::default() }));
        }
        if !packets.is_empty() {
            self.put(Packet::Rtcp(packets), now);
        }
        let rtt = self.plane.rtt();
        if rtt.is_some() {
            self.sources.values().for_each(|source| source.inlet.count(|statistics| statistics.rtt = rtt));
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Exchange {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.refresh();
        let now = self.time(message.now);
        match message.message.packet {
            Packet::Rtp(packet) => self.receive(packet, now),
            Packet::Rtcp(packets) => self.feedback(&packets, now),
            _ => {}
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        // Everything was delivered already.
        None
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.wire.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.wire.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.refresh();
        let now = self.time(now);
        self.flush(now);
        self.request(now);
        self.report(now);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let flush = self.outgoing.values().filter_map(Outgoing::next_flush);
        let request = self.sources.values().filter_map(|source| source.arrivals.next_due());
        let next = flush.chain(request).chain(self.report_at).min()?;
        Some(self.epoch.0 + next.since(self.epoch.1))
    }

    fn close(&mut self) -> Result<(), Error> {
        self.outgoing.clear();
        self.sources.clear();
        Ok(())
    }
}

impl Interceptor for Exchange {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
