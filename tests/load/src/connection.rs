//! One peer connection: a state machine, a UDP socket of its own, and what was said of it before it could be used.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::net::{SendFlags, sendto, sockopt};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, Reliability};
use str0m::media::{Direction, MediaKind, Mid, Pt, Simulcast};
use str0m::net::{DatagramRecv, Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcError};
use tokio::net::UdpSocket;

/// A key frame of each of a full room must fit while the program looks after others.
const RECEIVE_BUFFER: usize = 2 << 20;
/// Largest datagram.
const DATAGRAM: usize = 1_500;
/// Datagrams taken from a socket before something else gets its turn.
const BATCH: usize = 32;
/// Reports to the senders, as browsers make them.
const REPORTS: Duration = Duration::from_secs(1);

/// Datagrams that arrived together.
pub struct Batch {
    bytes: Vec<u8>,
    /// Place in `bytes`, length, and who sent it.
    arrived: Vec<(usize, usize, SocketAddr)>,
    /// When they were taken.
    pub at: Instant,
}

impl Batch {
    /// Room for one.
    pub fn new() -> Batch {
        Batch { bytes: vec![0; DATAGRAM * BATCH], arrived: Vec::with_capacity(BATCH), at: Instant::now() }
    }

    /// Takes what has arrived.
    fn fill(&mut self, socket: &UdpSocket) {
        self.arrived.clear();
        self.at = Instant::now();
        for (place, bytes) in self.bytes.chunks_exact_mut(DATAGRAM).enumerate() {
            match socket.try_recv_from(bytes) {
                Ok((length, source)) => self.arrived.push((place * DATAGRAM, length, source)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP message about an earlier datagram, for example.
                Err(_) => {}
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.arrived.len()
    }
}

/// A peer connection.
pub struct Connection {
    /// Its state machine.
    pub rtc: Rtc,
    /// When that wants to be driven next.
    pub wake_at: Instant,
    /// ICE and DTLS are up.
    pub connected: bool,
    /// Datagrams that the machine did not take.
    pub unsent: u64,
    socket: UdpSocket,
    address: SocketAddr,
    offered: Option<SdpPendingOffer>,
    described: bool,
    early: Vec<Candidate>,
}

impl Connection {
    /// One that sends from `address`, on a port of its own.
    ///
    /// # Errors
    /// The socket's.
    pub fn new(address: IpAddr) -> io::Result<Connection> {
        let socket = std::net::UdpSocket::bind((address, 0))?;
        socket.set_nonblocking(true)?;
        // Beyond the machine's limit only root gets it; then the limit applies.
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        }
        let address = socket.local_addr()?;
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .set_rtcp_report_interval_audio(REPORTS)
            .set_rtcp_report_interval_video(REPORTS)
            .build(Instant::now());
        let candidate = Candidate::host(address, "udp").map_err(io::Error::other)?;
        rtc.add_local_candidate(candidate);
        Ok(Connection {
            rtc,
            wake_at: Instant::now(),
            connected: false,
            unsent: 0,
            socket: UdpSocket::from_std(socket)?,
            address,
            offered: None,
            described: false,
            early: Vec::new(),
        })
    }

    /// Whether an offer waits for its answer.
    pub fn is_offering(&self) -> bool {
        self.offered.is_some()
    }

    /// Whether the other side has described itself.
    pub fn is_answered(&self) -> bool {
        self.described
    }

    /// Offers the sections `add`, with LiveKit's data channels when `channels`. The description and the sections' names, if there is
    /// anything to offer.
    pub fn offer(&mut self, channels: bool, add: &[Section]) -> Option<(String, Vec<Mid>)> {
        let mut api = self.rtc.sdp_api();
        if channels {
            api.add_channel("_reliable".into());
            api.add_channel_with_config(ChannelConfig {
                label: "_lossy".into(),
                ordered: false,
                reliability: Reliability::MaxRetransmits { retransmits: 0 },
                ..Default::default()
            });
        }
        let mids = add.iter().map(|section| section.add(&mut api)).collect();
        let (offer, pending) = api.apply()?;
        self.offered = Some(pending);
        self.wake_at = Instant::now();
        Some((offer.to_sdp_string(), mids))
    }

    /// Takes the answer to the offer that waits.
    ///
    /// # Errors
    /// The description cannot be used.
    pub fn answered(&mut self, sdp: &str) -> Result<(), RtcError> {
        let Some(pending) = self.offered.take() else { return Ok(()) };
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(|error| RtcError::RemoteSdp(error.to_string()))?;
        self.rtc.sdp_api().accept_answer(pending, answer)?;
        self.use_early_candidates();
        Ok(())
    }

    /// Answers the server's offer.
    ///
    /// # Errors
    /// The description cannot be used.
    pub fn answer(&mut self, sdp: &str) -> Result<String, RtcError> {
        let offer = SdpOffer::from_sdp_string(sdp).map_err(|error| RtcError::RemoteSdp(error.to_string()))?;
        let answer = self.rtc.sdp_api().accept_offer(offer)?;
        self.use_early_candidates();
        Ok(answer.to_sdp_string())
    }

    /// One of the server's candidates, its line.
    pub fn candidate(&mut self, line: &str) {
        // Those of a kind that is not spoken here (TCP) are left out.
        let Ok(candidate) = Candidate::from_sdp_string(line) else { return };
        self.wake_at = Instant::now();
        match self.described {
            true => self.rtc.add_remote_candidate(candidate),
            false => self.early.push(candidate),
        }
    }

    fn use_early_candidates(&mut self) {
        self.described = true;
        self.wake_at = Instant::now();
        for candidate in std::mem::take(&mut self.early) {
            self.rtc.add_remote_candidate(candidate);
        }
    }

    /// The payload type of `mid` that both sides know.
    pub fn payload_type(&self, mid: Mid) -> Option<Pt> {
        let known = self.rtc.media(mid)?.remote_pts();
        self.rtc.codec_config().params().iter().map(|params| params.pt()).find(|pt| known.contains(pt))
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// The connection's, which is over then.
    pub fn tick(&mut self, now: Instant) -> Result<(), RtcError> {
        self.rtc.handle_input(Input::Timeout(now))
    }

    /// Sends what is to be sent; the next thing that happened.
    ///
    /// # Errors
    /// The connection's, which is over then.
    pub fn poll(&mut self) -> Result<Option<Event>, RtcError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.wake_at = at;
                    return Ok(None);
                }
                Output::Transmit(out) => {
                    // Not by way of the runtime: that would have to wait once before it knows that there is room.
                    if sendto(&self.socket, &out.contents, SendFlags::empty(), &out.destination).is_err() {
                        self.unsent += 1;
                    }
                }
                Output::Event(Event::Connected) => {
                    self.connected = true;
                    return Ok(Some(Event::Connected));
                }
                Output::Event(event) => return Ok(Some(event)),
            }
        }
    }

    /// Takes datagram `index` of a batch.
    ///
    /// # Errors
    /// The connection's, which is over then.
    pub fn receive(&mut self, batch: &Batch, index: usize) -> Result<(), RtcError> {
        let Some((place, length, source)) = batch.arrived.get(index).copied() else { return Ok(()) };
        let Ok(contents) = DatagramRecv::try_from(&batch.bytes[place..place + length]) else { return Ok(()) };
        let receive = Receive { proto: Protocol::Udp, source, destination: self.address, contents };
        self.rtc.handle_input(Input::Receive(batch.at, receive))
    }
}

