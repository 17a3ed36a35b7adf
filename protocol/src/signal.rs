//! The callback signals and the names of their arguments, for clients that show signals of any kind.

/// A signal of `org.zegod1.Engine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalInfo {
    /// Its name on the bus.
    pub name: &'static str,
    /// The names of its arguments, in order.
    pub arguments: &'static [&'static str],
    /// What it tells: a sentence.
    pub text: &'static str,
}

const fn row(name: &'static str, arguments: &'static [&'static str], text: &'static str) -> SignalInfo {
    SignalInfo { name, arguments, text }
}

/// Every signal of the engine.
#[rustfmt::skip] // one signal, one line
pub static SIGNALS: &[SignalInfo] = &[
    row("RoomStateUpdate", &["room_id", "state", "error_code", "extended_data"], "A room's state changed."),
    row("RoomUserUpdate", &["room_id", "update_type", "users"], "Users came or went."),
    row("RoomStreamUpdate", &["room_id", "update_type", "streams", "extended_data"], "Streams came or went."),
    row("RoomOnlineUserCountUpdate", &["room_id", "count"], "How many are in the room."),
    row("RoomExtraInfoUpdate", &["room_id", "info"], "The room's extra information: key, value, user, time in ms."),
    row("RoomStreamExtraInfoUpdate", &["room_id", "streams"], "Streams' extra information."),
    row("RoomTokenWillExpire", &["room_id", "remaining_seconds"], "The token expires soon."),
    row("PublisherStateUpdate", &["stream_id", "state", "error_code", "extended_data"], "A publisher's state changed."),
    row("PublisherQualityUpdate", &["stream_id", "quality"], "How publishing goes, every 3 s."),
    row("PublisherFirstFrame", &["stream_id", "kind"], "The first of its kind was captured or sent."),
    row("PlayerStateUpdate", &["stream_id", "state", "error_code", "extended_data"], "A player's state changed."),
    row("PlayerQualityUpdate", &["stream_id", "quality"], "How playing goes, every 3 s."),
    row("PlayerFirstFrame", &["stream_id", "kind"], "The first of its kind was received or rendered."),
    row("PlayerMediaEvent", &["stream_id", "event"], "Sound or picture broke up, or is whole again."),
    row("PlayerVideoSizeChanged", &["stream_id", "width", "height"], "The received picture has another size."),
    row("RemoteDeviceStateUpdate", &["stream_id", "device", "state"], "Somebody's camera or microphone changed."),
    row("DeviceStateChanged", &["kind", "update_type", "device"], "A device came or went."),
    row("LocalDeviceException", &["kind", "exception", "device", "message"], "A device of ours failed."),
    row("CapturedSoundLevelUpdate", &["level"], "The own level, 0 to 100."),
    row("RemoteSoundLevelUpdate", &["levels"], "The others' levels by stream."),
    row("BroadcastMessageReceived", &["room_id", "messages"], "Messages: text, user id, user name, message id, time in ms."),
    row("BarrageMessageReceived", &["room_id", "messages"], "Messages: text, user id, user name, message id, time in ms."),
    row("CustomCommandReceived", &["room_id", "user_id", "user_name", "command"], "A command."),
    row("RecordingStateUpdate", &["stream_id", "state", "error_code", "extended_data"], "A recording began, goes on or ended."),
    row("NetworkModeChanged", &["mode"], "The network is reached in another way."),
    row("DebugError", &["error_code", "method", "message"], "A call was wrong."),
];

/// The signal of that name.
pub fn lookup(name: &str) -> Option<&'static SignalInfo> {
    SIGNALS.iter().find(|signal| signal.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_named_as_in_the_api() {
        let of = |name| lookup(name).map(|signal| signal.arguments);
        assert_eq!(of("RoomStateUpdate"), Some(&["room_id", "state", "error_code", "extended_data"][..]));
        assert_eq!(of("PlayerVideoSizeChanged"), Some(&["stream_id", "width", "height"][..]));
        assert_eq!(of("NoSuchSignal"), None);
    }
}
