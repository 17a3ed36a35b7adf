//! Names of the bus service, its objects and interfaces.

/// The service's well-known bus name. The `1` is the API's version.
pub const BUS_NAME: &str = "org.zegod1";
/// The root object: `Engine` and `ObjectManager`.
pub const ROOT_PATH: &str = "/org/zegod1";
/// What every D-Bus error name begins with.
pub const ERROR_PREFIX: &str = "org.zegod1.Error.";

/// Interface of the root object: the verbs and the callback signals.
pub const ENGINE_INTERFACE: &str = "org.zegod1.Engine";
/// Interface of a room that is logged in, or being logged in to.
pub const ROOM_INTERFACE: &str = "org.zegod1.Room";
/// Interface of somebody else's stream.
pub const STREAM_INTERFACE: &str = "org.zegod1.Stream";
/// Interface of a publish channel in use.
pub const PUBLISHER_INTERFACE: &str = "org.zegod1.Publisher";
/// Interface of a stream that is played.
pub const PLAYER_INTERFACE: &str = "org.zegod1.Player";
/// Interface of a camera, microphone or speaker.
pub const DEVICE_INTERFACE: &str = "org.zegod1.Device";
/// Interface of a place where pictures go.
pub const VIEW_INTERFACE: &str = "org.zegod1.View";

/// Every interface of zegod's own, the root's first.
pub const INTERFACES: [&str; 7] = [
    ENGINE_INTERFACE,
    ROOM_INTERFACE,
    STREAM_INTERFACE,
    PUBLISHER_INTERFACE,
    PLAYER_INTERFACE,
    DEVICE_INTERFACE,
    VIEW_INTERFACE,
];

/// Path of a room object. `number` is a counter: ids that come from the network are never path elements.
pub fn room_path(number: u64) -> String {
    object_path("room", number)
}

/// Path of the object of somebody else's stream.
pub fn stream_path(number: u64) -> String {
    object_path("stream", number)
}

/// Path of a publisher object; its number is the publish channel, 0 to 3.
pub fn publisher_path(channel: u64) -> String {
    object_path("publisher", channel)
}

/// Path of a player object.
pub fn player_path(number: u64) -> String {
    object_path("player", number)
}

/// Path of a device object.
pub fn device_path(number: u64) -> String {
    object_path("device", number)
}

/// Path of a view object.
pub fn view_path(number: u64) -> String {
    object_path("view", number)
}

/// The path that means "no object" in a property of type `o`.
pub const NO_OBJECT: &str = "/";

fn object_path(kind: &str, number: u64) -> String {
    format!("{ROOT_PATH}/{kind}/{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_live_below_the_root_by_kind_and_number() {
        assert_eq!(room_path(3), "/org/zegod1/room/3");
        assert_eq!(stream_path(12), "/org/zegod1/stream/12");
        assert_eq!(publisher_path(0), "/org/zegod1/publisher/0");
        assert_eq!(player_path(1), "/org/zegod1/player/1");
        assert_eq!(device_path(7), "/org/zegod1/device/7");
        assert_eq!(view_path(9), "/org/zegod1/view/9");
    }

    #[test]
    fn interfaces_carry_the_version_of_the_bus_name() {
        for interface in INTERFACES {
            assert!(interface.starts_with(&format!("{BUS_NAME}.")), "{interface}");
        }
    }
}
