//! A small LiveKit client: a real WebSocket, a real peer connection, made-up media.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::{SinkExt as _, StreamExt as _};
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use str0m::bwe::Bitrate;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, MediaKind, Mid, Pt, Rid, Simulcast, SimulcastLayer};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig};
use tokio::net::{TcpStream, UdpSocket};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::Hub;

/// A peer connection with a socket of its own.
struct Peer {
    rtc: Rtc,
    socket: UdpSocket,
    address: SocketAddr,
    pending: Option<SdpPendingOffer>,
    wake_at: Instant,
}

impl Peer {
    async fn new(config: RtcConfig) -> Peer {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("bound");
        let reports = Duration::from_millis(500);
        let mut rtc = config
            .set_rtp_mode(true)
            .set_rtcp_report_interval_audio(reports)
            .set_rtcp_report_interval_video(reports)
            .build(Instant::now());
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a candidate"));
        Peer { rtc, socket, address, pending: None, wake_at: Instant::now() }
    }
}

/// A client of the hub.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The first is the publisher's (and with one connection the only one).
    peers: Vec<Peer>,
    one: bool,
    /// Messages that nobody asked for yet.
    pub heard: VecDeque<Response>,
    /// Media, with the time of arrival.
    pub packets: Vec<(Instant, Mid, RtpPacket)>,
    /// Data packets, with whether they came on the reliable channel.
    pub data: Vec<(bool, proto::DataPacket)>,
    /// Key frames that were asked of it.
    pub key_frame_requests: usize,
    /// The publisher's connection is up.
    pub connected: bool,
    channels: Vec<(ChannelId, String)>,
    /// Sections to add once no offer is open: sound, pictures.
    needed: (u32, u32),
    /// Of 1000 media datagrams, in each direction, so many are lost.
    pub loss: u32,
    random: u32,
    /// Media datagrams that were lost on purpose.
    pub lost: usize,
}

impl Client {
    /// Joins on `/rtc/v1` (`one`) or `/rtc`. `auto` subscribes to everything.
    pub async fn join(hub: &Hub, token: &str, one: bool, auto: bool) -> Client {
        Client::join_speaking(17, hub, token, one, auto).await
    }

    /// The same, with this version of LiveKit's protocol.
    pub async fn join_speaking(protocol: i32, hub: &Hub, token: &str, one: bool, auto: bool) -> Client {
        Client::enter(Peer::new(Rtc::builder()).await, protocol, hub, token, one, auto).await
    }

    /// Joins on `/rtc/v1`, subscribes to everything and knows no transport-wide congestion control: it tells its bandwidth itself.
    pub async fn join_without_twcc(hub: &Hub, token: &str) -> Client {
        let config = Rtc::builder().clear_extension_map().set_extension(4, Extension::RtpMid);
        Client::enter(Peer::new(config).await, 17, hub, token, true, true).await
    }

