//! The engine's values as D-Bus has them.

use std::collections::HashMap;

use zbus::{OwnedObjectPath, Variant};
use zego_protocol::names;
use zego_protocol::state::StreamDeleteReason;

use crate::engine::{Quality, QualityValue, RemoteStream, User};

/// `a{sv}`.
pub(super) type Dictionary = HashMap<String, Variant<'static>>;
/// `(sssa{sv})`: stream id, user id, user name, what else there is.
pub(super) type StreamValue = (String, String, String, Dictionary);

/// The path of an object, or that of no object.
pub(super) fn path(path: Option<String>) -> OwnedObjectPath {
    let path = path.unwrap_or_else(|| names::NO_OBJECT.to_owned());
    OwnedObjectPath::try_from(path).expect("paths are made of names and numbers")
}

/// `(ss)` of a user.
pub(super) fn user(user: &User) -> (String, String) {
    (user.id.clone(), user.name.clone())
}

/// A stream with what is known of it.
pub(super) fn stream(stream: &RemoteStream, deleted: Option<StreamDeleteReason>) -> StreamValue {
    let mut more = Dictionary::new();
    more.insert("extra_info".to_owned(), stream.extra_info.clone().into());
    more.insert("has_audio".to_owned(), stream.has_audio.into());
    more.insert("has_video".to_owned(), stream.has_video.into());
    if let Some(reason) = deleted {
        more.insert("delete_reason".to_owned(), reason.number().into());
    }
    (stream.stream_id.clone(), stream.user.id.clone(), stream.user.name.clone(), more)
}

/// A quality dictionary.
pub(super) fn quality(quality: &Quality) -> Dictionary {
    let value = |value: &QualityValue| match value {
        QualityValue::Double(value) => Variant::from(*value),
        QualityValue::Int(value) => Variant::from(*value),
        QualityValue::Count(value) => Variant::from(*value),
        QualityValue::Flag(value) => Variant::from(*value),
    };
    quality.iter().map(|(name, given)| ((*name).to_owned(), value(given))).collect()
}

/// `extended_data` of a state signal: the numbers as words.
pub(super) fn extended(state: &str, reason: &str, message: &str) -> Dictionary {
    [("state", state), ("reason", reason), ("message", message)]
        .into_iter()
        .map(|(key, word)| (key.to_owned(), word.to_owned().into()))
        .collect()
}
