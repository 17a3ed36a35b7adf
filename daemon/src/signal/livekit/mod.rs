//! Rooms by LiveKit's protocol.

use tokio::sync::mpsc::UnboundedSender;

use super::error::{DisconnectReason, SignalError};
use super::room::{RemoteStream, User};
use crate::rtc::{MediaKind, MediaReceiver, MediaSender, NetworkConfig, PeerStatistics};

/// What is needed to join a room.
#[derive(Clone)]
pub struct JoinOptions {
    /// ws:// or wss:// URL of the server.
    pub server: String,
    /// token04 (hub only) or JWT.
    pub token: String,
    /// ZEGO's room id, LiveKit's room name.
    pub room_id: String,
    /// ZEGO's user id, LiveKit's identity.
    pub user_id: String,
    /// ZEGO's user name, LiveKit's name.
    pub user_name: String,
    /// ICE servers and interfaces; the server's own ICE servers are added.
    pub network: NetworkConfig,
}

/// What was found in the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The server's id of the room, different every time the room is made.
    pub room_sid: String,
    /// Everybody else.
    pub users: Vec<User>,
    /// What they publish.
    pub streams: Vec<RemoteStream>,
}

/// What to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishRequest {
    /// ZEGO's stream id.
    pub stream_id: String,
    /// Publish an audio track.
    pub audio: bool,
    /// Publish a video track of this width and height.
    pub video: Option<(u32, u32)>,
    /// Text for everybody in the room, empty = none.
    pub extra_info: String,
}

/// Where the media of a published stream goes.
#[derive(Clone)]
pub struct Publication {
    /// The audio track, when one was wished.
    pub audio: Option<MediaSender>,
    /// The video track, when one was wished.
    pub video: Option<MediaSender>,
}

/// News of a session. In order: a stream is announced after its user and removed before it.
pub enum SessionEvent {
    /// Somebody came.
    UserJoined(User),
    /// Somebody went; the streams were removed before.
    UserLeft(User),
    /// A stream appeared with its first track.
    StreamAdded(RemoteStream),
    /// A track came or went, a mute or the extra info changed.
    StreamChanged(RemoteStream),
    /// The last track of a stream went.
    StreamRemoved(RemoteStream),
    /// Media of a subscribed stream can arrive.
    Media {
        /// ZEGO's stream id.
        stream_id: String,
        /// Takes the packets.
        receiver: MediaReceiver,
    },
    /// No more media of this kind comes for the stream.
    MediaEnded {
        /// ZEGO's stream id.
        stream_id: String,
        /// Sound or picture.
        kind: MediaKind,
    },
    /// A data message of a participant.
    Data {
        /// Who sent it; id and name are empty for the server itself.
        from: User,
        /// The message's topic.
        topic: String,
        /// The message.
        payload: Vec<u8>,
        /// Sent reliably.
        reliable: bool,
    },
    /// The connection was lost; it is being taken up again.
    Reconnecting,
    /// The connection is back, media goes on.
    Reconnected,
    /// The session has ended, and not because [`Session::leave`] was called; nothing follows.
    Disconnected(DisconnectReason),
}

/// One room that we are in. Cheap to clone; a task of its own does the work and ends with [`Session::leave`], with a
/// `Disconnected`, or with the last clone.
#[derive(Clone)]
pub struct Session {
    _private: (),
}

impl Session {
    /// Joins a room: returns when the server has taken us in. The peer connection comes up behind it.
    ///
    /// # Errors
    /// [`SignalError::Refused`], [`SignalError::Unreachable`], [`SignalError::Timeout`], [`SignalError::BadAddress`].
    pub async fn join(
        options: JoinOptions,
        events: UnboundedSender<SessionEvent>,
    ) -> Result<(Self, Joined), SignalError> {
        drop((options, events));
        todo!()
    }

    /// Publishes a stream; its senders become ready when the connection is.
    ///
    /// # Errors
    /// [`SignalError::Refused`] (for instance 1003028: the stream id is taken), [`SignalError::Timeout`], [`SignalError::Ended`].
    pub async fn publish(&self, request: PublishRequest) -> Result<Publication, SignalError> {
        drop(request);
        todo!()
    }

    /// Stops publishing a stream.
    ///
    /// # Errors
    /// [`SignalError::UnknownStream`], [`SignalError::Ended`].
    pub async fn unpublish(&self, stream_id: &str) -> Result<(), SignalError> {
        let _ = stream_id;
        todo!()
    }

    /// Tells the others that a track of ours is muted, or not any more. The media itself is stopped by whoever sends it.
    pub async fn mute(&self, stream_id: &str, kind: MediaKind, muted: bool) {
        let _ = (stream_id, kind, muted);
        todo!()
    }

    /// Asks for the media of a stream; it arrives as [`SessionEvent::Media`], also for a track of the stream that appears later.
    ///
    /// # Errors
    /// [`SignalError::UnknownStream`], [`SignalError::Ended`].
    pub async fn subscribe(&self, stream_id: &str, audio: bool, video: bool) -> Result<(), SignalError> {
        let _ = (stream_id, audio, video);
        todo!()
    }

    /// Gives a stream's media up.
    pub async fn unsubscribe(&self, stream_id: &str) {
        let _ = stream_id;
        todo!()
    }

    /// Sends a data message; `to` empty = everybody else.
    ///
    /// # Errors
    /// [`SignalError::Ended`], [`SignalError::Rtc`].
    pub async fn send_data(
        &self,
        topic: &str,
        payload: Vec<u8>,
        reliable: bool,
        to: Vec<String>,
    ) -> Result<(), SignalError> {
        drop((topic, payload, reliable, to));
        todo!()
    }

    /// Counters of the peer connection.
    pub async fn statistics(&self) -> PeerStatistics {
        todo!()
    }

    /// Leaves the room: the server is told, sockets and tasks are gone on return. No event follows.
    pub async fn leave(&self) {
        todo!()
    }
}
