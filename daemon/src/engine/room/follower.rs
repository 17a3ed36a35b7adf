//! Those who publish or play in a room, and what they hear of it.

use crate::engine::event::RemoteStream;
use crate::rtc::{MediaKind, MediaReceiver};
use crate::signal::Session;

/// What a room tells a follower.
pub(in crate::engine) enum RoomNews {
    /// The first thing a follower hears: how the room is now.
    Now {
        /// The session, when we are in the room.
        session: Option<Session>,
        /// The followed stream, when somebody publishes it.
        stream: Option<RemoteStream>,
    },
    /// A new session: whatever ran on an earlier one is gone.
    Up(Session),
    /// The link broke; the session tries to get it back.
    Interrupted,
    /// The link is back, and what ran on it goes on.
    Resumed,
    /// The session is gone; another one may come.
    Down,
    /// We are out of the room, with this code (0 = logged out).
    Gone {
        /// The code.
        code: i32,
        /// Its sentence, or empty.
        message: String,
    },
    /// The followed stream is there, or is different.
    Stream(RemoteStream),
    /// The followed stream went.
    StreamGone,
    /// Media of the followed stream can arrive.
    Media(MediaReceiver),
    /// No more media of this kind comes.
    MediaEnded(MediaKind),
}

/// Somebody who follows a room.
pub(in crate::engine) struct Follower {
    /// Number of the follower, by which it leaves again.
    pub(in crate::engine) id: u64,
    /// The stream of somebody else that it cares for, if there is one.
    pub(in crate::engine) stream_id: Option<String>,
    /// Takes the news; never blocks.
    pub(in crate::engine) tell: Box<dyn Fn(RoomNews) + Send>,
}
