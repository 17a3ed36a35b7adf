//! The forwarding unit: every peer connection of the hub, driven by one thread over one UDP port.
//!
//! The signalling tells it by [`Command`]s what to negotiate and which track goes where, it answers by [`Notice`]s.
//! Media and data packets never leave its thread.

pub mod addresses;
mod allocation;
mod arrivals;
mod backlog;
mod bandwidth;
mod bits;
mod burst;
mod channels;
mod codec;
mod commands;
mod counters;
mod data;
mod data_tracks;
mod delivery;
mod dependency_descriptor;
mod driver;
mod dtls;
mod extensions;
mod forward;
mod frame_numbers;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod keyframes;
mod layers;
#[cfg(test)]
mod loopback;
mod loudness;
mod outgoing;
mod packet;
mod peer;
#[cfg(test)]
mod peer_tests;
mod quality;
mod rating;
mod red;
mod reports;
mod sequences;
mod silence;
mod sockets;
mod svc;
mod tcp;
mod timing;
mod tracks;
mod transport_sequence;
mod vp8;
mod vp9;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use crate::limits::Rate;
pub use counters::Counters;
pub use loudness::STEPS as LOUDNESS_STEPS;
pub use quality::{Level, Rating};
pub use sequences::LastSequence;
pub use sockets::SocketError;

/// One participant's connection to the hub, unique for the life of the process.
pub type ParticipantKey = u64;
/// One published track, unique for the life of the process.
pub type TrackKey = u64;
/// One room, unique for the life of the process.
pub type RoomKey = u64;

/// Which of a participant's peer connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one that the client offers: it publishes there, and on `/rtc/v1` it also receives there.
    Publisher,
    /// The one that the hub offers on `/rtc`.
    Subscriber,
}

/// Names a peer connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerId {
    /// Its participant.
    pub participant: ParticipantKey,
    /// Which of the participant's connections.
    pub side: Side,
}

/// What the forwarding unit must know about a participant.
#[derive(Debug, Clone)]
pub struct Member {
    /// Data packets reach the members of the same room.
    pub room: RoomKey,
    /// Identity, written into every packet.
    pub identity: String,
    /// Participant's id, written into every packet.
    pub sid: String,
    /// May send data packets.
    pub may_send_data: bool,
    /// Its client's certificate may have an RSA key: what speaks WHIP or WHEP comes with any WebRTC implementation.
    pub any_certificate: bool,
    /// Its last reliable packet.
    pub last_sequence: LastSequence,
}

/// Kind of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrackKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// What a section of a client's offer is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The client publishes this track on it.
    Publish(TrackKey),
    /// The hub sends this track on it.
    Deliver(TrackKey),
    /// The hub sends nothing on it yet; which track comes is said by [`Command::Exchange`].
    Await,
}

/// How a subscriber shows a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Held back while false: it is not shown.
    pub shown: bool,
    /// Best layer that the subscriber has a use for: 1 to 3.
    pub best: u8,
    /// More important tracks are higher.
    pub priority: u32,
}

impl Default for Wish {
    /// All that there is.
    fn default() -> Wish {
        Wish { shown: true, best: BEST, priority: 0 }
    }
}

/// The best layer of a simulcast; the smallest is 1.
pub const BEST: u8 = 3;

/// A change of the sections that the hub offers (`/rtc` only).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionChange {
    /// A new section for a track.
    Add(TrackKey, TrackKind),
    /// An unused section for a track.
    Reuse(String, TrackKey),
    /// The section falls out of use.
    Stop(String),
}

/// What the signalling asks of the forwarding unit.
#[derive(Debug)]
pub enum Command {
    /// Make a peer connection.
    Open(PeerId, Member),
    /// A client's offer; `uses` names its sections (by `a=mid`) in use, all others are idle. Answered by
    /// [`Notice::Answer`] with the same `id`.
    Offer { peer: PeerId, id: u32, sdp: String, uses: Vec<(String, Use)> },
    /// Make an offer. Answered by [`Notice::Offer`] with the same `id`.
    MakeOffer { peer: PeerId, id: u32, changes: Vec<SectionChange>, ice_restart: bool },
    /// A client's answer to an offer.
    Answer { peer: PeerId, sdp: String },
    /// A client's ICE candidate, the candidate line itself (RFC 8839 section 5.1).
    Candidate(PeerId, String),
    /// What a section carries from now on, without a negotiation: the subscriber sees one stream that goes on.
    Exchange { peer: PeerId, mid: String, track: Option<TrackKey> },
    /// How a subscriber shows a track, without a negotiation.
    Show { peer: PeerId, track: TrackKey, wish: Wish },
    /// Whether the participant may send data packets, when that changes.
    SetMayData(PeerId, bool),
    /// Send a data packet of the hub's own to these participants.
    SendData { to: Vec<ParticipantKey>, reliable: bool, bytes: Vec<u8> },
    /// Where a participant's data track goes: from its handle to others, each with its own handle for it.
    RouteData { from: ParticipantKey, handle: u16, to: Vec<(ParticipantKey, u16)> },
    /// Answer, to show that the thread runs.
    Probe(oneshot::Sender<()>),
    /// Close a peer connection.
    Close(PeerId),
}

