//! One peer connection: negotiation, what it publishes, what is delivered to it, its data channels.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::bwe::Bitrate;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::ChannelId;
use str0m::format::{Codec, FormatParams, PayloadParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid, Pt};
use str0m::net::{Protocol, TcpType};
use str0m::rtp::{Extension, RtpWrite, StreamTx};
use str0m::{Candidate, Rtc, RtcError};

use super::bandwidth::Estimate;
use super::counters::StreamTotals;
use super::forward::{Incoming, Rewrite};
use super::layers::{Choice, Grant, Layer, Selection};
use super::packet::Packet;
use super::quality::Score;
use super::red;
use super::reports::Reports;
use super::svc::{Slice, Spatial, Verdict};
use super::timing::PublisherClock;
use super::vp8::Pictures;
use super::{BEST, Member, PeerId, SectionChange, Side, TrackKey, TrackKind, Use, Wish};
use crate::limits::{Bucket, Rate};
use crate::sdp;

/// Number of the header extension that says when a packet's content was captured, in our own offers.
const CAPTURE_TIME: u8 = 5;
/// Payload types of VP9 and of what of it is sent again, in our own offers.
const VP9: (u8, u8) = (98, 99);
/// Packets kept to answer requests for retransmission, and for how long: half a KiB each beside their payload, which all share. Longer
/// when an answer takes long, as in libwebrtc, which keeps them for a second or three round trips, and of a simulcast: a change loses
/// what was kept, and on a link that got narrow it would just when most is asked for.
const RESEND_PACKETS: usize = 2048;
const RESEND_TIME: Duration = Duration::from_secs(1);
const RESEND_TIME_LONG: Duration = Duration::from_secs(3);
/// From this round trip on a subscriber is far away.
const FAR: Duration = Duration::from_millis(300);
/// Largest share of retransmissions in what is sent of a simulcast: on a link that got too narrow, repeating everything that
/// finds no room leaves none for the layer that would fit. Of a track with one encoding no share is too large: a picture that is
/// incomplete is worthless, and what a subscriber asks for is bounded by what it was sent.
const RESEND_SHARE: f32 = 0.4;
/// Bandwidth that a subscriber is believed to have before it was measured: enough for one good picture.
const FIRST_ESTIMATE: Bitrate = Bitrate::kbps(2_500);
/// The newest estimate of the bandwidth is looked at so often, and streams are counted.
const ESTIMATES: Duration = Duration::from_millis(100);
/// Sender reports this often, so that receivers can synchronise sound and picture soon.
const REPORTS: Duration = Duration::from_secs(1);
/// Bytes of reliable data that may wait for a slow receiver before new ones are dropped.
const BACKLOG: usize = 8 << 20;
/// The same, before the receiver has opened its data channel.
const EARLY_BACKLOG: usize = 64 << 10;
/// Time that a client gets, after its answer left, to prepare for what the answer announces. A key frame that arrives
/// before is lost to it, and the next would come only when it asks.
const SETTLE: Duration = Duration::from_millis(20);
/// Largest data packet, with room for its sender's name: clients take no larger one.
const DATA_SIZE: usize = 65_000;
/// ICE candidates that a client may tell between two negotiations: a machine with all of its networks has about twenty.
const CANDIDATES: usize = 128;
/// What SCTP may hold unacknowledged.
const SCTP_BUFFER: usize = 1 << 20;

/// A track that goes to this peer.
#[derive(Debug)]
pub struct Delivery {
    /// Section that carries it.
    pub mid: Mid,
    /// The track.
    pub track: TrackKey,
    /// How the subscriber shows it.
    pub wish: Wish,
    /// When the outgoing stream was declared: its RTP time 0.
    epoch: Instant,
    /// The client does not know the stream before.
    pub starts_at: Instant,
    /// Best layer that its bandwidth allows.
    pub grant: Grant,
    /// Layer that it gets.
    pub selection: Selection,
    /// Spatial layers that it gets of a stream with several.
    pub spatial: Spatial,
    /// A packet of which it is not known yet whether it is the last one of its picture.
    held: Option<Packet>,
    pictures: Pictures,
    /// It has several layers.
    simulcast: bool,
    /// Its packets are kept for longer.
    far: bool,
    rewrite: Option<Rewrite>,
    /// Publisher's payload type, and what its codec is called here.
    format: Option<(Pt, Option<Format>)>,
}

