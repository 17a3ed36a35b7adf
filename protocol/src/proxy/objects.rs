//! The objects below the root: their state as properties.

use std::collections::HashMap;

use zbus::OwnedObjectPath;

use super::Details;

/// A room that is logged in, or being logged in to.
#[zbus::proxy(interface = "org.zegod1.Room", default_service = "org.zegod1", assume_defaults = false)]
pub trait Room {
    /// The room.
    #[zbus(property, name = "RoomID")]
    fn room_id(&self) -> zbus::Result<String>;

    /// The user.
    #[zbus(property, name = "UserID")]
    fn user_id(&self) -> zbus::Result<String>;

    /// The user's name.
    #[zbus(property, name = "UserName")]
    fn user_name(&self) -> zbus::Result<String>;

    /// The state, in a word.
    #[zbus(property, name = "State")]
    fn state(&self) -> zbus::Result<String>;

    /// Why the state is as it is, in a word.
    #[zbus(property, name = "Reason")]
    fn reason(&self) -> zbus::Result<String>;

    /// The last error; 0 = none.
    #[zbus(property, name = "ErrorCode")]
    fn error_code(&self) -> zbus::Result<i32>;

    /// The other users: id and name.
    #[zbus(property, name = "Users")]
    fn users(&self) -> zbus::Result<Vec<(String, String)>>;

    /// How many are in the room.
    #[zbus(property, name = "OnlineUserCount")]
    fn online_user_count(&self) -> zbus::Result<i32>;

    /// Extra information.
    #[zbus(property, name = "ExtraInfo")]
    fn extra_info(&self) -> zbus::Result<HashMap<String, String>>;

    /// When the token expires, Unix seconds; 0 = never.
    #[zbus(property, name = "TokenExpiresAt")]
    fn token_expires_at(&self) -> zbus::Result<u64>;

    /// The room server.
    #[zbus(property, name = "Server")]
    fn server(&self) -> zbus::Result<String>;
}

/// A stream of somebody else.
#[zbus::proxy(interface = "org.zegod1.Stream", default_service = "org.zegod1", assume_defaults = false)]
pub trait Stream {
    /// The stream.
    #[zbus(property, name = "StreamID")]
    fn stream_id(&self) -> zbus::Result<String>;

    /// The user.
    #[zbus(property, name = "UserID")]
    fn user_id(&self) -> zbus::Result<String>;

    /// The user's name.
    #[zbus(property, name = "UserName")]
    fn user_name(&self) -> zbus::Result<String>;

    /// Its room; `/` = none.
    #[zbus(property, name = "Room")]
    fn room(&self) -> zbus::Result<OwnedObjectPath>;

    /// Extra information.
    #[zbus(property, name = "ExtraInfo")]
    fn extra_info(&self) -> zbus::Result<String>;

    /// Whether it has sound.
    #[zbus(property, name = "HasAudio")]
    fn has_audio(&self) -> zbus::Result<bool>;

    /// Whether it has a picture.
    #[zbus(property, name = "HasVideo")]
    fn has_video(&self) -> zbus::Result<bool>;

    /// Whether its sound is muted.
    #[zbus(property, name = "AudioMuted")]
    fn audio_muted(&self) -> zbus::Result<bool>;

    /// Whether its picture is muted.
    #[zbus(property, name = "VideoMuted")]
    fn video_muted(&self) -> zbus::Result<bool>;
}

/// A publish channel in use.
#[zbus::proxy(interface = "org.zegod1.Publisher", default_service = "org.zegod1", assume_defaults = false)]
pub trait Publisher {
    /// The stream.
    #[zbus(property, name = "StreamID")]
    fn stream_id(&self) -> zbus::Result<String>;

    /// The publish channel.
    #[zbus(property, name = "Channel")]
    fn channel(&self) -> zbus::Result<i32>;

