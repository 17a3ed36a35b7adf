//! What can go wrong while joining or being in a room.

use thiserror::Error;

use crate::rtc::RtcError;

/// A failure of a session's call.
#[derive(Debug, Error)]
pub enum SignalError {
    /// The server said no. `code` is the number in brackets at the end of its sentence, or 1002033 when it gave none.
    #[error("{message}")]
    Refused {
        /// ZEGO's code, for instance 1002078.
        code: i32,
        /// The server's sentence without the code.
        message: String,
    },
    /// The server's address is not a ws:// or wss:// URL.
    #[error("{0} is not a ws:// or wss:// address")]
    BadAddress(String),
    /// No connection to the server.
    #[error("{server} cannot be reached: {reason}")]
    Unreachable {
        /// The server's URL without its query.
        server: String,
        /// What the network said.
        reason: String,
    },
    /// No server of this LAN could be found, or none of those that were could be reached. The sentence says why, and what to do.
    #[error("{0}")]
    NotFound(String),
    /// The server did not answer in time.
    #[error("no answer in time: {0}")]
    Timeout(&'static str),
    /// The server answered with something that is not the protocol.
    #[error("the server does not speak the protocol: {0}")]
    Protocol(String),
    /// No such stream in the room, or not ours.
    #[error("there is no stream {0}")]
    UnknownStream(String),
    /// The session ended.
    #[error("the session has ended")]
    Ended,
    /// The peer connection failed.
    #[error(transparent)]
    Rtc(#[from] RtcError),
}

/// Why a session ended without our asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The same user joined from elsewhere.
    DuplicateIdentity,
    /// An administrator removed us from the room.
    Removed,
    /// Our own server put us out, for the reason with this code of ZEGO's.
    PutOut(i32),
    /// The room was deleted or closed.
    RoomDeleted,
    /// The server shuts down.
    ServerShutdown,
    /// The server lost our state; a new login may succeed.
    StateMismatch,
    /// The connection was lost and did not come back.
    ConnectionLost(String),
    /// The server refused to take us back. `code` as in [`SignalError::Refused`].
    Refused {
        /// ZEGO's code.
        code: i32,
        /// The server's sentence.
        message: String,
    },
    /// Another reason of the server, in its words.
    Other(String),
}