    async fn enter(mut peer: Peer, protocol: i32, hub: &Hub, token: &str, one: bool, auto: bool) -> Client {
        let mut api = peer.rtc.sdp_api();
        api.add_channel("_reliable".into());
        api.add_channel_with_config(ChannelConfig {
            label: "_lossy".into(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            ..Default::default()
        });
        let (offer, pending) = api.apply().expect("an offer");
        peer.pending = Some(pending);
        let description = describe("offer", offer.to_sdp_string(), 0);
        let query = if one {
            let join = proto::JoinRequest {
                client_info: Some(proto::ClientInfo { protocol, ..Default::default() }),
                connection_settings: Some(proto::ConnectionSettings { auto_subscribe: auto, ..Default::default() }),
                publisher_offer: Some(description.clone()),
                ..Default::default()
            };
            let wrapped = proto::WrappedJoinRequest { compression: 0, join_request: join.encode_to_vec() };
            format!("/rtc/v1?join_request={}", super::escape(&URL_SAFE.encode(wrapped.encode_to_vec())))
        } else {
            format!("/rtc?protocol={protocol}&auto_subscribe={}", u8::from(auto))
        };
        let url = format!("ws://{}{query}&access_token={}", hub.address, super::escape(token));
        let (socket, _) = connect_async(url).await.expect("let in");
        let mut client = Client {
            socket,
            peers: vec![peer],
            one,
            heard: VecDeque::new(),
            packets: Vec::new(),
            data: Vec::new(),
            key_frame_requests: 0,
            connected: false,
            channels: Vec::new(),
            needed: (0, 0),
            loss: 0,
            random: 12345,
            lost: 0,
        };
        if !one {
            client.send(Request::Offer(description)).await;
        }
        client
    }

    /// Sends a request.
    pub async fn send(&mut self, request: Request) {
        let request = proto::SignalRequest { message: Some(request) };
        self.socket.send(Frame::Binary(request.encode_to_vec().into())).await.expect("sent");
    }

    /// Announces and offers a track; returns its section once it is negotiated.
    pub async fn publish(&mut self, kind: MediaKind, cid: &str, stream: &str) -> Mid {
        self.publish_layers(kind, cid, stream, &[]).await
    }

    /// Likewise, in several encodings with these names (rids), the smallest first; or in one, when there are none.
    pub async fn publish_layers(&mut self, kind: MediaKind, cid: &str, stream: &str, rids: &[&str]) -> Mid {
        let r#type = if kind == MediaKind::Audio { proto::TrackType::Audio } else { proto::TrackType::Video };
        let layer = |quality| proto::VideoLayer { quality, ..Default::default() };
        self.send(Request::AddTrack(proto::AddTrackRequest {
            cid: cid.into(),
            name: stream.into(),
            stream: stream.into(),
            r#type: r#type as i32,
            layers: (0..).take(rids.len()).map(layer).collect(),
            ..Default::default()
        }))
        .await;
        let send: Vec<_> = rids.iter().map(|rid| SimulcastLayer::new(rid)).collect();
        let simulcast = (!send.is_empty()).then_some(Simulcast { send, recv: Vec::new() });
        let mut api = self.peers[0].rtc.sdp_api();
        let mid = api.add_media(kind, Direction::SendOnly, Some(stream.into()), Some(cid.into()), simulcast);
        let (offer, pending) = api.apply().expect("an offer");
        self.peers[0].pending = Some(pending);
        self.send(Request::Offer(describe("offer", offer.to_sdp_string(), 1))).await;
        self.until("the answer", |client| client.peers[0].pending.is_none().then_some(())).await;
        mid
    }

    /// Sends one RTP packet of a published section.
    pub fn write(&mut self, mid: Mid, sequence: u64, timestamp: u32, made_at: Instant, payload: &[u8]) {
        self.write_layer(mid, None, sequence, timestamp, made_at, payload);
    }

    /// Likewise, of one of its encodings.
    pub fn write_layer(
        &mut self,
        mid: Mid,
        rid: Option<&str>,
        sequence: u64,
        timestamp: u32,
        made_at: Instant,
        payload: &[u8],
    ) {
        let rtc = &mut self.peers[0].rtc;
        let pt = self::payload_type(rtc, mid);
        let mut api = rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, rid.map(Rid::from)).expect("a published section");
        stream.write_rtp(RtpWrite::new(pt, sequence.into(), timestamp, made_at, payload).marker(true).nackable(true));
        rtc.handle_input(Input::Timeout(Instant::now())).expect("time passes");
    }