impl Delivery {
    /// Whether any packet went out on it.
    pub fn has_started(&self) -> bool {
        self.rewrite.is_some()
    }

    /// Best layer that it may have now.
    pub fn best(&self) -> u8 {
        self.wish.best.min(self.grant.rank())
    }

    /// Nothing more of what is forwarded goes out; the next picture begins with a key frame and continues every count.
    fn stop(&mut self) {
        self.selection.stop();
        self.spatial.stop();
        self.held = None;
        self.pictures.pause();
        if let Some(rewrite) = &mut self.rewrite {
            rewrite.pause();
        }
    }
}

/// Payload types of a codec that a section takes.
#[derive(Debug, Clone, Copy)]
struct Format {
    plain: Pt,
    /// The same with redundancy.
    red: Option<Pt>,
}

/// Which of LiveKit's data channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    /// Ordered and complete.
    Reliable,
    /// May lose packets.
    Lossy,
    /// Packets of data tracks, may lose some.
    Track,
}

/// A peer connection and what runs over it.
pub struct Peer {
    /// Its name.
    pub id: PeerId,
    /// Whose it is.
    pub member: Arc<Member>,
    /// The WebRTC state machine.
    pub rtc: Rtc,
    /// ICE and DTLS are up.
    pub connected: bool,
    /// Nothing has been heard of it for a while.
    pub silent: bool,
    /// When the state machine wants to be driven next.
    pub wake_at: Instant,
    /// Bandwidth towards it.
    pub estimate: Estimate,
    /// Bit rates that its estimator was told to look for.
    pub sought: (u64, u64),
    /// Sections on which it publishes.
    pub publishing: Vec<(Mid, TrackKey)>,
    /// Tracks that go to it.
    pub deliveries: Vec<Delivery>,
    /// Sections whose track ended and may be followed by another.
    resting: Vec<Delivery>,
    /// Its wall clock against ours.
    pub clock: PublisherClock,
    /// What its streams counted so far.
    pub totals: StreamTotals,
    /// What is reported about its streams.
    pub reports: Reports,
    /// Scores of its streams.
    pub scores: HashMap<TrackKey, Score>,
    /// A track that it takes no codec of, until that is told.
    pub undecodable: Option<TrackKey>,
    /// Sections on which the client takes redundant sound.
    redundant: Vec<Mid>,
    pending: Option<SdpPendingOffer>,
    pending_deliveries: Vec<(Mid, TrackKey)>,
    /// Sections that delivered before: their SSRC is not used for anything else.
    used: Vec<Mid>,
    reliable: Option<ChannelId>,
    lossy: Option<ChannelId>,
    data_track: Option<ChannelId>,
    backlog: VecDeque<Vec<u8>>,
    backlog_bytes: usize,
    /// What it may send of data.
    allowance: Bucket,
    /// Some of its data was dropped, and that was said.
    is_data_dropped: bool,
    /// ICE candidates that it told since it last negotiated.
    candidates: usize,
}

