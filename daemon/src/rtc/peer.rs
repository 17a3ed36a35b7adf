//! The peer connection itself.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddrV6;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Slot;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpRtxParameters};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use webrtc::data_channel::{DataChannel, RTCDataChannelInit};
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder, RTCIceCandidateInit,
    RTCIceGatheringState, RTCIceServer, RTCPeerConnectionIceEvent, RTCPeerConnectionState, RTCSessionDescription,
    Registry, SettingEngineBuilder, StatsSelector,
};
use webrtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit, RtpSender};

use super::arrival_feedback::ArrivalFeedback;
use super::codecs;
use super::config::{IceServer, NetworkConfig};
use super::data::{Channels, LOSSY, RELIABLE};
use super::error::RtcError;
use super::exchange::Exchange;
use super::interfaces::{self, LocalAddresses};
use super::link_local;
use super::negotiation::{Negotiation, Sending};
use super::ntp::NtpClock;
use super::packet::MediaKind;
use super::plane::Plane;
use super::receiver::MediaReceiver;
use super::runtime::{PeerRuntime, Tasks};
use super::sdp;
use super::sender::{MediaSender, Outlet};
use super::socket::Gate;
use super::statistics::PeerStatistics;
use super::stereo;
use super::tcp::{UDP_TIME, is_tcp};

/// Packets of one source that may be overtaken: repairs on the media's own source come late (RFC 3711 §3.3.2).
const REPLAY_WINDOW: usize = 2048;
/// Between two ICE checks while connecting. The crate's default of 200 ms is what a connection then takes at least.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// Checks of one pair before it is given up: 10 s.
const CHECKS: u16 = 500;
/// Without anything heard for this long the state is `Disconnected`, RFC 7675.
const DISCONNECTED_AFTER: Duration = Duration::from_secs(4);
/// After this long more it is `Failed`.
const FAILED_AFTER: Duration = Duration::from_secs(10);
/// Between two consent checks: four in a row must be lost before the other side counts as not heard.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// How long a pair by way of a NAT, found on the way, or by way of a relay waits for a better one. A server whose check is faster
/// than its candidate counts as found on the way: that must not make it wait.
const PATIENCE: (Duration, Duration, Duration) =
    (Duration::from_millis(150), Duration::ZERO, Duration::from_millis(400));
/// For the driver to end after it was told to.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// Bytes that may wait in a data channel.
const DATA_BUFFER: usize = 1 << 20;

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerState {
    /// Nothing was tried yet.
    New,
    /// ICE or DTLS are at work.
    Connecting,
    /// Media and data can flow.
    Connected,
    /// The other side was not heard for some seconds; it may come back by itself.
    Disconnected,
    /// It will not come back without an ICE restart.
    Failed,
    /// Closed by us or by the other side (DTLS close_notify).
    Closed,
}

/// News of a peer connection.
pub enum PeerEvent {
    /// An ICE candidate of ours for the other side: JSON of an RTCIceCandidateInit.
    LocalCandidate(String),
    /// There are no more candidates of ours until the next ICE restart.
    Gathered,
    /// The state changed.
    State(PeerState),
    /// Media of the other side can arrive on this section.
    Track {
        /// `a=mid` of the section.
        mid: String,
        /// First token of the section's `a=msid`, the other side's stream id; empty if there is none.
        stream_id: String,
        /// Second token of `a=msid`; empty if there is none.
        track_id: String,
        /// Takes the packets.
        receiver: MediaReceiver,
    },
    /// The other side stopped sending on this section.
    TrackEnded {
        /// `a=mid` of the section.
        mid: String,
    },
    /// A message arrived on a data channel.
    Data {
        /// On `_reliable`, not on `_lossy`.
        reliable: bool,
        /// The message.
        bytes: Bytes,
    },
}

fn ice_server(server: IceServer) -> RTCIceServer {
    RTCIceServer { urls: server.urls, username: server.username, credential: server.credential }
}

/// A number that nobody can guess.
fn random() -> u64 {
    RandomState::new().hash_one(Instant::now())
}

/// Hears the crate; runs on the driver, so it must not wait.
struct Handler {
    plane: Arc<Plane>,
    events: UnboundedSender<PeerEvent>,
    channels: Arc<Channels>,
    tasks: tokio::runtime::Handle,
    /// Candidates that were told: the crate gathers again with every offer.
    told: std::sync::Mutex<HashSet<String>>,
    link_local: Option<SocketAddrV6>,
}