    /// Its room; `/` = none.
    #[zbus(property, name = "Room")]
    fn room(&self) -> zbus::Result<OwnedObjectPath>;

    /// The state, in a word.
    #[zbus(property, name = "State")]
    fn state(&self) -> zbus::Result<String>;

    /// The last error; 0 = none.
    #[zbus(property, name = "ErrorCode")]
    fn error_code(&self) -> zbus::Result<i32>;

    /// Whether its sound is muted.
    #[zbus(property, name = "AudioMuted")]
    fn audio_muted(&self) -> zbus::Result<bool>;

    /// Changes it.
    #[zbus(property, name = "AudioMuted")]
    fn set_audio_muted(&self, value: bool) -> zbus::Result<()>;

    /// Whether its picture is muted.
    #[zbus(property, name = "VideoMuted")]
    fn video_muted(&self) -> zbus::Result<bool>;

    /// Changes it.
    #[zbus(property, name = "VideoMuted")]
    fn set_video_muted(&self, value: bool) -> zbus::Result<()>;

    /// The volume, 0 to 200.
    #[zbus(property, name = "CaptureVolume")]
    fn capture_volume(&self) -> zbus::Result<i32>;

    /// Changes it.
    #[zbus(property, name = "CaptureVolume")]
    fn set_capture_volume(&self, value: i32) -> zbus::Result<()>;

    /// The video codec.
    #[zbus(property, name = "VideoCodec")]
    fn video_codec(&self) -> zbus::Result<String>;

    /// What encodes.
    #[zbus(property, name = "VideoEncoder")]
    fn video_encoder(&self) -> zbus::Result<String>;

    /// Width in pixels.
    #[zbus(property, name = "Width")]
    fn width(&self) -> zbus::Result<u32>;

    /// Height in pixels.
    #[zbus(property, name = "Height")]
    fn height(&self) -> zbus::Result<u32>;

    /// Its camera; `/` = none.
    #[zbus(property, name = "Camera")]
    fn camera(&self) -> zbus::Result<OwnedObjectPath>;

    /// Its microphone; `/` = none.
    #[zbus(property, name = "Microphone")]
    fn microphone(&self) -> zbus::Result<OwnedObjectPath>;

    /// How it goes; no change signal.
    #[zbus(property(emits_changed_signal = "false"), name = "Quality")]
    fn quality(&self) -> zbus::Result<Details>;
}

/// A stream that is played.
#[zbus::proxy(interface = "org.zegod1.Player", default_service = "org.zegod1", assume_defaults = false)]
pub trait Player {
    /// The stream.
    #[zbus(property, name = "StreamID")]
    fn stream_id(&self) -> zbus::Result<String>;

    /// Its room; `/` = none.
    #[zbus(property, name = "Room")]
    fn room(&self) -> zbus::Result<OwnedObjectPath>;

    /// The state, in a word.
    #[zbus(property, name = "State")]
    fn state(&self) -> zbus::Result<String>;

    /// The last error; 0 = none.
    #[zbus(property, name = "ErrorCode")]
    fn error_code(&self) -> zbus::Result<i32>;

    /// The volume, 0 to 200.
    #[zbus(property, name = "Volume")]
    fn volume(&self) -> zbus::Result<i32>;

    /// Changes it.
    #[zbus(property, name = "Volume")]
    fn set_volume(&self, value: i32) -> zbus::Result<()>;

    /// Whether its sound is muted.
    #[zbus(property, name = "AudioMuted")]
    fn audio_muted(&self) -> zbus::Result<bool>;

    /// Changes it.
    #[zbus(property, name = "AudioMuted")]
    fn set_audio_muted(&self, value: bool) -> zbus::Result<()>;

    /// Whether its picture is muted.
    #[zbus(property, name = "VideoMuted")]
    fn video_muted(&self) -> zbus::Result<bool>;

    /// Changes it.
    #[zbus(property, name = "VideoMuted")]
    fn set_video_muted(&self, value: bool) -> zbus::Result<()>;