/// A section of an offer.
#[derive(Debug, Clone)]
pub enum Section {
    /// For somebody else's track.
    Receive(MediaKind),
    /// For a track of ours: its stream, and the name by which the server knows it.
    Send { kind: MediaKind, stream: String, cid: String, simulcast: Option<Simulcast> },
}

impl Section {
    fn add(&self, api: &mut str0m::change::SdpApi<'_>) -> Mid {
        match self {
            Section::Receive(kind) => api.add_media(*kind, Direction::RecvOnly, None, None, None),
            Section::Send { kind, stream, cid, simulcast } => {
                let (stream, cid) = (Some(stream.clone()), Some(cid.clone()));
                api.add_media(*kind, Direction::SendOnly, stream, cid, simulcast.clone())
            }
        }
    }
}

/// Waits until one of the connections has datagrams; which one.
pub async fn arrival(connections: &[Connection], batch: &mut Batch) -> usize {
    std::future::poll_fn(|context| poll_arrival(connections, batch, context)).await
}

fn poll_arrival(connections: &[Connection], batch: &mut Batch, context: &mut Context<'_>) -> Poll<usize> {
    for (index, connection) in connections.iter().enumerate() {
        while let Poll::Ready(Ok(())) = connection.socket.poll_recv_ready(context) {
            batch.fill(&connection.socket);
            if batch.len() > 0 {
                return Poll::Ready(index);
            }
        }
    }
    Poll::Pending
}
