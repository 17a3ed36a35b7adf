//! The news of the engine, in the words of the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zego_protocol::state::{
    NetworkMode, StreamDeleteReason, ZegoDataRecordState, ZegoPlayerMediaEvent, ZegoPlayerState, ZegoPublisherState,
    ZegoRemoteDeviceState, ZegoRoomState, ZegoRoomStateChangedReason, ZegoUpdateType,
};

use super::error::EngineError;
use crate::devices::registry::DeviceInfo;
use crate::media;
pub use crate::signal::{RemoteStream, RoomExtraInfo, User};

/// Something came, changed or went; objects are known by a number that is never used twice.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<T> {
    /// It is new.
    Added(T),
    /// It is different.
    Changed(T),
    /// It is gone; this was its number.
    Removed(u64),
}

/// The engine itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineInfo {
    /// Between CreateEngine and DestroyEngine.
    pub created: bool,
    /// The AppID, 0 = none.
    pub app_id: u32,
    /// MuteMicrophone.
    pub microphone_muted: bool,
    /// MuteSpeaker.
    pub speaker_muted: bool,
    /// A telephone call holds the audio devices.
    pub call_active: bool,
}

/// A room that is logged in, or being logged in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    /// Number of the object.
    pub number: u64,
    /// ZEGO's room id.
    pub room_id: String,
    /// Who we are in it.
    pub user: User,
    /// State.
    pub state: ZegoRoomState,
    /// Why it has that state.
    pub reason: ZegoRoomStateChangedReason,
    /// The code that came with the reason, 0 = none.
    pub code: i32,
    /// The others who let themselves be seen.
    pub users: Vec<User>,
    /// How many others there are, seen or not.
    pub others: usize,
    /// Key, value pairs of the room.
    pub extra_info: Vec<(String, String)>,
    /// When the token expires, Unix seconds, 0 = never or unknown.
    pub token_expires_at: u64,
    /// URL of the server.
    pub server: String,
}

impl RoomInfo {
    /// How many people are in the room, we among them.
    #[must_use]
    pub fn online(&self) -> i32 {
        let me = usize::from(self.state == ZegoRoomState::Connected);
        i32::try_from(self.others + me).unwrap_or(i32::MAX)
    }
}

/// A stream of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Number of the object.
    pub number: u64,
    /// Number of the room it is in.
    pub room: u64,
    /// The stream.
    pub stream: RemoteStream,
}

/// A publish channel in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherInfo {
    /// The channel, which is the number of the object.
    pub channel: i32,
    /// ZEGO's stream id.
    pub stream_id: String,
    /// Number of the room.
    pub room: u64,
    /// State.
    pub state: ZegoPublisherState,
    /// The code that came with the state, 0 = none.
    pub code: i32,
    /// Sends silence.
    pub audio_muted: bool,
    /// Sends no pictures.
    pub video_muted: bool,
    /// Gain of the microphone, 0 to 200, 100 = as it is.
    pub capture_volume: i32,
    /// `H264`, empty without video.
    pub video_codec: String,
    /// The encoder's name, empty without video.
    pub video_encoder: String,
    /// Encoded width in pixels, 0 without video.
    pub width: u32,
    /// Encoded height in pixels, 0 without video.
    pub height: u32,
    /// Number of the camera's device object.
    pub camera: Option<u64>,
    /// Number of the microphone's device object.
    pub microphone: Option<u64>,
}

/// A stream that is played or waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayerInfo {
    /// Number of the object.
    pub number: u64,
    /// ZEGO's stream id.
    pub stream_id: String,
    /// Number of the room.
    pub room: u64,
    /// State.
    pub state: ZegoPlayerState,
    /// The code that came with the state, 0 = none.
    pub code: i32,
    /// Loudness, 0 to 200, 100 = as it is.
    pub volume: i32,
    /// Sound is not received.
    pub audio_muted: bool,
    /// Pictures are not received.
    pub video_muted: bool,
    /// `auto`, `small` or `big`.
    pub video_layer: VideoLayer,
    /// The codec of the pictures, empty before the first.
    pub video_codec: String,
    /// The decoder's name, empty before the first picture.
    pub video_decoder: String,
    /// Width of the received picture in pixels.
    pub width: u32,
    /// Height of the received picture in pixels.
    pub height: u32,
    /// The view that shows it.
    pub view: Option<u64>,
}

/// Which layer of a stream with several is played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoLayer {
    /// The network decides.
    #[default]
    Auto,
    /// The small one.
    Small,
    /// The big one.
    Big,
}

