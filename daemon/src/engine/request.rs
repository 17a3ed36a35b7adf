//! What is asked of the engine.

use std::os::fd::OwnedFd;

use super::event::RemoteStream;
use crate::audio::Channels;

/// CreateEngine. What is not given is the configuration's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The AppID.
    pub app_id: Option<u32>,
    /// A ZegoScenario number.
    pub scenario: Option<i32>,
    /// 0 = one room at a time, 1 = several.
    pub room_mode: Option<i32>,
}

/// LoginRoom.
#[derive(Clone, Default)]
pub struct Login {
    /// The room.
    pub room_id: String,
    /// Who we are in it.
    pub user_id: String,
    /// Our name; empty = the user id.
    pub user_name: String,
    /// The key to the room.
    pub token: String,
    /// URL of the server; empty = the configuration's.
    pub server: String,
    /// Tell who comes and goes.
    pub user_notices: bool,
    /// Most people in the room, 0 = no limit. Only a server can keep to it.
    pub max_members: u32,
    /// Return when the outcome is known, not at once.
    pub wait: bool,
}

/// A WHIP or WHEP endpoint, in the place of a room.
#[derive(Clone, Default)]
pub struct Endpoint {
    /// An http:// or https:// URL.
    pub url: String,
    /// Shown to it; empty = none.
    pub token: String,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

/// StartPublishing.
#[derive(Clone, Debug, Default)]
pub struct Publish {
    /// The stream.
    pub stream_id: String,
    /// The room; empty = the only one.
    pub room_id: String,
    /// The channel, 0 to 3.
    pub channel: i32,
    /// Send sound: yes, no, or if there is a microphone.
    pub audio: Option<bool>,
    /// Send pictures: yes, no, or if there is a camera.
    pub video: Option<bool>,
    /// A text for everybody in the room.
    pub extra_info: String,
    /// Where to, if not to a room.
    pub endpoint: Option<Endpoint>,
}

/// Where and how pictures are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct CanvasRequest {
    /// The view, if there is one.
    pub view: Option<u64>,
    /// How the picture fits in (ZegoViewMode).
    pub mode: i32,
    /// 0xRRGGBB.
    pub background: u32,
    /// Left and right change places; not given: only in a preview.
    pub mirror: Option<bool>,
}

/// StartPlaying.
#[derive(Clone, Debug, Default)]
pub struct Play {
    /// The stream.
    pub stream_id: String,
    /// The room; empty = the only one.
    pub room_id: String,
    /// Where its pictures go; without a view only sound is played, unless `video` says otherwise.
    pub canvas: CanvasRequest,
    /// Receive sound.
    pub audio: Option<bool>,
    /// Receive pictures.
    pub video: Option<bool>,
    /// Where from, if not from a room.
    pub endpoint: Option<Endpoint>,
}

/// CreatePlatformView.
#[derive(Debug)]
pub enum PlatformTarget {
    /// Counts pictures.
    Null,
    /// Y4M to a descriptor.
    Pipe(OwnedFd),
}

/// StartRecording.
#[derive(Debug)]
pub struct Record {
    /// The stream; empty = the captured one.
    pub stream_id: String,
    /// Where to.
    pub descriptor: OwnedFd,
    /// Record sound.
    pub audio: bool,
    /// Record pictures.
    pub video: bool,
}

/// SetVideoConfig; what is not given stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoChoice {
    /// The values come from a preset: while the camera runs, its capture size is left out, not refused.
    pub preset: bool,
    /// Width that the camera is asked for.
    pub capture_width: Option<u32>,
    /// Height that the camera is asked for.
    pub capture_height: Option<u32>,
    /// Encoded width.
    pub encode_width: Option<u32>,
    /// Encoded height.
    pub encode_height: Option<u32>,
    /// Pictures per second.
    pub fps: Option<u32>,
    /// kbit/s.
    pub bitrate: Option<u32>,
    /// Seconds.
    pub key_frame_interval: Option<u32>,
}

/// SetAudioConfig; what is not given stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioChoice {
    /// kbit/s.
    pub bitrate: Option<u32>,
    /// Mono or stereo.
    pub channels: Option<Channels>,
}

/// The three kinds of text message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Reliable, to everybody else.
    Broadcast,
    /// May be lost, to everybody else.
    Barrage,
    /// Reliable, to some or everybody else.
    Command,
}

/// GetRoomStreamList: a stream of ours looks like one of somebody else's.
#[derive(Clone, Debug, Default)]
pub struct StreamLists {
    /// What we publish.
    pub published: Vec<RemoteStream>,
    /// What others publish.
    pub others: Vec<RemoteStream>,
}