impl Handler {
    fn tell(&self, event: PeerEvent) {
        // Nobody listens any more: then nothing is lost.
        let _ = self.events.send(event);
    }
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        let candidate = event.candidate.to_json().map(|candidate| RTCIceCandidateInit {
            candidate: link_local::told(&candidate.candidate, self.link_local),
            ..candidate
        });
        match candidate {
            // Nobody can connect to us, and where we connect from is seen then.
            Ok(candidate) if is_tcp(&candidate.candidate) => {}
            Ok(candidate) if !candidate.candidate.is_empty() => match serde_json::to_string(&candidate) {
                Ok(json) => {
                    let is_new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(json.clone());
                    if is_new {
                        self.tell(PeerEvent::LocalCandidate(json));
                    }
                }
                Err(error) => log::warn!("an ICE candidate cannot be written: {error}"),
            },
            Ok(_) => {}
            Err(error) => log::warn!("an ICE candidate cannot be written: {error}"),
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.tell(PeerEvent::Gathered);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let state = match state {
            RTCPeerConnectionState::Connecting => PeerState::Connecting,
            RTCPeerConnectionState::Connected => PeerState::Connected,
            RTCPeerConnectionState::Disconnected => PeerState::Disconnected,
            RTCPeerConnectionState::Failed => PeerState::Failed,
            RTCPeerConnectionState::Closed => PeerState::Closed,
            _ => PeerState::New,
        };
        match state {
            PeerState::Connected => self.plane.connected(true),
            PeerState::Failed | PeerState::Closed => self.plane.connected(false),
            PeerState::New | PeerState::Connecting | PeerState::Disconnected => {}
        }
        self.tell(PeerEvent::State(state));
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        let channels = Arc::clone(&self.channels);
        // Asking for the label needs the driver, which waits for us.
        self.tasks.spawn(async move {
            let Ok(label) = channel.label().await else { return };
            match Channels::kind(&label) {
                Some(reliable) => channels.add(reliable, channel, true),
                None => log::debug!("data channel {label:?} is ignored"),
            }
        });
    }
}

struct Inner {
    connection: Arc<dyn PeerConnection>,
    tasks: Tasks,
    gate: Gate,
    plane: Arc<Plane>,
    events: UnboundedSender<PeerEvent>,
    channels: Arc<Channels>,
    negotiation: Mutex<Negotiation>,
    senders: Mutex<Vec<(String, Arc<dyn RtpSender>)>>,
    early_candidates: Mutex<Vec<RTCIceCandidateInit>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for outlet in self.plane.table().outlets {
            outlet.close();
        }
        self.channels.clear();
    }
}

/// One peer connection. Cheap to clone; everything ends with [`Peer::close`] or with the last clone.
#[derive(Clone)]
pub struct Peer {
    inner: Arc<Inner>,
}