impl VideoLayer {
    /// The word of the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Small => "small",
            Self::Big => "big",
        }
    }

    /// The layer of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Auto, Self::Small, Self::Big].into_iter().find(|layer| layer.word() == word)
    }
}

/// A camera, microphone or speaker.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceObject {
    /// Number of the object.
    pub number: u64,
    /// What the registry says.
    pub device: DeviceInfo,
    /// The engine uses it now.
    pub in_use: bool,
    /// Its volume and mute; a camera has none.
    pub level: Option<DeviceLevel>,
}

/// Volume and mute of a microphone or speaker: of its own controls, or of what the daemon does instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLevel {
    /// 0 to 100 (as it is).
    pub volume: u8,
    /// Silenced.
    pub muted: bool,
}

impl Default for DeviceLevel {
    fn default() -> Self {
        Self { volume: 100, muted: false }
    }
}

/// Where pictures go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewInfo {
    /// The view's id, which is the number of the object.
    pub id: u64,
    /// `texture`, `pipe`, `null`.
    pub kind: &'static str,
    /// Width in pixels, 0 before the first picture of a view that takes the source's size.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The stream that it shows, or `preview`, or nothing.
    pub source: String,
}

/// One value of a quality dictionary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QualityValue {
    /// Rates and ratios.
    Double(f64),
    /// Times in ms, levels and codec ids.
    Int(i32),
    /// Counters.
    Count(u64),
    /// Flags.
    Flag(bool),
}

/// What was measured of a stream, by the API's names. What could not be measured is not in it.
pub type Quality = Vec<(&'static str, QualityValue)>;

/// The kinds of first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FirstFrame {
    /// The microphone gave sound.
    AudioCaptured,
    /// The camera gave a picture.
    VideoCaptured,
    /// Sound went out.
    AudioSent,
    /// A picture went out.
    VideoSent,
    /// Sound arrived.
    AudioReceived,
    /// A picture arrived.
    VideoReceived,
    /// A picture was shown.
    VideoRendered,
}

impl FirstFrame {
    /// The word of the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::AudioCaptured => "audio_captured",
            Self::VideoCaptured => "video_captured",
            Self::AudioSent => "audio_sent",
            Self::VideoSent => "video_sent",
            Self::AudioReceived => "audio_received",
            Self::VideoReceived => "video_received",
            Self::VideoRendered => "video_rendered",
        }
    }
}

impl From<media::FirstFrame> for FirstFrame {
    fn from(first: media::FirstFrame) -> Self {
        match first {
            media::FirstFrame::AudioCaptured => Self::AudioCaptured,
            media::FirstFrame::VideoCaptured => Self::VideoCaptured,
            media::FirstFrame::AudioSent => Self::AudioSent,
            media::FirstFrame::VideoSent => Self::VideoSent,
            media::FirstFrame::AudioReceived => Self::AudioReceived,
            media::FirstFrame::VideoReceived => Self::VideoReceived,
            media::FirstFrame::VideoRendered => Self::VideoRendered,
        }
    }
}

/// A text message of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it was said.
    pub room_id: String,
    /// Who said it.
    pub from: User,
    /// The text.
    pub text: String,
    /// The message's number, the same at the sender.
    pub id: u64,
    /// When it was sent, Unix milliseconds.
    pub sent_at_ms: u64,
}

