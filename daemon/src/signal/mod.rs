//! How a room is joined: turns the wire's messages into the engine's words.

mod device_state;
mod error;
mod extra_info;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod livekit;
pub mod room;
mod sentence;
mod transport;
mod whip;

pub use device_state::seen as seen_device_state;
pub use error::{DisconnectReason, SignalError};
pub use extra_info::RoomExtraInfo;
#[cfg(any(test, fuzzing))]
pub use livekit::fuzzing::data_packets;
pub use livekit::{
    DataMessage, JoinOptions, Joined, LayerWish, Membership, Publication, PublishRequest, Search, Session,
    SessionEvent, Told,
};
pub use room::{RemoteStream, User};
pub use transport::{Trust, install};
#[cfg(any(test, fuzzing))]
pub use whip::fuzzing::endpoint_answer;
pub use whip::{Direction, End, EndpointEvent, EndpointOptions, Lessons, endpoint_url};
