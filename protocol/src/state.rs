//! States, reasons and events of the API: ZEGO's numbers, and the words that object properties and `extended_data` use.

use std::fmt;
use std::str::FromStr;

/// A number or a word that the enumeration does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownValue {
    /// The enumeration's name.
    pub of: &'static str,
    /// What was given, as text.
    pub given: String,
}

impl fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no {}", self.given, self.of)
    }
}

impl std::error::Error for UnknownValue {}

macro_rules! numbered_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        pub enum $name {
            $($(#[$vdoc])* $variant = $number,)+
        }

        impl $name {
            /// Every value, in the order of its number.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The number that callback signals carry.
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The word that properties and `extended_data` carry.
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// The value of a number from the bus.
            ///
            /// # Errors
            /// [`UnknownValue`] when the enumeration has no such number.
            pub fn from_number(number: i32) -> Result<$name, UnknownValue> {
                match number {
                    $($number => Ok($name::$variant),)+
                    _ => Err(UnknownValue { of: stringify!($name), given: number.to_string() }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl FromStr for $name {
            type Err = UnknownValue;

            fn from_str(word: &str) -> Result<$name, UnknownValue> {
                match word {
                    $($word => Ok($name::$variant),)+
                    _ => Err(UnknownValue { of: stringify!($name), given: word.to_string() }),
                }
            }
        }
    };
}

numbered_words! {
    /// State of a room, as in `RoomStateUpdate`.
    ZegoRoomState {
        /// Not in the room.
        Disconnected = 0 "disconnected",
        /// Logging in, or coming back after the network went.
        Connecting = 1 "connecting",
        /// In the room.
        Connected = 2 "connected",
    }
}

numbered_words! {
    /// Why a room's state changed (`reason_code` and `reason` of `RoomStateUpdate`'s `extended_data`).
    ZegoRoomStateChangedReason {
        /// LoginRoom or SwitchRoom was called.
        Logining = 0 "logining",
        /// The login succeeded.
        Logined = 1 "logined",
        /// The login failed; the code says why.
        LoginFailed = 2 "login_failed",
        /// The link broke; zegod keeps trying.
        Reconnecting = 3 "reconnecting",
        /// The link is back.
        Reconnected = 4 "reconnected",
        /// The time for coming back is used up, or the server refused it.
        ReconnectFailed = 5 "reconnect_failed",
        /// The server put the user out.
        KickOut = 6 "kick_out",
        /// LogoutRoom was called.
        Logout = 7 "logout",
        /// LogoutRoom failed.
        LogoutFailed = 8 "logout_failed",
    }
}

impl ZegoRoomStateChangedReason {
    /// The room's state once this has happened.
    pub const fn state(self) -> ZegoRoomState {
        match self {
            ZegoRoomStateChangedReason::Logining | ZegoRoomStateChangedReason::Reconnecting => {
                ZegoRoomState::Connecting
            }
            ZegoRoomStateChangedReason::Logined
            | ZegoRoomStateChangedReason::Reconnected
            | ZegoRoomStateChangedReason::LogoutFailed => ZegoRoomState::Connected,
            ZegoRoomStateChangedReason::LoginFailed
            | ZegoRoomStateChangedReason::ReconnectFailed
            | ZegoRoomStateChangedReason::KickOut
            | ZegoRoomStateChangedReason::Logout => ZegoRoomState::Disconnected,
        }
    }

    /// Whether `next` may follow, by the vendor's chart of the room states. A logout call may come at any moment while
    /// connecting; that is one more way out of Logining and Reconnecting.
    pub const fn may_be_followed_by(self, next: ZegoRoomStateChangedReason) -> bool {
        use ZegoRoomStateChangedReason::{
            KickOut, LoginFailed, Logined, Logining, Logout, LogoutFailed, ReconnectFailed, Reconnected, Reconnecting,
        };
        match self {
            Logining => matches!(next, Logined | LoginFailed | Logout),
            Logined | Reconnected | LogoutFailed => matches!(next, Logout | LogoutFailed | Reconnecting | KickOut),
            Reconnecting => matches!(next, Reconnected | ReconnectFailed | KickOut | Logout),
            LoginFailed | ReconnectFailed | KickOut | Logout => matches!(next, Logining | Logout),
        }
    }
}

numbered_words! {
    /// State of a publisher, as in `PublisherStateUpdate`.
    ZegoPublisherState {
        /// Nothing is published.
        NoPublish = 0 "no_publish",
        /// Trying to publish.
        PublishRequesting = 1 "publish_requesting",
        /// Published.
        Publishing = 2 "publishing",
    }
}

numbered_words! {
    /// State of a player, as in `PlayerStateUpdate`.
    ZegoPlayerState {
        /// Nothing is played.
        NoPlay = 0 "no_play",
        /// Waiting for the stream, or coming back to it.
        PlayRequesting = 1 "play_requesting",
        /// Played.
        Playing = 2 "playing",
    }
}

numbered_words! {
    /// Whether a list of users, streams or devices came or went.
    ZegoUpdateType {
        /// They came.
        Add = 0 "add",
        /// They went.
        Delete = 1 "delete",
    }
}

numbered_words! {
    /// Why a stream was deleted (`delete_reason` of `RoomStreamUpdate`).
    StreamDeleteReason {
        /// Its publisher stopped.
        Stopped = 1 "stopped",
        /// Its publisher was not heard of for the heartbeat time.
        HeartbeatTimeout = 2 "heartbeat_timeout",
        /// Its publisher logged in again.
        LoggedInAgain = 3 "logged_in_again",
        /// Its publisher was put out of the room.
        Kicked = 4 "kicked",
        /// Its publisher's link broke.
        Disconnected = 5 "disconnected",
        /// The server removed it.
        RemovedByServer = 6 "removed_by_server",
    }
}

numbered_words! {
    /// How a received stream flows, as in `PlayerMediaEvent`.
    ZegoPlayerMediaEvent {
        /// Sound began to break up.
        AudioBreakOccur = 0 "audio_break_occur",
        /// Sound is whole again.
        AudioBreakResume = 1 "audio_break_resume",
        /// The picture froze.
        VideoBreakOccur = 2 "video_break_occur",
        /// The picture moves again.
        VideoBreakResume = 3 "video_break_resume",
    }
}

numbered_words! {
    /// State of a recording, as in `RecordingStateUpdate`.
    ZegoDataRecordState {
        /// It does not run: an error ended it.
        None = 0 "none",
        /// It runs.
        Recording = 1 "recording",
        /// It is complete.
        Finished = 2 "finished",
    }
}

numbered_words! {
    /// State of somebody else's camera or microphone, as in `RemoteDeviceStateUpdate`.
    ZegoRemoteDeviceState {
        /// On.
        Open = 0 "open",
        /// Something is wrong with it.
        GenericError = 1 "generic_error",
        /// There is no such device.
        InvalidId = 2 "invalid_id",
        /// It may not be used.
        NoAuthorization = 3 "no_authorization",
        /// It gives no pictures.
        ZeroFps = 4 "zero_fps",
        /// Another program has it.
        InUseByOther = 5 "in_use_by_other",
        /// It was pulled out.
        Unplugged = 6 "unplugged",
        /// It works only after a restart.
        RebootRequired = 7 "reboot_required",
        /// The system's media services went away.
        SystemMediaServicesLost = 8 "system_media_services_lost",
        /// Switched off by its user (`EnableCamera(false)`).
        Disable = 9 "disable",
        /// Muted by its user (`MuteMicrophone(true)`).
        Mute = 10 "mute",
        /// Interrupted, by a telephone call for instance.
        Interruption = 11 "interruption",
    }
}

numbered_words! {
    /// What went wrong with a device of ours, as in `LocalDeviceException`.
    ZegoDeviceException {
        /// Not known.
        Unknown = 0 "unknown",
        /// Something is wrong with it.
        Generic = 1 "generic",
        /// There is no such device.
        InvalidId = 2 "invalid_id",
        /// It may not be used.
        PermissionNotGranted = 3 "permission_not_granted",
        /// It gives no pictures.
        ZeroCaptureFps = 4 "zero_capture_fps",
        /// Another program has it.
        DeviceOccupied = 5 "device_occupied",
        /// It was pulled out.
        DeviceUnplugged = 6 "device_unplugged",
        /// It works only after a restart.
        RebootRequired = 7 "reboot_required",
    }
}

impl ZegoDeviceException {
    /// The error code of block 1006000 that means the same.
    pub const fn code(self) -> i32 {
        match self {
            ZegoDeviceException::Unknown => 1_006_001,
            other => 1_006_000 + other.number(),
        }
    }

    /// The exception that means the same as an error code of block 1006000; other codes are `Generic`.
    pub const fn from_code(code: i32) -> ZegoDeviceException {
        match code {
            1_006_002 => ZegoDeviceException::InvalidId,
            1_006_003 => ZegoDeviceException::PermissionNotGranted,
            1_006_004 => ZegoDeviceException::ZeroCaptureFps,
            1_006_005 => ZegoDeviceException::DeviceOccupied,
            1_006_006 => ZegoDeviceException::DeviceUnplugged,
            1_006_007 => ZegoDeviceException::RebootRequired,
            _ => ZegoDeviceException::Generic,
        }
    }
}

numbered_words! {
    /// How the network is reached, as in `NetworkModeChanged` and the property `NetworkMode` (words only).
    NetworkMode {
        /// No network.
        Offline = 0 "offline",
        /// Some network.
        Unknown = 1 "unknown",
        /// By cable.
        Ethernet = 2 "ethernet",
        /// By radio, locally.
        Wifi = 3 "wifi",
        /// By a telephone network.
        Cellular = 4 "cellular",
    }
}

numbered_words! {
    /// How good a stream is (`level` of the quality dictionaries).
    ZegoStreamQualityLevel {
        /// Excellent.
        Excellent = 0 "excellent",
        /// Good.
        Good = 1 "good",
        /// Medium.
        Medium = 2 "medium",
        /// Bad.
        Bad = 3 "bad",
        /// Nothing gets through.
        Die = 4 "die",
        /// Not measured yet.
        Unknown = 5 "unknown",
    }
}

numbered_words! {
    /// How a picture is fitted into a view (`view_mode` of a canvas).
    ZegoViewMode {
        /// Whole picture, bars where its shape differs.
        AspectFit = 0 "aspect_fit",
        /// View filled, picture cut where its shape differs.
        AspectFill = 1 "aspect_fill",
        /// View filled, picture stretched.
        ScaleToFill = 2 "scale_to_fill",
    }
}

numbered_words! {
    /// What the engine is used for (`scenario` of the engine's profile).
    ZegoScenario {
        /// The tutorial's; as `Default`.
        General = 0 "general",
        /// Old; as `Default`.
        Communication = 1 "communication",
        /// Old; as `Default`.
        Live = 2 "live",
        /// 360p, 15 fps.
        Default = 3 "default",
        /// 360p, 15 fps.
        StandardVideoCall = 4 "standard_video_call",
        /// 540p, 24 fps.
        HighQualityVideoCall = 5 "high_quality_video_call",
        /// Voice; camera off.
        StandardChatroom = 6 "standard_chatroom",
        /// Voice at a higher bit rate; camera off.
        HighQualityChatroom = 7 "high_quality_chatroom",
        /// 540p, 24 fps.
        Broadcast = 8 "broadcast",
        /// Voice and music; camera off.
        Karaoke = 9 "karaoke",
        /// Voice between two; camera off.
        StandardVoiceCall = 10 "standard_voice_call",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_from_its_number_and_word() {
        fn both<T>(all: &[T], number: fn(T) -> i32, back: fn(i32) -> Result<T, UnknownValue>)
        where
            T: Copy + PartialEq + fmt::Debug + fmt::Display + FromStr<Err = UnknownValue>,
        {
            for value in all {
                assert_eq!(back(number(*value)).as_ref(), Ok(value));
                assert_eq!(value.to_string().parse::<T>().as_ref(), Ok(value));
            }
        }
        both(ZegoRoomState::ALL, ZegoRoomState::number, ZegoRoomState::from_number);
        both(
            ZegoRoomStateChangedReason::ALL,
            ZegoRoomStateChangedReason::number,
            ZegoRoomStateChangedReason::from_number,
        );
        both(ZegoPublisherState::ALL, ZegoPublisherState::number, ZegoPublisherState::from_number);
        both(ZegoPlayerState::ALL, ZegoPlayerState::number, ZegoPlayerState::from_number);
        both(ZegoRemoteDeviceState::ALL, ZegoRemoteDeviceState::number, ZegoRemoteDeviceState::from_number);
        both(NetworkMode::ALL, NetworkMode::number, NetworkMode::from_number);
        both(ZegoScenario::ALL, ZegoScenario::number, ZegoScenario::from_number);
    }

    #[test]
    fn the_bus_words_are_those_of_the_api() {
        let words = |all: &[ZegoRoomStateChangedReason]| all.iter().map(|r| r.word()).collect::<Vec<_>>().join(" ");
        assert_eq!(
            words(ZegoRoomStateChangedReason::ALL),
            "logining logined login_failed reconnecting reconnected reconnect_failed kick_out logout logout_failed"
        );
        assert_eq!(ZegoPublisherState::PublishRequesting.word(), "publish_requesting");
        assert_eq!(ZegoPlayerState::NoPlay.word(), "no_play");
        assert_eq!(ZegoRoomState::from_number(3).unwrap_err().to_string(), "'3' is no ZegoRoomState");
        assert!("Connected".parse::<ZegoRoomState>().is_err());
    }

    #[test]
    fn a_room_follows_the_chart() {
        use ZegoRoomStateChangedReason::*;
        for (from, to, legal) in [
            (Logining, Logined, true),
            (Logining, LoginFailed, true),
            (Logining, Reconnecting, false),
            (Logined, Reconnecting, true),
            (Logined, KickOut, true),
            (Logined, Logining, false),
            (Reconnecting, Reconnected, true),
            (Reconnecting, ReconnectFailed, true),
            (Reconnecting, Logined, false),
            (KickOut, Logining, true),
            (KickOut, Reconnecting, false),
            (ReconnectFailed, Reconnected, false),
        ] {
            assert_eq!(from.may_be_followed_by(to), legal, "{from} -> {to}");
        }
        assert_eq!(Reconnecting.state(), ZegoRoomState::Connecting);
        assert_eq!(KickOut.state(), ZegoRoomState::Disconnected);
    }

    #[test]
    fn device_exceptions_and_codes_correspond() {
        for exception in ZegoDeviceException::ALL.iter().skip(1) {
            assert_eq!(ZegoDeviceException::from_code(exception.code()), *exception);
        }
        assert_eq!(ZegoDeviceException::DeviceOccupied.code(), 1_006_005);
        assert_eq!(ZegoDeviceException::from_code(1_000_099), ZegoDeviceException::Generic);
    }
}
