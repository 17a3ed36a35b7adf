//! The peer connection itself.

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use super::config::NetworkConfig;
use super::error::RtcError;
use super::packet::MediaKind;
use super::receiver::MediaReceiver;
use super::sender::MediaSender;
use super::statistics::PeerStatistics;

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

/// One peer connection. Cheap to clone; everything ends with [`Peer::close`] or with the last clone.
#[derive(Clone)]
pub struct Peer {
    _private: (),
}

impl Peer {
    /// Opens the sockets and starts the connection's driver; nothing is sent yet.
    ///
    /// # Errors
    /// [`RtcError::NoInterface`], or [`RtcError::Engine`] when no socket could be opened.
    pub async fn new(config: &NetworkConfig, events: UnboundedSender<PeerEvent>) -> Result<Self, RtcError> {
        drop((config, events));
        todo!()
    }

    /// Adds receive-only sections to the next offer.
    ///
    /// # Errors
    /// [`RtcError::Closed`].
    pub async fn add_receivers(&self, audio: usize, video: usize) -> Result<(), RtcError> {
        let _ = (audio, video);
        todo!()
    }

    /// Adds a track that we send to the next offer. `stream_id` and `track_id` become its `a=msid`; in LiveKit `track_id` is the cid.
    ///
    /// # Errors
    /// [`RtcError::Closed`].
    pub async fn add_sender(&self, kind: MediaKind, stream_id: &str, track_id: &str) -> Result<MediaSender, RtcError> {
        let _ = (kind, stream_id, track_id);
        todo!()
    }

    /// Stops a track; its section is inactive in the next offer and used again by the next sender.
    ///
    /// # Errors
    /// [`RtcError::UnknownTrack`], [`RtcError::Closed`].
    pub async fn remove_sender(&self, track_id: &str) -> Result<(), RtcError> {
        let _ = track_id;
        todo!()
    }

    /// Adds the data channels `_reliable` (ordered) and `_lossy` (unordered, no retransmissions) to the next offer.
    ///
    /// # Errors
    /// [`RtcError::Closed`].
    pub async fn open_data_channels(&self) -> Result<(), RtcError> {
        todo!()
    }

    /// Sends one message, waiting until the channel is open and has room.
    ///
    /// # Errors
    /// [`RtcError::ChannelNotOpen`] when no channel was opened, [`RtcError::Closed`].
    pub async fn send_data(&self, reliable: bool, bytes: Bytes) -> Result<(), RtcError> {
        drop((reliable, bytes));
        todo!()
    }

    /// Makes an offer and sets it as the local description.
    ///
    /// # Errors
    /// [`RtcError::Closed`], [`RtcError::Engine`].
    pub async fn create_offer(&self, ice_restart: bool) -> Result<String, RtcError> {
        let _ = ice_restart;
        todo!()
    }

    /// Takes the answer to our newest offer.
    ///
    /// # Errors
    /// [`RtcError::Description`], [`RtcError::Closed`].
    pub async fn accept_answer(&self, sdp: &str) -> Result<(), RtcError> {
        let _ = sdp;
        todo!()
    }

    /// Takes an offer, sets and returns our answer.
    ///
    /// # Errors
    /// [`RtcError::Description`], [`RtcError::Closed`].
    pub async fn accept_offer(&self, sdp: &str) -> Result<String, RtcError> {
        let _ = sdp;
        todo!()
    }

    /// Takes a candidate of the other side: JSON of an RTCIceCandidateInit. One that comes before the remote description is kept.
    ///
    /// # Errors
    /// [`RtcError::Candidate`], [`RtcError::Closed`].
    pub async fn add_candidate(&self, json: &str) -> Result<(), RtcError> {
        let _ = json;
        todo!()
    }

    /// Counters of the whole connection.
    pub async fn statistics(&self) -> PeerStatistics {
        todo!()
    }

    /// Ends the connection: sockets and tasks are gone on return. A second call does nothing.
    pub async fn close(&self) {
        todo!()
    }
}
