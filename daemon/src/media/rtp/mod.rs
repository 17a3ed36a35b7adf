//! How encoded pictures travel in RTP packets.

pub mod h264;
pub mod vp8;

/// The most bytes of one packet's payload: with RTP, SRTP, UDP and IP headers it fits every network's packet of 1280 bytes.
pub const MAX_PAYLOAD: usize = 1200;

/// Why a payload cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// It ends before its headers do.
    #[error("the payload is too short")]
    Truncated,
    /// A kind of packet that was not negotiated.
    #[error("payload structure {0} is not used here")]
    Unsupported(u8),
    /// Fragments do not follow on each other.
    #[error("the fragments do not fit together")]
    Fragments,
}