/// What the forwarding unit tells the signalling.
#[derive(Debug)]
pub enum Notice {
    /// The answer to a client's offer, or why it cannot be accepted.
    Answer { peer: PeerId, id: u32, sdp: Result<String, String> },
    /// The hub's offer, or why none can be made; `added` are the sections of [`SectionChange::Add`].
    Offer { peer: PeerId, id: u32, sdp: Result<String, String>, added: Vec<(TrackKey, String)> },
    /// The bandwidth towards a subscriber does not carry a track's pictures, or carries them again.
    StreamState { peer: PeerId, track: TrackKey, paused: bool },
    /// A subscriber took no codec in which the track comes.
    Undecodable { peer: PeerId, track: TrackKey },
    /// Tracks of sound that became louder or quieter, in [`LOUDNESS_STEPS`]; 0: nobody speaks.
    Loudness(Vec<(TrackKey, u8)>),
    /// How good a participant's connection is, when that changes and when it is known first.
    Rated(ParticipantKey, Rating),
    /// ICE and DTLS are up.
    Connected(PeerId),
    /// Nothing has been heard from the client's address for a while; it may come back.
    Silent(PeerId),
    /// The peer connection is over.
    Closed(PeerId),
}

/// Where the forwarding unit listens.
#[derive(Debug, Clone)]
pub struct SfuConfig {
    /// Address to bind. Unspecified: one socket for each address of the machine that others can reach, or the loopback
    /// address when there is none.
    pub address: IpAddr,
    /// UDP port.
    pub port: u16,
    /// TCP port for networks without UDP (0: any), if there is to be one.
    pub tcp_port: Option<u16>,
    /// How much data a participant may send: tokens are KiB.
    pub data: Rate,
}

/// The running forwarding unit. Dropping it ends its thread.
#[derive(Debug)]
pub struct Sfu {
    commands: Option<mpsc::Sender<Command>>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

impl Sfu {
    /// Binds the UDP port and starts the thread. Notices go to `notices`.
    pub fn start(config: &SfuConfig, notices: UnboundedSender<Notice>) -> Result<Sfu, SfuError> {
        let sockets = sockets::Sockets::bind(config.address, config.port)?;
        let mut tcp = tcp::TcpSockets::new(config.tcp_port);
        for address in sockets.addresses() {
            tcp.listen(address.ip()).map_err(|(address, source)| SocketError::BindTcp { address, source })?;
        }
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from)?);
        let (commands, received) = mpsc::channel();
        let counters = Arc::new(Counters::default());
        let (waker, counted) = (Arc::clone(&wake), Arc::clone(&counters));
        let driver = driver::Driver::new((sockets, tcp), received, waker, notices, counted, config.data);
        let thread = std::thread::Builder::new().name("sfu".into()).spawn(move || driver.run())?;
        Ok(Sfu { commands: Some(commands), wake, thread: Some(thread), counters })
    }

    /// What its thread counts.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Queues a command; the thread takes it at once.
    pub fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            // The thread only ends when this value is dropped, or by a bug that is reported where it happens.
            let _ = commands.send(command);
        }
        self.wake();
    }

    fn wake(&self) {
        // Full means that the thread is already due to wake up.
        let _ = rustix::io::write(self.wake.as_fd(), &1u64.to_ne_bytes());
    }
}

impl Drop for Sfu {
    fn drop(&mut self) {
        self.commands = None;
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Why the forwarding unit cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SfuError {
    /// The UDP port.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The thread or its wake-up descriptor.
    #[error("cannot start the media thread: {0}")]
    Thread(#[from] io::Error),
}