impl Peer {
    /// A peer that can be reached at the addresses `udp` and `tcp`.
    pub fn new(
        id: PeerId,
        member: Member,
        udp: impl Iterator<Item = SocketAddr>,
        tcp: impl Iterator<Item = SocketAddr>,
        now: Instant,
    ) -> Peer {
        let mut config = Rtc::builder()
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, true)
            .enable_vp8(true)
            .enable_h264(true)
            .set_extension(CAPTURE_TIME, Extension::AbsoluteCaptureTime)
            .set_rtcp_report_interval_audio(REPORTS)
            .set_rtcp_report_interval_video(REPORTS)
            .set_send_buffer_video(RESEND_PACKETS)
            .enable_bwe(Some(FIRST_ESTIMATE))
            .set_stats_interval(Some(ESTIMATES))
            .set_sctp_max_buffered_amount(SCTP_BUFFER);
        // Behind the others, and of its profiles the one that everybody has (RFC 9628 section 6).
        let profile = FormatParams { profile_id: Some(0), ..FormatParams::default() };
        let (plain, resend) = VP9;
        config.codec_config().add_config(
            plain.into(),
            Some(resend.into()),
            Codec::Vp9,
            Frequency::NINETY_KHZ,
            None,
            profile,
        );
        let rtc = config.build(now);
        let mut peer = Peer {
            id,
            member: Arc::new(member),
            rtc,
            connected: false,
            silent: false,
            wake_at: now,
            estimate: Estimate::default(),
            sought: (0, 0),
            publishing: Vec::new(),
            deliveries: Vec::new(),
            resting: Vec::new(),
            clock: PublisherClock::default(),
            totals: StreamTotals::default(),
            reports: Reports::default(),
            scores: HashMap::new(),
            undecodable: None,
            redundant: Vec::new(),
            pending: None,
            pending_deliveries: Vec::new(),
            used: Vec::new(),
            reliable: None,
            lossy: None,
            data_track: None,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            allowance: Bucket::new(now),
            is_data_dropped: false,
            candidates: 0,
        };
        peer.add_addresses(udp, tcp);
        peer
    }

    /// Offers addresses to the client with the next description; those that it has been offered before change nothing.
    pub fn add_addresses(&mut self, udp: impl Iterator<Item = SocketAddr>, tcp: impl Iterator<Item = SocketAddr>) {
        let udp = udp.map(|address| (address, Candidate::host(address, "udp")));
        let passive = |address| Candidate::builder().tcp().host(address).tcptype(TcpType::Passive).build();
        for (address, candidate) in udp.chain(tcp.map(|address| (address, passive(address)))) {
            match candidate {
                Ok(candidate) => drop(self.rtc.add_local_candidate(candidate)),
                Err(error) => log::warn!("{address} is no ICE candidate: {error}"),
            }
        }
    }

    /// Accepts a client's offer and returns the answer; `uses` names the sections in use.
    pub fn accept_offer(&mut self, offer: &str, uses: &[(String, Use)], now: Instant) -> Result<String, PeerError> {
        // A section that receives nothing is negotiated as inactive, so that the client shows no track for it.
        let edited = sdp::rewrite(offer, |mid| {
            let idle = !uses.iter().any(|(used, _)| used == mid);
            sdp::Edit { direction: idle.then_some(sdp::Direction::Inactive), ..sdp::Edit::default() }
        });
        let offer = SdpOffer::from_sdp_string(&edited).map_err(|e| PeerError::Unreadable(e.to_string()))?;
        let deliveries: Vec<(Mid, TrackKey)> = uses
            .iter()
            .filter_map(|(mid, used)| match used {
                Use::Deliver(track) => Some((Mid::from(mid.as_str()), *track)),
                Use::Publish(_) | Use::Await => None,
            })
            .collect();
        for (mid, track) in &deliveries {
            self.renew_source(*mid, *track);
        }
        let answer = self.rtc.sdp_api().accept_offer(offer)?;
        self.redundant = redundant_sections(&edited);
        self.candidates = 0;
        self.publishing = uses
            .iter()
            .filter_map(|(mid, used)| match used {
                Use::Publish(track) => Some((Mid::from(mid.as_str()), *track)),
                Use::Deliver(_) | Use::Await => None,
            })
            .collect();
        self.deliver(&deliveries, now);
        Ok(answer.to_sdp_string())
    }

    /// Makes an offer with `changes`; returns it with the sections of added tracks. `None` when nothing is to be
    /// negotiated.
    pub fn make_offer(
        &mut self,
        changes: &[SectionChange],
        ice_restart: bool,
    ) -> Result<(String, Vec<(TrackKey, String)>), PeerError> {
        let mut deliveries: Vec<(Mid, TrackKey)> = self.deliveries.iter().map(|d| (d.mid, d.track)).collect();
        for change in changes {
            if let SectionChange::Reuse(mid, track) = change {
                self.renew_source(Mid::from(mid.as_str()), *track);
            }
        }
        let mut added = Vec::new();
        let mut api = self.rtc.sdp_api();
        for change in changes {
            match change {
                SectionChange::Add(track, kind) => {
                    let kind = match kind {
                        TrackKind::Audio => MediaKind::Audio,
                        TrackKind::Video => MediaKind::Video,
                    };
                    let mid = api.add_media(kind, Direction::SendOnly, None, None, None);
                    added.push((*track, mid.to_string()));
                    self.used.push(mid);
                    deliveries.push((mid, *track));
                }
                SectionChange::Reuse(mid, track) => {
                    let mid = Mid::from(mid.as_str());
                    api.set_direction(mid, Direction::SendOnly);
                    deliveries.push((mid, *track));
                }
                SectionChange::Stop(mid) => {
                    let mid = Mid::from(mid.as_str());
                    api.set_direction(mid, Direction::Inactive);
                    deliveries.retain(|(used, _)| *used != mid);
                }
            }
        }
        if ice_restart {
            api.ice_restart(true);
        }
        let (offer, pending) = api.apply().ok_or(PeerError::NothingToOffer)?;
        self.pending = Some(pending);
        self.pending_deliveries = deliveries;
        Ok((offer.to_sdp_string(), added))
    }

    /// Accepts the client's answer to the last offer.
    pub fn accept_answer(&mut self, answer: &str, now: Instant) -> Result<(), PeerError> {
        let pending = self.pending.take().ok_or(PeerError::NoOffer)?;
        let redundant = redundant_sections(answer);
        let answer = SdpAnswer::from_sdp_string(answer).map_err(|e| PeerError::Unreadable(e.to_string()))?;
        self.rtc.sdp_api().accept_answer(pending, answer)?;
        self.redundant = redundant;
        self.candidates = 0;
        let deliveries = std::mem::take(&mut self.pending_deliveries);
        self.deliver(&deliveries, now);
        Ok(())
    }

    /// Adds a client's ICE candidate. Names that only a resolver knows are left to other candidates. So is TCP: a client that uses it
    /// connects to the hub, from a port that it does not know before.
    pub fn add_candidate(&mut self, line: &str) {
        self.candidates += 1;
        if self.candidates > CANDIDATES {
            return;
        }
        match Candidate::from_sdp_string(line) {
            Ok(candidate) if candidate.proto() != Protocol::Udp => {}
            Ok(candidate) => self.rtc.add_remote_candidate(candidate),
            Err(error) => log::debug!("a candidate is not used: {error}"),
        }
    }

    /// Gives a section that carried something before a source of its own, unless it goes on: a stream that begins anew under the number
    /// of an old one has sequence numbers that its receiver took already, and drops (RFC 3711, section 3.3.2).
    fn renew_source(&mut self, mid: Mid, track: TrackKey) {
        if self.deliveries.iter().any(|delivery| (delivery.mid, delivery.track) == (mid, track)) {
            return;
        }
        if !self.used.contains(&mid) {
            self.used.push(mid);
            return;
        }
        // Not reset_stream_tx(): it leaves the stream registered under its old SSRC, where no report finds it.
        let mut api = self.rtc.direct_api();
        let Some((old, rtx)) = api.stream_tx_by_mid(mid, None).map(|s| (s.ssrc(), s.rtx())) else { return };
        let (ssrc, new_rtx) = (api.new_ssrc(), api.new_ssrc());
        api.remove_stream_tx(old);
        api.declare_stream_tx(ssrc, rtx.map(|_| new_rtx), mid, None);
    }

    fn deliver(&mut self, wanted: &[(Mid, TrackKey)], now: Instant) {
        self.deliveries.retain(|d| wanted.contains(&(d.mid, d.track)));
        for (mid, track) in wanted {
            // Negotiated again: payload types may have changed.
            if let Some(delivery) = self.deliveries.iter_mut().find(|d| d.mid == *mid) {
                delivery.format = None;
                continue;
            }
            if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(*mid, None) {
                stream.set_rtx_cache(RESEND_PACKETS, RESEND_TIME, None);
                // The publisher paced it already. What does not fit is not queued here but answered by another layer.
                stream.set_unpaced(true);
            }
            self.deliveries.push(Delivery {
                mid: *mid,
                track: *track,
                wish: Wish::default(),
                epoch: now,
                starts_at: now + SETTLE,
                grant: Grant::default(),
                selection: Selection::default(),
                spatial: Spatial::default(),
                held: None,
                pictures: Pictures::default(),
                simulcast: false,
                far: false,
                rewrite: None,
                format: None,
            });
        }
    }

    /// Sends another track on a section, or none for now. The stream goes on: its receiver cannot be told of another one.
    pub fn exchange(&mut self, mid: Mid, track: Option<TrackKey>, now: Instant) {
        let has = |delivery: &Delivery| delivery.mid == mid;
        let known = match self.deliveries.iter().position(has) {
            Some(index) => Some(self.deliveries.remove(index)),
            None => self.resting.iter().position(has).map(|index| self.resting.remove(index)),
        };
        match (known, track) {
            (Some(mut delivery), Some(track)) => {
                delivery.stop();
                (delivery.track, delivery.wish, delivery.format) = (track, Wish::default(), None);
                delivery.starts_at = now;
                self.deliveries.push(delivery);
            }
            (Some(mut delivery), None) => {
                delivery.stop();
                self.resting.push(delivery);
            }
            (None, Some(track)) => {
                let mut wanted: Vec<(Mid, TrackKey)> = self.deliveries.iter().map(|d| (d.mid, d.track)).collect();
                wanted.push((mid, track));
                self.deliver(&wanted, now);
                // It was announced to the client long ago.
                self.deliveries.iter_mut().filter(|d| d.mid == mid).for_each(|d| d.starts_at = now);
            }
            (None, None) => {}
        }
    }

    /// Keeps packets for longer when their receiver turns out to be far away; whether that is new. What was kept is lost by it, once.
    pub fn measured(&mut self, mid: Mid, round_trip: Option<Duration>) -> bool {
        let is_far = round_trip.is_some_and(|round_trip| round_trip >= FAR);
        let near = |d: &&mut Delivery| d.mid == mid && !d.far && !d.simulcast;
        let Some(delivery) = self.deliveries.iter_mut().find(near).filter(|_| is_far) else { return false };
        delivery.far = true;
        if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(mid, None) {
            stream.set_rtx_cache(RESEND_PACKETS, RESEND_TIME_LONG, None);
        }
        true
    }

    /// What to do with a packet of `layer` of a track; `target` is the layer for a limit.
    pub fn choose(
        &mut self,
        track: TrackKey,
        layer: Layer,
        key_frame: bool,
        at: Instant,
        target: impl FnOnce(u8) -> Option<Layer>,
    ) -> Choice {
        let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) else { return Choice::Drop };
        if !delivery.wish.shown || delivery.grant.paused() || !self.connected || at < delivery.starts_at {
            delivery.stop();
            return Choice::Drop;
        }
        if layer.rank > 0 && !delivery.simulcast {
            delivery.simulcast = true;
            self.rtc.direct_api().stream_tx_by_mid(delivery.mid, None).into_iter().for_each(forget_sent);
        }
        let Some(target) = target(delivery.best()) else { return Choice::Drop };
        delivery.selection.judge(layer, key_frame, target)
    }

    /// What to do with a packet of a track that has several spatial layers in one stream.
    pub fn choose_spatial(&mut self, track: TrackKey, layer: Layer, slice: Slice, at: Instant) -> Verdict {
        let dropped = Verdict::Drop { wanted: false };
        let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) else { return dropped };
        if !delivery.wish.shown || delivery.grant.paused() || !self.connected || at < delivery.starts_at {
            delivery.stop();
            return dropped;
        }
        if !delivery.simulcast {
            delivery.simulcast = true;
            self.rtc.direct_api().stream_tx_by_mid(delivery.mid, None).into_iter().for_each(forget_sent);
        }
        let best = delivery.best();
        // Whoever may have the best gets whatever there is.
        let allowed = if best >= BEST { u8::MAX } else { best.saturating_sub(1) };
        let verdict = delivery.spatial.judge(slice, allowed);
        if delivery.spatial.current().is_some() {
            delivery.selection.follow(layer);
        }
        verdict
    }

    /// Keeps a packet of `track` until it is known whether it is the last one of its picture; false because nothing is queued yet.
    pub fn hold(&mut self, track: TrackKey, packet: &Packet) -> bool {
        if let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) {
            delivery.held = Some(packet.clone());
        }
        false
    }

    /// Queues the packet on hold if the one that came tells what it is; true when it was queued.
    pub fn release(&mut self, track: TrackKey, came: Slice, params: &PayloadParams) -> bool {
        let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) else { return false };
        let Some(last) = delivery.spatial.release(came) else { return false };
        let held = delivery.held.take();
        held.is_some_and(|held| self.write(track, &Packet { marker: last, ..held }, params))
    }

    /// Keeps a packet of `track` from this peer, so that it does not miss it; true when something was queued for that.
    pub fn leave_out(&mut self, track: TrackKey, packet: &Packet) -> bool {
        let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) else { return false };
        let Some(rewrite) = &mut delivery.rewrite else { return false };
        let Packet { source, sequence, timestamp, made_at, .. } = *packet;
        let Some(outgoing) = rewrite.leave_out(Incoming { source, sequence, timestamp, made_at }) else { return false };
        let Some((_, Some(format))) = delivery.format else { return false };
        let (payload_type, sequence) = (format.plain, outgoing.sequence.into());
        let write = RtpWrite::new(payload_type, sequence, outgoing.timestamp, made_at, Vec::new()).nackable(true);
        let mid = delivery.mid;
        self.rtc.direct_api().stream_tx_by_mid(mid, None).map(|stream| stream.write_rtp(write)).is_some()
    }

    /// Stops a track's present layer, for which the link got too narrow, before the next one's key frame is there. What the link lost
    /// of it would only stand in that key frame's way.
    pub fn cut_layer(&mut self, track: TrackKey) {
        let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) else { return };
        delivery.stop();
        self.rtc.direct_api().stream_tx_by_mid(delivery.mid, None).into_iter().for_each(forget_sent);
    }

    /// Whether this peer takes the redundancy of `track`, of a publisher's format `params`.
    pub fn takes_redundancy(&mut self, track: TrackKey, params: &PayloadParams) -> bool {
        self.format(track, params).is_some_and(|format| format.red.is_some())
    }

    fn format(&mut self, track: TrackKey, params: &PayloadParams) -> Option<Format> {
        let delivery = self.deliveries.iter_mut().find(|d| d.track == track)?;
        if let Some((_, known)) = delivery.format.filter(|(source, _)| *source == params.pt()) {
            return known;
        }
        let ours = matching(&self.rtc, delivery.mid, params);
        if ours.is_none() {
            log::info!("{}: no format for {:?} was negotiated", self.member.identity, params.spec().codec);
            self.undecodable = Some(track);
        }
        let takes_redundancy = self.redundant.contains(&delivery.mid);
        let format = ours.map(|p| Format { plain: p.pt(), red: p.red().filter(|_| takes_redundancy) });
        delivery.format = Some((params.pt(), format));
        format
    }

    /// Queues one packet of `track` for this peer; false when nothing was queued. `params` is the publisher's format
    /// of the packet.
    pub fn write(&mut self, track: TrackKey, packet: &Packet, params: &PayloadParams) -> bool {
        let Some(format) = self.format(track, params) else { return false };
        let Some(delivery) = self.deliveries.iter_mut().find(|d| d.track == track) else { return false };
        let is_redundant = params.red() == Some(packet.payload_type);
        let payload_type = if is_redundant { format.red } else { Some(format.plain) };
        let Some(payload_type) = payload_type else { return false };
        let payload = match is_redundant {
            true => red::with_payload_type(&packet.payload, *format.plain),
            false => Arc::clone(&packet.payload),
        };
        let rate = params.spec().clock_rate.get();
        let first = (packet.sequence as u16 & 0x3fff) + 1024;
        let rewrite = delivery.rewrite.get_or_insert_with(|| Rewrite::new(first, delivery.epoch, rate));
        let Packet { source, sequence, timestamp, made_at, .. } = *packet;
        let incoming = Incoming { source, sequence, timestamp, made_at };
        let Some(outgoing) = rewrite.forward(incoming) else { return false };
        let (mid, simulcast) = (delivery.mid, delivery.simulcast);
        if outgoing.changed && simulcast {
            // Nobody needs the other layer's lost packets any more.
            self.rtc.direct_api().stream_tx_by_mid(mid, None).into_iter().for_each(forget_sent);
        }
        let patch = match params.spec().codec {
            Codec::Vp8 => delivery.pictures.patch(source, &payload, outgoing.newest),
            _ => None,
        };
        let mut write = RtpWrite::new(payload_type, outgoing.sequence.into(), outgoing.timestamp, made_at, payload)
            .marker(packet.marker)
            .ext_vals(packet.extensions.clone())
            .nackable(true);
        if let Some(patch) = patch {
            write = write.vp8_patch(patch);
        }
        self.rtc.direct_api().stream_tx_by_mid(mid, None).map(|stream| stream.write_rtp(write)).is_some()
    }

    /// The client opened a data channel.
    pub fn channel_open(&mut self, id: ChannelId, label: &str) {
        match label {
            "_reliable" => self.reliable = Some(id),
            "_lossy" => self.lossy = Some(id),
            "_data_track" => self.data_track = Some(id),
            _ => return,
        }
        if let Some(mut channel) = self.rtc.channel(id) {
            channel.set_buffered_amount_low_threshold(SCTP_BUFFER / 4);
        }
    }

    /// A data channel is gone.
    pub fn channel_closed(&mut self, id: ChannelId) {
        self.reliable = self.reliable.filter(|open| *open != id);
        self.lossy = self.lossy.filter(|open| *open != id);
        self.data_track = self.data_track.filter(|open| *open != id);
    }

    /// Which of LiveKit's channels this is.
    pub fn channel_kind(&self, id: ChannelId) -> Option<ChannelKind> {
        match id {
            _ if self.reliable == Some(id) => Some(ChannelKind::Reliable),
            _ if self.lossy == Some(id) => Some(ChannelKind::Lossy),
            _ if self.data_track == Some(id) => Some(ChannelKind::Track),
            _ => None,
        }
    }

    /// Whether a data packet of `bytes` goes on: not when it is too large, or when too many came before it.
    pub fn may_send(&mut self, bytes: usize, rate: Rate, now: Instant) -> bool {
        let cost = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).max(1);
        let may = bytes <= DATA_SIZE && self.allowance.take(rate, cost, now).is_ok();
        if !may && !self.is_data_dropped {
            log::info!("{}: sends too much data, and some of it is dropped", self.member.identity);
        }
        self.is_data_dropped |= !may;
        may
    }

    /// Whether data is sent here: the client opened its data channels, or is about to, and the packet can wait for that.
    pub fn takes_data(&self, kind: ChannelKind) -> bool {
        if kind == ChannelKind::Track {
            return self.data_track.is_some();
        }
        let is_open = self.reliable.is_some() || self.lossy.is_some();
        is_open || (kind == ChannelKind::Reliable && self.id.side == Side::Publisher)
    }

    /// Sends a data packet; what a full channel that may lose packets does not take is dropped, reliable packets wait.
    pub fn send_data(&mut self, kind: ChannelKind, bytes: &[u8]) {
        match kind {
            ChannelKind::Lossy => drop(self.write_channel(self.lossy, bytes)),
            ChannelKind::Track => drop(self.write_channel(self.data_track, bytes)),
            ChannelKind::Reliable if self.backlog.is_empty() && self.write_channel(self.reliable, bytes) => {}
            // It may be one that never opens a data channel.
            ChannelKind::Reliable if self.reliable.is_none() && self.backlog_bytes + bytes.len() > EARLY_BACKLOG => {}
            ChannelKind::Reliable if self.backlog_bytes + bytes.len() > BACKLOG => {
                log::warn!("{}: too slow for the data sent to it, a packet is dropped", self.member.identity);
            }
            ChannelKind::Reliable => {
                self.backlog_bytes += bytes.len();
                self.backlog.push_back(bytes.to_vec());
            }
        }
    }

    /// Sends what waited, as far as it goes now.
    pub fn flush_data(&mut self) {
        while let Some(bytes) = self.backlog.pop_front() {
            if !self.write_channel(self.reliable, &bytes) {
                self.backlog.push_front(bytes);
                return;
            }
            self.backlog_bytes -= bytes.len();
        }
    }

    fn write_channel(&mut self, id: Option<ChannelId>, bytes: &[u8]) -> bool {
        let Some(mut channel) = id.and_then(|id| self.rtc.channel(id)) else { return false };
        channel.write(true, bytes).unwrap_or(false)
    }
}

