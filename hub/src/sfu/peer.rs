//! One peer connection: what it is, and what was negotiated.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::bwe::Bitrate;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid, Pt};
use str0m::net::{Protocol, TcpType};
use str0m::rtp::Extension;
use str0m::{Candidate, Rtc, RtcError};

use super::backlog::Backlog;
use super::bandwidth::Estimate;
use super::channels::{Channels, SCTP_BUFFER};
use super::counters::StreamTotals;
use super::delivery::{Delivery, RESEND_PACKETS};
use super::extensions::DependencyDescriptor;
use super::quality::Score;
use super::reports::Reports;
use super::silence::Silence;
use super::timing::PublisherClock;
use super::transport_sequence::TransportSequence;
use super::{Member, PeerId, SectionChange, TrackKey, TrackKind, Use, dtls};
use crate::sdp;

/// Number of the header extension that says when a packet's content was captured, in our own offers.
const CAPTURE_TIME: u8 = 5;
/// Number of the Dependency Descriptor, in our own offers.
const DEPENDENCY_DESCRIPTOR: u8 = 12;
/// Payload types of VP9 and AV1, and of what of them is sent again, in our own offers.
const VP9: (u8, u8) = (98, 99);
const AV1: (u8, u8) = (45, 46);
/// Bandwidth that a subscriber is believed to have before it was measured: enough for one good picture.
const FIRST_ESTIMATE: Bitrate = Bitrate::kbps(2_500);
/// The newest estimate of the bandwidth is looked at so often, and streams are counted.
const ESTIMATES: Duration = Duration::from_millis(100);
/// Sender reports this often, so that receivers can synchronise sound and picture soon.
const REPORTS: Duration = Duration::from_secs(1);
/// ICE candidates that a client may tell between two negotiations: a machine with all of its networks has about twenty.
const CANDIDATES: usize = 128;

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
    /// When it was heard, and what it missed since.
    pub(super) silence: Silence,
    /// When the state machine wants to be driven next.
    pub wake_at: Instant,
    /// What was written to it and has not left.
    pub(super) backlog: Backlog,
    /// Bandwidth towards it.
    pub estimate: Estimate,
    /// Bit rates that its estimator was told to look for.
    pub sought: (u64, u64),
    /// Sections on which it publishes.
    pub publishing: Vec<(Mid, TrackKey)>,
    /// Tracks that go to it.
    pub deliveries: Vec<Delivery>,
    /// Sections whose track ended and may be followed by another.
    pub(super) resting: Vec<Delivery>,
    /// Its wall clock against ours.
    pub clock: PublisherClock,
    /// Transport-wide numbers of what it sends.
    pub(super) transport_sequence: TransportSequence,
    /// What its streams counted so far.
    pub totals: StreamTotals,
    /// What is reported about its streams.
    pub reports: Reports,
    /// Scores of its streams.
    pub scores: HashMap<TrackKey, Score>,
    /// A track that it takes no codec of, until that is told.
    pub undecodable: Option<TrackKey>,
    /// Sections on which the client takes redundant sound.
    pub(super) redundant: Vec<Mid>,
    pending: Option<SdpPendingOffer>,
    pending_deliveries: Vec<(Mid, TrackKey)>,
    /// Sections that delivered before: their SSRC is not used for anything else.
    used: Vec<Mid>,
    /// Its data channels.
    pub(super) channels: Channels,
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
            .set_extension(DEPENDENCY_DESCRIPTOR, DependencyDescriptor::extension())
            .set_rtcp_report_interval_audio(REPORTS)
            .set_rtcp_report_interval_video(REPORTS)
            .set_send_buffer_video(RESEND_PACKETS)
            .enable_bwe(Some(FIRST_ESTIMATE))
            .set_stats_interval(Some(ESTIMATES))
            .set_sctp_max_buffered_amount(SCTP_BUFFER);
        // Behind the others, and of their profiles the one that everybody has (RFC 9628 section 6; AV1 RTP specification, section 7.2,
        // where it is the default).
        let vp9 = FormatParams { profile_id: Some(0), ..FormatParams::default() };
        let rarer = [(Codec::Vp9, VP9, vp9), (Codec::Av1, AV1, FormatParams::default())];
        for (codec, (plain, resend), profile) in rarer {
            let (plain, resend) = (plain.into(), Some(resend.into()));
            config.codec_config().add_config(plain, resend, codec, Frequency::NINETY_KHZ, None, profile);
        }
        if member.any_certificate {
            match dtls::provider() {
                Ok(provider) => config = config.set_crypto_provider(provider),
                Err(error) => log::warn!("{} must not have an RSA certificate: {error}", member.identity),
            }
        }
        let rtc = config.build(now);
        let mut peer = Peer {
            id,
            member: Arc::new(member),
            rtc,
            connected: false,
            silent: false,
            silence: Silence::default(),
            wake_at: now,
            backlog: Backlog::default(),
            estimate: Estimate::default(),
            sought: (0, 0),
            publishing: Vec::new(),
            deliveries: Vec::new(),
            resting: Vec::new(),
            clock: PublisherClock::default(),
            transport_sequence: TransportSequence::default(),
            totals: StreamTotals::default(),
            reports: Reports::default(),
            scores: HashMap::new(),
            undecodable: None,
            redundant: Vec::new(),
            pending: None,
            pending_deliveries: Vec::new(),
            used: Vec::new(),
            channels: Channels::new(now),
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
        self.negotiated(&edited);
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
        let accepted = SdpAnswer::from_sdp_string(answer).map_err(|e| PeerError::Unreadable(e.to_string()))?;
        self.rtc.sdp_api().accept_answer(pending, accepted)?;
        self.negotiated(answer);
        self.candidates = 0;
        let deliveries = std::mem::take(&mut self.pending_deliveries);
        self.deliver(&deliveries, now);
        Ok(())
    }

    /// Whether RTP packets of a payload type carry sound, plain or with redundancy.
    pub fn is_sound(&self, payload_type: u8) -> bool {
        let is_it = |found: Option<Pt>| found.is_some_and(|found| *found == payload_type);
        let mut sounds = self.rtc.codec_config().params().iter().filter(|params| params.spec().codec.is_audio());
        sounds.any(|params| is_it(Some(params.pt())) || is_it(params.red()))
    }

    /// The client's description was accepted.
    fn negotiated(&mut self, description: &str) {
        self.redundant = redundant_sections(description);
        let repeats = self.rtc.codec_config().params().iter().filter_map(|params| params.resend());
        self.backlog.negotiated(repeats.map(|payload_type| *payload_type));
        for section in sdp::sections(description) {
            if let Some(media) = self.rtc.media(Mid::from(section.mid.as_str())) {
                self.transport_sequence.negotiated(media.remote_extmap());
            }
        }
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
}

/// Sections whose author takes redundant sound.
fn redundant_sections(sdp: &str) -> Vec<Mid> {
    let takes = |section: &sdp::Section| section.codecs.iter().any(|(_, codec)| codec == "RED");
    sdp::sections(sdp).iter().filter(|section| takes(section)).map(|section| Mid::from(section.mid.as_str())).collect()
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