/// Everything that the engine tells.
#[derive(Clone, Debug, PartialEq)]
pub enum EngineEvent {
    /// The engine was made or destroyed, or a mute of it changed.
    Engine(EngineInfo),
    /// The network is reached in another way.
    NetworkMode(NetworkMode),
    /// Rooms.
    Room(Change<RoomInfo>),
    /// Streams of others.
    Stream(Change<StreamInfo>),
    /// Publishers.
    Publisher(Change<PublisherInfo>),
    /// Players.
    Player(Change<PlayerInfo>),
    /// Devices.
    Device(Change<DeviceObject>),
    /// Views.
    View(Change<ViewInfo>),
    /// A room's state; `error.code` 0 = all is well.
    RoomState {
        /// The room.
        room_id: String,
        /// Why.
        reason: ZegoRoomStateChangedReason,
        /// Code, 0 = none.
        code: i32,
        /// The sentence that goes with the code, or empty.
        message: String,
        /// The server's id of the room, once it is known.
        room_session_id: Option<String>,
    },
    /// People came or went.
    RoomUsers {
        /// The room.
        room_id: String,
        /// Which of the two.
        update: ZegoUpdateType,
        /// Who.
        users: Vec<User>,
    },
    /// Streams came or went.
    RoomStreams {
        /// The room.
        room_id: String,
        /// Which of the two.
        update: ZegoUpdateType,
        /// Which; a reason when they went.
        streams: Vec<(RemoteStream, Option<StreamDeleteReason>)>,
    },
    /// How many people are in the room now.
    OnlineCount {
        /// The room.
        room_id: String,
        /// How many, we among them.
        count: i32,
    },
    /// Somebody else changed the room's extra information.
    RoomExtraInfo {
        /// The room.
        room_id: String,
        /// What it is now.
        info: RoomExtraInfo,
    },
    /// The text of somebody's streams changed.
    StreamExtraInfo {
        /// The room.
        room_id: String,
        /// Stream id and text.
        streams: Vec<(String, String)>,
    },
    /// The token is about to expire.
    TokenWillExpire {
        /// The room.
        room_id: String,
        /// How soon.
        remaining_s: i32,
    },
    /// A publisher's state.
    PublisherState {
        /// The stream.
        stream_id: String,
        /// State.
        state: ZegoPublisherState,
        /// Code, 0 = none.
        code: i32,
        /// The sentence that goes with the code, or empty.
        message: String,
    },
    /// How well a stream goes out.
    PublisherQuality {
        /// The channel.
        channel: i32,
        /// The stream.
        stream_id: String,
        /// What was measured.
        quality: Quality,
    },
    /// Something of a publisher happened for the first time.
    PublisherFirstFrame {
        /// The stream.
        stream_id: String,
        /// What.
        kind: FirstFrame,
    },
    /// A player's state.
    PlayerState {
        /// The stream.
        stream_id: String,
        /// State.
        state: ZegoPlayerState,
        /// Code, 0 = none.
        code: i32,
        /// The sentence that goes with the code, or empty.
        message: String,
    },
    /// Sound or pictures of a stream stopped or came back.
    PlayerMedia {
        /// The stream.
        stream_id: String,
        /// Which.
        event: ZegoPlayerMediaEvent,
    },
    /// How well a stream comes in.
    PlayerQuality {
        /// Number of the player.
        number: u64,
        /// The stream.
        stream_id: String,
        /// What was measured.
        quality: Quality,
    },
    /// Something of a player happened for the first time.
    PlayerFirstFrame {
        /// The stream.
        stream_id: String,
        /// What.
        kind: FirstFrame,
    },
    /// The size of a played picture.
    PlayerVideoSize {
        /// The stream.
        stream_id: String,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// Somebody switched a camera or microphone.
    RemoteDevice {
        /// The stream.
        stream_id: String,
        /// The camera, not the microphone.
        camera: bool,
        /// State.
        state: ZegoRemoteDeviceState,
    },
    /// A device of ours failed while it was used.
    DeviceFailed {
        /// `camera`, `microphone` or `speaker`.
        kind: &'static str,
        /// The device's object, if it has one.
        number: Option<u64>,
        /// What happened.
        error: EngineError,
    },
    /// A recording began, goes on or ended.
    Recording {
        /// Number of the recording.
        number: u64,
        /// The stream; empty = the captured one.
        stream_id: String,
        /// State.
        state: ZegoDataRecordState,
        /// Code, 0 = none.
        code: i32,
        /// The sentence that goes with the code, or empty.
        message: String,
        /// Length of what was recorded.
        duration_ms: u64,
        /// Bytes written.
        size: u64,
    },
    /// Somebody said something to everybody, reliably.
    Broadcast(Message),
    /// Somebody said something to everybody, maybe lost.
    Barrage(Message),
    /// Somebody sent us a command.
    Command(Message),
}

/// Takes news. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub struct News {
    sender: UnboundedSender<EngineEvent>,
    sent: Arc<AtomicU64>,
}

impl News {
    /// The two ends of the one channel on which news flow up.
    #[must_use]
    pub fn channel() -> (Self, UnboundedReceiver<EngineEvent>) {
        let (sender, receiver) = unbounded_channel();
        (Self { sender, sent: Arc::default() }, receiver)
    }

    /// Tells something. When nobody listens any more the daemon is ending.
    pub fn tell(&self, event: EngineEvent) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let _ = self.sender.send(event);
    }

    /// How many events were told so far: whoever has handled as many knows all that led to this moment.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}
