//! A room's extra information: one key with a value that any member may set.
//!
//! Whoever sets it writes it into its own participant attribute `zego.room`. Our own server takes it from there into the room's metadata,
//! where it outlives its writer; on any other server it stays with the participant, and the newest one counts.

use livekit_protocol as proto;
use serde::{Deserialize, Serialize};

/// The participant attribute.
pub const ROOM_ATTRIBUTE: &str = "zego.room";

/// The newest extra information of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomExtraInfo {
    /// The key.
    pub key: String,
    /// The value; may be empty.
    pub value: String,
    /// Who set it.
    pub user_id: String,
    /// When, in Unix milliseconds: by the server's clock, or by the writer's where the server does not know of it.
    pub time_ms: u64,
}

/// In the room's metadata, beside whatever else is there.
#[derive(Deserialize)]
struct Metadata {
    zego: RoomExtraInfo,
}

impl RoomExtraInfo {
    /// The attribute's text.
    #[must_use]
    pub fn attribute(&self) -> String {
        serde_json::json!({
            "key": self.key, "value": self.value, "user_id": self.user_id, "time_ms": self.time_ms
        })
        .to_string()
    }

    /// Reads a room's metadata.
    #[must_use]
    pub fn of_room(metadata: &str) -> Option<Self> {
        serde_json::from_str::<Metadata>(metadata).ok().map(|metadata| metadata.zego)
    }

    /// The newest that a participant carries; of two of the same moment, the same one for everybody.
    #[must_use]
    pub fn of_people(people: &[proto::ParticipantInfo]) -> Option<Self> {
        let carried = people.iter().filter_map(|person| person.attributes.get(ROOM_ATTRIBUTE));
        let read = carried.filter_map(|text| serde_json::from_str::<Self>(text).ok());
        read.max_by(|a, b| (a.time_ms, &a.user_id).cmp(&(b.time_ms, &b.user_id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(value: &str, user_id: &str, time_ms: u64) -> RoomExtraInfo {
        RoomExtraInfo { key: "mode".to_owned(), value: value.to_owned(), user_id: user_id.to_owned(), time_ms }
    }

    fn person(attribute: &str) -> proto::ParticipantInfo {
        let attributes = [(ROOM_ATTRIBUTE.to_owned(), attribute.to_owned())].into();
        proto::ParticipantInfo { attributes, ..Default::default() }
    }

    #[test]
    fn a_room_s_metadata_may_hold_other_things() {
        let text = r#"{"topic":"x","zego":{"key":"mode","value":"night","user_id":"door","time_ms":7}}"#;
        assert_eq!(RoomExtraInfo::of_room(text), Some(info("night", "door", 7)));
        for text in ["", "night", "{}", r#"{"zego":{"key":"mode"}}"#, r#"{"zego":7}"#] {
            assert_eq!(RoomExtraInfo::of_room(text), None, "{text}");
        }
    }

    #[test]
    fn the_newest_that_somebody_carries_counts() {
        let people = [
            person(&info("old", "desk", 5).attribute()),
            person(&info("new", "door", 9).attribute()),
            person("rubbish"),
            proto::ParticipantInfo::default(),
        ];
        assert_eq!(RoomExtraInfo::of_people(&people), Some(info("new", "door", 9)));
        assert_eq!(RoomExtraInfo::of_people(&people[2..]), None);
    }
}