/// Nothing of a simulcast that was sent so far is sent again, nor does the share of it that was sent twice count any more: what comes
/// next begins with a key frame, and a link whose queue is full may lose a part of that.
fn forget_sent(stream: &mut StreamTx) {
    stream.set_rtx_cache(RESEND_PACKETS, RESEND_TIME_LONG, None);
    stream.set_rtx_cache(RESEND_PACKETS, RESEND_TIME_LONG, Some(RESEND_SHARE));
}

/// Sections whose author takes redundant sound.
fn redundant_sections(sdp: &str) -> Vec<Mid> {
    let takes = |section: &sdp::Section| section.codecs.iter().any(|(_, codec)| codec == "RED");
    sdp::sections(sdp).iter().filter(|section| takes(section)).map(|section| Mid::from(section.mid.as_str())).collect()
}

/// The format in which `mid` of `rtc` takes what a publisher sends as `params`.
fn matching<'a>(rtc: &'a Rtc, mid: Mid, params: &PayloadParams) -> Option<&'a PayloadParams> {
    let media = rtc.media(mid)?;
    let negotiated = |p: &&PayloadParams| media.remote_pts().contains(&p.pt());
    let all = rtc.codec_config().params();
    let exact = rtc.codec_config().match_params(*params).filter(|p| negotiated(p));
    // Decoders take every profile of H.264 that they know of, whatever payload type it comes under; only the
    // packetization must be the agreed one (RFC 6184 section 8.2.2).
    let same_codec = || {
        all.iter().filter(negotiated).find(|p| {
            let (ours, theirs) = (p.spec(), params.spec());
            ours.codec == theirs.codec
                && (ours.codec != Codec::H264
                    || ours.format.packetization_mode.unwrap_or(0) == theirs.format.packetization_mode.unwrap_or(0))
        })
    };
    exact.or_else(same_codec)
}

/// Why a negotiation failed.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The description cannot be read.
    #[error("the session description cannot be read: {0}")]
    Unreadable(String),
    /// The description contradicts what was negotiated before, or offers nothing usable.
    #[error("the session description was not accepted: {0}")]
    Refused(#[from] RtcError),
    /// An answer without an offer.
    #[error("there is no offer that this could answer")]
    NoOffer,
    /// An offer was asked for, but it would be the same as the last.
    #[error("nothing changed, so there is nothing to offer")]
    NothingToOffer,
    /// The peer connection is over.
    #[error("the peer connection is over")]
    Gone,
}
