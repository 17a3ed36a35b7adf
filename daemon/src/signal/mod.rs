//! How a room is joined: turns the wire's messages into the engine's words.

mod error;
mod livekit;
pub mod room;

pub use error::{DisconnectReason, SignalError};
pub use livekit::{JoinOptions, Joined, Publication, PublishRequest, Session, SessionEvent};
pub use room::{RemoteStream, User};
