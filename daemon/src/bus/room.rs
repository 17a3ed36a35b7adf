//! `org.zegod1.Room`.

use std::collections::HashMap;

use zbus::{Variant, interface};
use zego_protocol::names;

use super::object::{Object, Shared, look};
use super::values;
use crate::engine::{Engine, RoomInfo};

/// A room, from the login call until the logout or the final failure.
pub(super) struct RoomObject(Shared<RoomInfo>);

/// A room, from the call of LoginRoom until LogoutRoom or the final failure.
#[interface(name = "org.zegod1.Room")]
impl RoomObject {
    /// The room's id.
    #[zbus(property(emits_changed_signal = "const"), name = "RoomID")]
    fn room_id(&self) -> String {
        look(&self.0).info.room_id.clone()
    }

    /// Who we are in it.
    #[zbus(property(emits_changed_signal = "const"), name = "UserID")]
    fn user_id(&self) -> String {
        look(&self.0).info.user.id.clone()
    }

    /// Our name in it.
    #[zbus(property(emits_changed_signal = "const"))]
    fn user_name(&self) -> String {
        look(&self.0).info.user.name.clone()
    }

    /// `disconnected`, `connecting` or `connected`.
    #[zbus(property)]
    fn state(&self) -> String {
        look(&self.0).info.state.word().to_owned()
    }

    /// Why it has that state: `logining`, `logined`, `login_failed`, `reconnecting`, `reconnected`, `reconnect_failed`,
    /// `kick_out`, `logout`, `logout_failed`.
    #[zbus(property)]
    fn reason(&self) -> String {
        look(&self.0).info.reason.word().to_owned()
    }

    /// The code that came with the state; 0 = none.
    #[zbus(property)]
    fn error_code(&self) -> i32 {
        look(&self.0).info.code
    }

    /// The others in the room: id and name of each.
    #[zbus(property)]
    fn users(&self) -> Vec<(String, String)> {
        look(&self.0).info.users.iter().map(values::user).collect()
    }

    /// How many people are in the room, this device among them.
    #[zbus(property)]
    fn online_user_count(&self) -> i32 {
        look(&self.0).info.online()
    }

    /// The room's extra information.
    #[zbus(property)]
    fn extra_info(&self) -> HashMap<String, String> {
        look(&self.0).info.extra_info.iter().cloned().collect()
    }

    /// When the token expires, in Unix seconds; 0 = never or unknown.
    #[zbus(property)]
    fn token_expires_at(&self) -> u64 {
        look(&self.0).info.token_expires_at
    }

    /// URL of the room server.
    #[zbus(property(emits_changed_signal = "const"))]
    fn server(&self) -> String {
        look(&self.0).info.server.clone()
    }
}

impl Object for RoomObject {
    type Info = RoomInfo;

    fn number(info: &RoomInfo) -> u64 {
        info.number
    }

    fn path(number: u64) -> String {
        names::room_path(number)
    }

    fn new(shared: Shared<RoomInfo>, _engine: Engine) -> Self {
        Self(shared)
    }

    fn properties(info: &RoomInfo) -> Vec<(&'static str, Variant<'static>)> {
        let users: Vec<(String, String)> = info.users.iter().map(values::user).collect();
        let extra: HashMap<String, String> = info.extra_info.iter().cloned().collect();
        vec![
            ("State", info.state.word().into()),
            ("Reason", info.reason.word().into()),
            ("ErrorCode", info.code.into()),
            ("Users", users.into()),
            ("OnlineUserCount", info.online().into()),
            ("ExtraInfo", extra.into()),
            ("TokenExpiresAt", info.token_expires_at.into()),
        ]
    }
}