    /// `auto`, `small` or `big`.
    #[zbus(property, name = "VideoLayer")]
    fn video_layer(&self) -> zbus::Result<String>;

    /// Changes it.
    #[zbus(property, name = "VideoLayer")]
    fn set_video_layer(&self, value: &str) -> zbus::Result<()>;

    /// The video codec.
    #[zbus(property, name = "VideoCodec")]
    fn video_codec(&self) -> zbus::Result<String>;

    /// What decodes.
    #[zbus(property, name = "VideoDecoder")]
    fn video_decoder(&self) -> zbus::Result<String>;

    /// Width in pixels.
    #[zbus(property, name = "Width")]
    fn width(&self) -> zbus::Result<u32>;

    /// Height in pixels.
    #[zbus(property, name = "Height")]
    fn height(&self) -> zbus::Result<u32>;

    /// Its view; `/` = none.
    #[zbus(property, name = "View")]
    fn view(&self) -> zbus::Result<OwnedObjectPath>;

    /// How it goes; no change signal.
    #[zbus(property(emits_changed_signal = "false"), name = "Quality")]
    fn quality(&self) -> zbus::Result<Details>;
}

/// A camera, microphone or speaker.
#[zbus::proxy(interface = "org.zegod1.Device", default_service = "org.zegod1", assume_defaults = false)]
pub trait Device {
    /// Its kind, in a word.
    #[zbus(property, name = "Kind")]
    fn kind(&self) -> zbus::Result<String>;

    /// An id that stays the same when plugged in again.
    #[zbus(property, name = "DeviceID")]
    fn device_id(&self) -> zbus::Result<String>;

    /// Its name.
    #[zbus(property, name = "Name")]
    fn name(&self) -> zbus::Result<String>;

    /// The state, in a word.
    #[zbus(property, name = "State")]
    fn state(&self) -> zbus::Result<String>;

    /// Which program has it; empty = none or not known.
    #[zbus(property, name = "BusyOwner")]
    fn busy_owner(&self) -> zbus::Result<String>;

    /// Whether it is used when none is named.
    #[zbus(property, name = "Default")]
    fn default(&self) -> zbus::Result<bool>;

    /// What it can do.
    #[zbus(property, name = "Formats")]
    fn formats(&self) -> zbus::Result<Vec<Details>>;

    /// The volume, 0 to 200.
    #[zbus(property, name = "Volume")]
    fn volume(&self) -> zbus::Result<i32>;

    /// Changes it.
    #[zbus(property, name = "Volume")]
    fn set_volume(&self, value: i32) -> zbus::Result<()>;

    /// Whether it is muted.
    #[zbus(property, name = "Muted")]
    fn muted(&self) -> zbus::Result<bool>;

    /// Changes it.
    #[zbus(property, name = "Muted")]
    fn set_muted(&self, value: bool) -> zbus::Result<()>;
}

/// A place where pictures go.
#[zbus::proxy(interface = "org.zegod1.View", default_service = "org.zegod1", assume_defaults = false)]
pub trait View {
    /// The id that calls take.
    #[zbus(property, name = "ViewID")]
    fn view_id(&self) -> zbus::Result<u64>;

    /// Its kind, in a word.
    #[zbus(property, name = "Kind")]
    fn kind(&self) -> zbus::Result<String>;

    /// Width in pixels.
    #[zbus(property, name = "Width")]
    fn width(&self) -> zbus::Result<u32>;

    /// Height in pixels.
    #[zbus(property, name = "Height")]
    fn height(&self) -> zbus::Result<u32>;

    /// The stream it shows, or `preview`.
    #[zbus(property, name = "Source")]
    fn source(&self) -> zbus::Result<String>;

    /// How many pictures it has shown.
    #[zbus(property, name = "FramesShown")]
    fn frames_shown(&self) -> zbus::Result<u64>;
}
