//! One peer connection: the `webrtc` crate with our interceptors and statistics.
//!
//! [`Peer`] negotiates; [`MediaSender`] and [`MediaReceiver`] carry RTP between it and plain threads, without an
//! async hop per packet. Lost packets are asked for again, retransmissions unwrapped and duplicates dropped below
//! this interface: whoever attaches an [`RtpSink`] sees every packet of the media at most once, in order of arrival.

mod arrival_feedback;
mod arrivals;
mod capture_time;
mod codecs;
mod config;
mod data;
mod error;
mod exchange;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handshake;
mod handshake_budget;
mod incoming;
mod interfaces;
mod link_local;
mod negotiation;
mod ntp;
mod outgoing;
mod pacing;
mod packet;
mod peer;
mod plane;
mod receiver;
mod reports;
mod resend;
mod runtime;
mod sdp;
mod sender;
mod socket;
mod statistics;
mod stereo;
mod tcp;

pub use config::{IceServer, NetworkConfig};
pub use error::RtcError;
pub use ntp::NtpClock;
pub use packet::{IncomingRtp, MediaKind, Mime, NegotiatedCodec, OutgoingRtp, RtpSink, SendOutcome};
pub use peer::{Peer, PeerEvent, PeerState};
pub use receiver::MediaReceiver;
pub use sender::{FeedbackHandler, MediaSender, SenderFeedback};
pub use statistics::{PeerStatistics, ReceiverStatistics, SenderReport, SenderStatistics};
