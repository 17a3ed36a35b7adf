//! What can go wrong with a peer connection.

use thiserror::Error;

/// A failure of a [`Peer`](super::Peer).
#[derive(Debug, Error)]
pub enum RtcError {
    /// The connection was closed, by us or because its driver ended.
    #[error("the peer connection is closed")]
    Closed,
    /// No address is left to send from: none of the wished interfaces exists.
    #[error("no network interface to use: {0}; check [network] interfaces")]
    NoInterface(String),
    /// A description of the other side cannot be used.
    #[error("the other side's session description cannot be used: {0}")]
    Description(String),
    /// An ICE candidate of the other side is not one.
    #[error("the other side's ICE candidate cannot be used: {0}")]
    Candidate(String),
    /// No sender of this track id.
    #[error("there is no sender for track {0}")]
    UnknownTrack(String),
    /// Data was sent before the channel was open.
    #[error("the data channel is not open")]
    ChannelNotOpen,
    /// Anything else that the WebRTC crate refused.
    #[error("WebRTC: {0}")]
    Engine(String),
}

impl From<webrtc::error::Error> for RtcError {
    fn from(error: webrtc::error::Error) -> Self {
        match error {
            webrtc::error::Error::ErrConnectionClosed => Self::Closed,
            other => Self::Engine(other.to_string()),
        }
    }
}
