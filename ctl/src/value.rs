//! D-Bus values as JSON, property names as JSON keys.

use serde_json::{Map, Value, json};
use zbus::{OwnedVariant, Variant};

/// A value as JSON. Descriptors cannot be shown; they become null.
pub fn to_json(value: &Variant<'_>) -> Value {
    match value {
        Variant::U8(n) => json!(n),
        Variant::Bool(b) => json!(b),
        Variant::I16(n) => json!(n),
        Variant::U16(n) => json!(n),
        Variant::I32(n) => json!(n),
        Variant::U32(n) => json!(n),
        Variant::I64(n) => json!(n),
        Variant::U64(n) => json!(n),
        Variant::F64(n) => json!(n),
        Variant::Str(text) => json!(text.as_str()),
        Variant::Signature(signature) => json!(signature.to_string()),
        Variant::ObjectPath(path) => json!(path.as_str()),
        Variant::Variant(inner) => to_json(inner),
        Variant::Array(array) => array.inner().iter().map(to_json).collect(),
        Variant::Structure(structure) => structure.fields().iter().map(to_json).collect(),
        Variant::Dict(dict) => {
            let entry = |(key, value): (&Variant<'_>, &Variant<'_>)| {
                let key = match to_json(key) {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                (key, to_json(value))
            };
            Value::Object(dict.iter().map(entry).collect())
        }
        Variant::Fd(_) => Value::Null,
    }
}

/// An object's properties as JSON, `StreamID` as `stream_id`.
pub fn properties<'a>(properties: impl IntoIterator<Item = (&'a String, &'a OwnedVariant)>) -> Map<String, Value> {
    properties.into_iter().map(|(name, value)| (snake_case(name), to_json(value))).collect()
}

/// `HasAudio` as `has_audio`, `StreamID` as `stream_id`, `AppID` as `app_id`.
pub fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && after_lower {
            out.push('_');
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The text of a key; empty when it is not there.
pub fn text(object: &Map<String, Value>, key: &str) -> String {
    match object.get(key) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The number of a key, rounded to so many decimals; empty when it is not there.
pub fn number(object: &Map<String, Value>, key: &str, decimals: usize) -> String {
    object.get(key).and_then(Value::as_f64).map_or_else(String::new, |n| format!("{n:.decimals$}"))
}

/// Whether a key is true.
pub fn flag(object: &Map<String, Value>, key: &str) -> bool {
    object.get(key).and_then(Value::as_bool).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn property_names_become_keys() {
        for (name, key) in [
            ("StreamID", "stream_id"),
            ("HasAudio", "has_audio"),
            ("AppID", "app_id"),
            ("Default", "default"),
            ("OnlineUserCount", "online_user_count"),
            ("TokenExpiresAt", "token_expires_at"),
            ("stream_id", "stream_id"),
        ] {
            assert_eq!(snake_case(name), key);
        }
    }

    #[test]
    fn every_shape_of_the_bus_has_a_shape_in_json() {
        let users = Variant::new(vec![("door", "Tür")]);
        assert_eq!(to_json(&users), json!([["door", "Tür"]]));
        let quality = HashMap::from([("rtt", Variant::new(12_i32)), ("loss", Variant::new(0.5_f64))]);
        assert_eq!(to_json(&Variant::new(quality)), json!({"rtt": 12, "loss": 0.5}));
        assert_eq!(to_json(&Variant::new(u64::MAX)), json!(u64::MAX));
        assert_eq!(to_json(&Variant::new(f64::NAN)), Value::Null);
        assert_eq!(to_json(&Variant::new(Variant::new(true))), json!(true));
    }
}