impl Peer {
    /// Opens the sockets and starts the connection's driver; nothing is sent yet.
    ///
    /// # Errors
    /// [`RtcError::NoInterface`], or [`RtcError::Engine`] when no socket could be opened.
    pub async fn new(config: &NetworkConfig, events: UnboundedSender<PeerEvent>) -> Result<Self, RtcError> {
        // The crate would say less clearly that there are none.
        interfaces::addresses(config)?;
        let plane = Arc::new(Plane::default());
        let (tasks, gate) = (Tasks::default(), Gate::default());
        let told = Arc::clone(&plane);
        let carries = Arc::new(move |bits_per_second| told.carries(bits_per_second));
        let runtime = PeerRuntime::new(plane.wake.clone(), carries, tasks.clone(), gate.clone(), config.link_local)
            .map_err(|error| RtcError::Engine(format!("no driver thread: {error}")))?;
        let channels = Arc::new(Channels::new(events.clone()));
        let handler = Handler {
            plane: Arc::clone(&plane),
            events: events.clone(),
            channels: Arc::clone(&channels),
            tasks: tokio::runtime::Handle::current(),
            told: std::sync::Mutex::default(),
            link_local: config.link_local,
        };
        let (reflexive, found, relayed) = PATIENCE;
        let settings = SettingEngineBuilder::new()
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_srtp_replay_protection_window(REPLAY_WINDOW)
            .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(CHECKS))
            .with_ice_timeouts(Some(DISCONNECTED_AFTER), Some(FAILED_AFTER), Some(KEEPALIVE))
            .with_srflx_acceptance_min_wait(Some(reflexive))
            .with_prflx_acceptance_min_wait(Some(found))
            .with_relay_acceptance_min_wait(Some(relayed))
            .with_discard_local_candidates_during_ice_restart(true)
            .build();
        let servers = config.ice_servers.iter().cloned().map(ice_server);
        let registry = Registry::new()
            .with(Slot::TwccReceiver, ArrivalFeedback::new(Arc::clone(&plane)))
            .with(Slot::from(20_000), Exchange::new(Arc::clone(&plane), random() as u32));
        let connection = PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().with_ice_servers(servers.collect()).build())
            .with_media_engine(codecs::media_engine()?)
            .with_setting_engine(settings)
            .with_interceptor_registry(registry)
            .with_runtime(Arc::new(runtime))
            .with_handler(Arc::new(handler))
            .with_udp_addrs(vec![LocalAddresses(config.clone())])
            .with_tcp_addrs(vec![LocalAddresses(NetworkConfig { link_local: None, ..config.clone() })])
            // Only so does a connection that is dropped, not closed, stop its driver.
            .with_dedicated_reactor_pool_size(1)
            .with_data_channel_send_buffer_limit(DATA_BUFFER)
            .build()
            .await?;
        Ok(Self {
            inner: Arc::new(Inner {
                connection: Arc::new(connection),
                tasks,
                gate,
                plane,
                events,
                channels,
                negotiation: Mutex::default(),
                senders: Mutex::default(),
                early_candidates: Mutex::default(),
            }),
        })
    }

    /// Adds receive-only sections to the next offer.
    ///
    /// # Errors
    /// [`RtcError::Closed`].
    pub async fn add_receivers(&self, audio: usize, video: usize) -> Result<(), RtcError> {
        let audio = std::iter::repeat_n(MediaKind::Audio, audio);
        let video = std::iter::repeat_n(MediaKind::Video, video);
        for kind in audio.chain(video) {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                ..RTCRtpTransceiverInit::default()
            };
            self.inner.connection.add_transceiver_from_kind(codecs::kind(kind), Some(init)).await?;
        }
        Ok(())
    }

    /// Adds a track that we send to the next offer. `stream_id` and `track_id` become its `a=msid`; in LiveKit `track_id` is the cid.
    ///
    /// # Errors
    /// [`RtcError::Closed`].
    pub async fn add_sender(&self, kind: MediaKind, stream_id: &str, track_id: &str) -> Result<MediaSender, RtcError> {
        let sources = random();
        let (ssrc, rtx_ssrc) = ((sources as u32).max(1), ((sources >> 32) as u32).max(1));
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                rtx: (kind == MediaKind::Video).then_some(RTCRtpRtxParameters { ssrc: rtx_ssrc }),
                ..RTCRtpCodingParameters::default()
            },
            active: true,
            codec: codecs::sent(kind),
            ..RTCRtpEncodingParameters::default()
        };
        let track = MediaStreamTrack::new(
            stream_id.to_owned(),
            track_id.to_owned(),
            track_id.to_owned(),
            codecs::kind(kind),
            vec![encoding],
        );
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Sendonly,
            ..RTCRtpTransceiverInit::default()
        };
        let connection = &self.inner.connection;
        let transceiver =
            connection.add_transceiver_from_track(Arc::new(TrackLocalStaticRTP::new(track)), Some(init)).await?;
        let sender =
            transceiver.sender().await?.ok_or_else(|| RtcError::Engine("a track without a sender".to_owned()))?;
        let outlet = Arc::new(Outlet::new(kind, track_id, ssrc, rtx_ssrc, self.inner.plane.wake.clone()));
        self.inner.senders.lock().await.push((track_id.to_owned(), sender));
        self.inner.negotiation.lock().await.sending.push(Sending { outlet: Arc::clone(&outlet), mid: None });
        Ok(MediaSender::new(outlet))
    }

    /// Stops a track; its section is inactive in the next offer.
    ///
    /// # Errors
    /// [`RtcError::UnknownTrack`], [`RtcError::Closed`].
    pub async fn remove_sender(&self, track_id: &str) -> Result<(), RtcError> {
        let sender = {
            let mut senders = self.inner.senders.lock().await;
            let index = senders.iter().position(|(id, _)| id == track_id);
            let index = index.ok_or_else(|| RtcError::UnknownTrack(track_id.to_owned()))?;
            senders.swap_remove(index).1
        };
        let plane = &self.inner.plane;
        self.inner.negotiation.lock().await.sending.retain(|sending| {
            let keep = sending.outlet.track_id != track_id;
            if !keep {
                sending.outlet.close();
                plane.retire_outlet(&sending.outlet);
            }
            keep
        });
        plane.change(|table| table.outlets.retain(|outlet| outlet.track_id != track_id));
        Ok(self.inner.connection.remove_track(&sender).await?)
    }

    /// Adds the data channels `_reliable` (ordered) and `_lossy` (unordered, no retransmissions) to the next offer.
    ///
    /// # Errors
    /// [`RtcError::Closed`].
    pub async fn open_data_channels(&self) -> Result<(), RtcError> {
        let reliable = RTCDataChannelInit { ordered: true, ..RTCDataChannelInit::default() };
        let lossy = RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..RTCDataChannelInit::default() };
        for (label, is_reliable, init) in [(RELIABLE, true, reliable), (LOSSY, false, lossy)] {
            let channel = self.inner.connection.create_data_channel(label, Some(init)).await?;
            self.inner.channels.add(is_reliable, channel, false);
        }
        Ok(())
    }

    /// Sends one message, waiting until the channel is open and has room.
    ///
    /// # Errors
    /// [`RtcError::ChannelNotOpen`] when no channel was opened, [`RtcError::Closed`].
    pub async fn send_data(&self, reliable: bool, bytes: Bytes) -> Result<(), RtcError> {
        self.inner.channels.send(reliable, &bytes).await
    }

    /// Makes an offer and sets it as the local description.
    ///
    /// # Errors
    /// [`RtcError::Closed`], [`RtcError::Engine`].
    pub async fn create_offer(&self, ice_restart: bool) -> Result<String, RtcError> {
        let options = RTCOfferOptions { ice_restart };
        let mut negotiation = self.inner.negotiation.lock().await;
        let offer = self.inner.connection.create_offer(Some(options)).await?;
        let sdp = sdp::without_tcp(&offer.sdp);
        self.inner.connection.set_local_description(offer).await?;
        if ice_restart {
            self.inner.gate.close();
        }
        negotiation.offered(&sdp::sections(&sdp));
        Ok(stereo::complete(&sdp, |track_id| negotiation.sends_stereo(track_id)))
    }

    /// Takes the answer to our newest offer.
    ///
    /// # Errors
    /// [`RtcError::Description`], [`RtcError::Closed`].
    pub async fn accept_answer(&self, sdp: &str) -> Result<(), RtcError> {
        let answer = RTCSessionDescription::answer(sdp::without_tcp(sdp))
            .map_err(|error| RtcError::Description(error.to_string()))?;
        let mut negotiation = self.inner.negotiation.lock().await;
        self.inner.connection.set_remote_description(answer).await.map_err(description)?;
        self.inner.gate.open();
        self.negotiated(&mut negotiation, sdp).await
    }

    /// Takes an offer, sets and returns our answer.
    ///
    /// # Errors
    /// [`RtcError::Description`], [`RtcError::Closed`].
    pub async fn accept_offer(&self, sdp: &str) -> Result<String, RtcError> {
        let offer = RTCSessionDescription::offer(sdp::without_tcp(sdp))
            .map_err(|error| RtcError::Description(error.to_string()))?;
        let mut negotiation = self.inner.negotiation.lock().await;
        self.inner.connection.set_remote_description(offer).await.map_err(description)?;
        let answer = self.inner.connection.create_answer(None).await?;
        let ours = sdp::without_tcp(&answer.sdp);
        self.inner.connection.set_local_description(answer).await?;
        self.inner.gate.open();
        self.negotiated(&mut negotiation, sdp).await?;
        Ok(stereo::complete(&ours, |track_id| negotiation.sends_stereo(track_id)))
    }

    async fn negotiated(&self, negotiation: &mut Negotiation, remote: &str) -> Result<(), RtcError> {
        for event in negotiation.apply(&sdp::sections(remote), &self.inner.plane) {
            // Nobody listens any more: then nothing is lost.
            let _ = self.inner.events.send(event);
        }
        // The crate overlooks candidates in inactive sections, where a server puts them that has nothing to send yet. Those that it
        // knows are not added again.
        let (streams, written): (Vec<&str>, Vec<&str>) = sdp::candidates(remote).partition(|line| is_tcp(line));
        self.try_tcp_later(streams.into_iter().map(str::to_owned).collect());
        let written = written
            .into_iter()
            .map(|candidate| RTCIceCandidateInit { candidate: candidate.to_owned(), ..RTCIceCandidateInit::default() });
        let early = std::mem::take(&mut *self.inner.early_candidates.lock().await);
        for candidate in written.chain(early) {
            // One that cannot be used leaves the others.
            if let Err(error) = self.inner.connection.add_ice_candidate(candidate).await {
                log::debug!("a candidate is not used: {error}");
            }
        }
        // The driver waits until its next timer otherwise.
        self.inner.plane.wake.wake();
        Ok(())
    }

    /// Takes a candidate of the other side: JSON of an RTCIceCandidateInit. One that comes before the remote description is kept.
    ///
    /// # Errors
    /// [`RtcError::Candidate`], [`RtcError::Closed`].
    pub async fn add_candidate(&self, json: &str) -> Result<(), RtcError> {
        let candidate: RTCIceCandidateInit =
            serde_json::from_str(json).map_err(|error| RtcError::Candidate(error.to_string()))?;
        if candidate.candidate.is_empty() {
            // The end of the candidates says nothing that time does not.
            return Ok(());
        }
        if is_tcp(&candidate.candidate) {
            self.try_tcp_later(vec![candidate.candidate]);
            return Ok(());
        }
        let negotiation = self.inner.negotiation.lock().await;
        if !negotiation.has_remote {
            self.inner.early_candidates.lock().await.push(candidate);
            return Ok(());
        }
        self.inner.connection.add_ice_candidate(candidate).await.map_err(|error| match RtcError::from(error) {
            RtcError::Engine(text) => RtcError::Candidate(text),
            other => other,
        })?;
        self.inner.plane.wake.wake();
        Ok(())
    }

    /// Connects to a server by TCP, unless UDP connects before.
    fn try_tcp_later(&self, candidates: Vec<String>) {
        if candidates.is_empty() || self.inner.plane.is_connected() {
            return;
        }
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            tokio::time::sleep(UDP_TIME).await;
            let Some(inner) = inner.upgrade().filter(|inner| !inner.plane.is_connected()) else { return };
            log::info!("media is tried over TCP: by UDP the server does not answer");
            for candidate in candidates {
                let candidate = RTCIceCandidateInit { candidate, ..RTCIceCandidateInit::default() };
                if let Err(error) = inner.connection.add_ice_candidate(candidate).await {
                    log::debug!("a candidate is not used: {error}");
                }
            }
            inner.plane.wake.wake();
        });
    }

    /// Uses these STUN and TURN servers from the next offer on.
    ///
    /// # Errors
    /// [`RtcError::Closed`], [`RtcError::Engine`].
    pub async fn set_ice_servers(&self, servers: &[IceServer]) -> Result<(), RtcError> {
        let servers = servers.iter().cloned().map(ice_server).collect();
        let configuration = RTCConfigurationBuilder::new().with_ice_servers(servers).build();
        Ok(self.inner.connection.set_configuration(configuration).await?)
    }

    /// Says what the server's clock shows: capture times are told and understood by it.
    pub fn set_server_clock(&self, clock: NtpClock) {
        self.inner.plane.set_server_clock(clock);
    }

    /// Counters of the whole connection.
    pub async fn statistics(&self) -> PeerStatistics {
        let mut statistics = self.inner.plane.statistics();
        if statistics.rtt.is_none() {
            let report = self.inner.connection.get_stats(Instant::now(), StatsSelector::None).await;
            let trips = report.candidate_pairs().filter(|pair| pair.nominated).map(|pair| pair.current_round_trip_time);
            statistics.rtt = trips.filter(|trip| *trip > 0.0).reduce(f64::min).map(Duration::from_secs_f64);
        }
        statistics
    }

    /// Ends the connection: sockets and tasks are gone on return. A second call does nothing.
    pub async fn close(&self) {
        for outlet in self.inner.plane.table().outlets {
            outlet.close();
        }
        if let Err(error) = self.inner.connection.close().await {
            log::debug!("closing a peer connection: {error}");
        }
        self.inner.channels.clear();
        if tokio::time::timeout(CLOSE_TIME, self.inner.tasks.ended()).await.is_err() {
            log::warn!("a peer connection's driver does not end");
        }
    }
}

fn description(error: webrtc::error::Error) -> RtcError {
    match RtcError::from(error) {
        RtcError::Engine(text) => RtcError::Description(text),
        other => other,
    }
}