    /// Sends 20 ms of sound of a published section: its level is in -dBov.
    pub fn write_sound(&mut self, mid: Mid, number: u32, level: i8) {
        let rtc = &mut self.peers[0].rtc;
        let pt = self::payload_type(rtc, mid);
        let mut api = rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None).expect("a published section");
        let level = ExtensionValues { audio_level: Some(-level), voice_activity: Some(true), ..Default::default() };
        let now = Instant::now();
        stream.write_rtp(
            RtpWrite::new(pt, u64::from(number).into(), number * 960, now, [1, 2, 3].as_slice()).ext_vals(level),
        );
        rtc.handle_input(Input::Timeout(now)).expect("time passes");
    }

    /// Tells the sender of what it received last how much it may send (REMB), in bit/s.
    pub fn tell_bandwidth(&mut self, bit_rate: u64) {
        let ssrc = self.packets.last().expect("something was received").2.header.ssrc;
        let rtc = &mut self.peers[0].rtc;
        rtc.direct_api().stream_rx(&ssrc).expect("a known stream").request_remb(Bitrate::from(bit_rate));
        rtc.handle_input(Input::Timeout(Instant::now())).expect("time passes");
    }

    /// Sends a data packet.
    pub fn write_data(&mut self, label: &str, packet: &proto::DataPacket) {
        let channel = self.channels.iter().find(|(_, l)| l == label).expect("the channel is open").0;
        let mut channel = self.peers[0].rtc.channel(channel).expect("the channel is open");
        assert!(channel.write(true, &packet.encode_to_vec()).expect("open"));
    }

    /// Lives until `done` gives something; fails the test when that takes longer than ten seconds.
    pub async fn until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Client) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            self.drain().await;
            if let Some(result) = done(self) {
                return result;
            }
            assert!(Instant::now() < deadline, "{what} did not come; heard {:?}", self.heard);
            self.step(deadline).await;
        }
    }

    /// Lives for a while.
    pub async fn live(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.drain().await;
            self.step(end).await;
        }
    }

    /// The next message that `wanted` recognises; others are kept.
    pub async fn hear<T>(&mut self, what: &str, mut wanted: impl FnMut(&Response) -> Option<T>) -> T {
        self.until(what, |client| {
            let found = client.heard.iter().enumerate().find_map(|(n, message)| Some((n, wanted(message)?)));
            let (index, result) = found?;
            client.heard.remove(index);
            Some(result)
        })
        .await
    }

    async fn drain(&mut self) {
        for index in 0..self.peers.len() {
            loop {
                match self.peers[index].rtc.poll_output().expect("the peer lives") {
                    Output::Timeout(at) => {
                        self.peers[index].wake_at = at;
                        break;
                    }
                    Output::Transmit(t) => {
                        if !self.loses(&t.contents) {
                            let _ = self.peers[index].socket.send_to(&t.contents, t.destination).await;
                        }
                    }
                    Output::Event(event) => self.event(index, event),
                }
            }
        }
    }

    fn event(&mut self, index: usize, event: Event) {
        match event {
            Event::RtpPacket(packet) => {
                let ssrc = packet.header.ssrc;
                let mid = self.peers[index].rtc.direct_api().stream_rx(&ssrc).expect("a known stream").mid();
                self.packets.push((Instant::now(), mid, packet));
            }
            Event::KeyframeRequest(_) => self.key_frame_requests += 1,
            Event::Connected if index == 0 => self.connected = true,
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => self.connected = false,
            Event::ChannelOpen(id, label) => self.channels.push((id, label)),
            Event::ChannelData(message) => {
                let reliable = self.channels.iter().any(|(id, label)| *id == message.id && label == "_reliable");
                let packet = proto::DataPacket::decode(message.data.as_slice()).expect("a data packet");
                self.data.push((reliable, packet));
            }
            _ => {}
        }
    }

    /// Whether all channels are open.
    pub fn has_channels(&self) -> bool {
        self.channels.len() == 2
    }

    async fn step(&mut self, end: Instant) {
        let wake_at = self.peers.iter().map(|p| p.wake_at).min().expect("a peer").min(end);
        let mut buffers = [[0u8; 2000]; 2];
        let (first, second) = buffers.split_at_mut(1);
        let second_peer = async {
            match self.peers.get(1) {
                Some(peer) => peer.socket.recv_from(&mut second[0]).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            frame = self.socket.next() => self.frame(frame).await,
            Ok((length, from)) = self.peers[0].socket.recv_from(&mut first[0]) => self.datagram(0, &first[0][..length], from),
            Ok((length, from)) = second_peer => self.datagram(1, &second[0][..length], from),
            () = tokio::time::sleep_until(wake_at.into()) => {}
        }
        let now = Instant::now();
        for peer in self.peers.iter_mut().filter(|p| p.wake_at <= now) {
            peer.rtc.handle_input(Input::Timeout(now)).expect("time passes");
        }
    }

    fn datagram(&mut self, index: usize, bytes: &[u8], source: SocketAddr) {
        if self.loses(bytes) {
            return;
        }
        let peer = &mut self.peers[index];
        let contents = bytes.try_into().expect("a datagram");
        let receive = Receive { proto: Protocol::Udp, source, destination: peer.address, contents };
        peer.rtc.handle_input(Input::Receive(Instant::now(), receive)).expect("received");
    }

    /// Loses media (RTP, RFC 7983 section 7), never the handshake.
    fn loses(&mut self, bytes: &[u8]) -> bool {
        let is_rtp = bytes.first().is_some_and(|b| (128..192).contains(b))
            && !bytes.get(1).is_some_and(|b| (192..224).contains(b));
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let lost = is_rtp && (self.random >> 8) % 1000 < self.loss;
        self.lost += usize::from(lost);
        lost
    }

    async fn frame(&mut self, frame: Option<Result<Frame, tokio_tungstenite::tungstenite::Error>>) {
        let Some(Ok(Frame::Binary(bytes))) = frame else {
            // Closed: nothing more will come, and asking again would not wait.
            tokio::time::sleep(Duration::from_millis(5)).await;
            return;
        };
        let response = proto::SignalResponse::decode(bytes.as_ref()).expect("a response");
        let Some(message) = response.message else { return };
        match &message {
            Response::Answer(answer) => {
                let pending = self.peers[0].pending.take().expect("an offer is open");
                let answer = SdpAnswer::from_sdp_string(&answer.sdp).expect("an answer");
                self.peers[0].rtc.sdp_api().accept_answer(pending, answer).expect("accepted");
            }
            Response::MediaSectionsRequirement(needed) => {
                self.needed = (self.needed.0 + needed.num_audios, self.needed.1 + needed.num_videos);
            }
            Response::Offer(offer) => self.answer(offer).await,
            _ => {}
        }
        self.heard.push_back(message);
        if self.peers[0].pending.is_none() && self.needed != (0, 0) {
            self.add_sections().await;
        }
    }

    async fn add_sections(&mut self) {
        assert!(self.one);
        let needed = std::mem::take(&mut self.needed);
        let mut api = self.peers[0].rtc.sdp_api();
        for (kind, count) in [(MediaKind::Audio, needed.0), (MediaKind::Video, needed.1)] {
            for _ in 0..count {
                api.add_media(kind, Direction::RecvOnly, None, None, None);
            }
        }
        let (offer, pending) = api.apply().expect("sections are missing");
        self.peers[0].pending = Some(pending);
        self.send(Request::Offer(describe("offer", offer.to_sdp_string(), 2))).await;
    }

    async fn answer(&mut self, offer: &proto::SessionDescription) {
        assert!(!self.one, "with one connection the hub never offers");
        if self.peers.len() == 1 {
            self.peers.push(Peer::new(Rtc::builder()).await);
        }
        let sdp = SdpOffer::from_sdp_string(&offer.sdp).expect("an offer");
        let answer = self.peers[1].rtc.sdp_api().accept_offer(sdp).expect("accepted");
        self.send(Request::Answer(describe("answer", answer.to_sdp_string(), offer.id))).await;
    }
}

fn payload_type(rtc: &Rtc, mid: Mid) -> Pt {
    let media = rtc.media(mid).expect("a section");
    *media.remote_pts().first().expect("a format")
}

fn describe(kind: &str, sdp: String, id: u32) -> proto::SessionDescription {
    proto::SessionDescription { r#type: kind.into(), sdp, id, ..Default::default() }
}
