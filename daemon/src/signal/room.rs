//! Who is in a room and what they publish, in the engine's words. No sockets, no clock: messages in, changes out.

/// A participant other than us.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct User {
    /// ZEGO's user id, LiveKit's identity.
    pub id: String,
    /// ZEGO's user name, LiveKit's name; the id when the name is empty.
    pub name: String,
}

/// A stream of somebody else: at most one audio and one video track with the same stream id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteStream {
    /// ZEGO's stream id.
    pub stream_id: String,
    /// Who publishes it.
    pub user: User,
    /// The text that the publisher attached to the stream.
    pub extra_info: String,
    /// An audio track is published.
    pub has_audio: bool,
    /// A video track is published.
    pub has_video: bool,
    /// The publisher muted the audio track.
    pub audio_muted: bool,
    /// The publisher muted the video track.
    pub video_muted: bool,
    /// Width and height of the video in pixels as the publisher announced them, 0 if unknown.
    pub size: (u32, u32),
}
