//! The extra information of a room: one key with a value, set by any member, kept for those who come later.
//!
//! A member sets it as its own attribute `zego.room`, as it would on any LiveKit server. This hub takes it off the member and
//! keeps it with the room: it outlives the member, and everybody is told in the room's metadata.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use zego_protocol::error::sentence;
use zego_protocol::id;

use super::{Moment, Rooms};
use crate::sfu::ParticipantKey;

/// The attribute by which a member sets it.
pub(super) const ATTRIBUTE: &str = "zego.room";
/// The room has extra information under another key.
const TOO_MANY_KEYS: i32 = 1_002_017;
/// The attribute is not what it should be.
const BAD_ARGUMENT: i32 = 1_000_017;

/// What a room's members attached to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExtraInfo {
    key: String,
    value: String,
    user_id: String,
    time_ms: i64,
}

impl ExtraInfo {
    fn json(&self) -> Value {
        json!({"key": self.key, "value": self.value, "user_id": self.user_id, "time_ms": self.time_ms})
    }
}

/// What a room's members read as its metadata: an administrator's text as it is, until there is extra information. Then it is a
/// JSON object with `zego` in it, and an administrator's text, when that is no JSON object itself, as `text`.
pub(super) fn room_metadata(text: &str, info: Option<&ExtraInfo>) -> String {
    let Some(info) = info else { return text.to_owned() };
    let mut whole = match serde_json::from_str(text) {
        Ok(Value::Object(whole)) => whole,
        _ if text.is_empty() => Map::new(),
        _ => Map::from_iter([("text".to_owned(), Value::from(text))]),
    };
    whole.insert("zego".to_owned(), info.json());
    Value::Object(whole).to_string()
}

/// What a member writes.
#[derive(Deserialize)]
struct Written {
    key: String,
    value: String,
}

impl Rooms {
    /// A member sets its room's extra information. The error is a sentence with its code.
    pub(super) fn set_extra_info(&mut self, key: ParticipantKey, text: &str, now: Moment) -> Result<(), String> {
        let Some(person) = self.people.get(&key) else { return Ok(()) };
        let (room_key, user_id) = (person.room, person.identity.clone());
        let unreadable = |_| sentence(BAD_ARGUMENT, "The attribute zego.room is not JSON with a key and a value");
        let written: Written = serde_json::from_str(text).map_err(unreadable)?;
        id::room_extra_info_key(&written.key).map_err(|error| error.sentence())?;
        id::room_extra_info_value(&written.value).map_err(|error| error.sentence())?;
        let Some(room) = self.rooms.get_mut(&room_key) else { return Ok(()) };
        if let Some(other) = room.extra_info.as_ref().filter(|info| info.key != written.key) {
            let detail = format!("Room '{}' has extra information under the key '{}'", room.name, other.key);
            return Err(sentence(TOO_MANY_KEYS, &detail));
        }
        let info = ExtraInfo { key: written.key, value: written.value, user_id, time_ms: now.unix_ms };
        room.extra_info = Some(info);
        self.tell_room(room_key);
        Ok(())
    }
}
