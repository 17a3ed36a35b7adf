//! The values of the configuration that have a grammar of their own.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use zego_protocol::fingerprint::Fingerprint;

/// Reads a fingerprint; an empty text is none.
pub(super) fn fingerprint_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Fingerprint>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(de::Error::custom) }
}

/// One word of the grammar of sources: either a plain word or `word:REST`.
struct Form {
    word: &'static str,
    /// Whether `word:REST` is allowed, and whether `word` alone is.
    rest: Rest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    No,
    Maybe,
    Needed,
}

impl Form {
    fn fits(&self, text: &str) -> bool {
        match text.split_once(':') {
            None => text == self.word && self.rest != Rest::Needed,
            Some((word, rest)) => word == self.word && self.rest != Rest::No && !rest.is_empty(),
        }
    }
}

macro_rules! source_word {
    ($(#[$doc:meta])* $name:ident, $default:literal, $allowed:literal, [$($word:literal $rest:ident),+]) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// The word as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Takes a word that fits the grammar.
            ///
            /// # Errors
            /// One sentence that names the word and what is allowed.
            pub fn new(text: &str) -> Result<Self, String> {
                let forms = [$(Form { word: $word, rest: Rest::$rest }),+];
                if forms.iter().any(|form| form.fits(text)) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(format!(concat!("\"{}\" is not known; allowed are ", $allowed), text))
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($default.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
    };
}

source_word!(
    /// A camera: `auto`, `v4l2:ID`, `pattern`, `pattern:NAME`, `file:PATH`, `none`.
    CameraWord, "auto", "auto, v4l2:ID, pattern, pattern:NAME, file:PATH, none",
    ["auto" No, "v4l2" Needed, "pattern" Maybe, "file" Needed, "none" No]
);
source_word!(
    /// A microphone: `auto`, `alsa:NAME`, `tone`, `tone:NAME`, `file:PATH`, `none`.
    MicrophoneWord, "auto", "auto, alsa:NAME, tone, tone:NAME, file:PATH, none",
    ["auto" No, "alsa" Needed, "tone" Maybe, "file" Needed, "none" No]
);
source_word!(
    /// A speaker: `auto`, `alsa:NAME`, `file:PATH`, `null`.
    SpeakerWord, "auto", "auto, alsa:NAME, file:PATH, null",
    ["auto" No, "alsa" Needed, "file" Needed, "null" No]
);

/// A STUN or TURN server: the string `stun:HOST:PORT`, or a table with `urls`, `username` and `credential`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceServerEntry {
    /// `stun:`, `stuns:`, `turn:` or `turns:` URLs (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// For TURN.
    pub username: String,
    /// For TURN.
    pub credential: String,
}

impl<'de> Deserialize<'de> for IceServerEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            urls: Vec<String>,
            #[serde(default)]
            username: String,
            #[serde(default)]
            credential: String,
        }
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = IceServerEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"stun:HOST:PORT\" or { urls = [\"turn:HOST\"], username = \"…\", credential = \"…\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(IceServerEntry { urls: vec![text.to_owned()], ..IceServerEntry::default() })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(IceServerEntry { urls: table.urls, username: table.username, credential: table.credential })
            }
        }
        let entry = deserializer.deserialize_any(Entry)?;
        for url in &entry.urls {
            if !["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| url.starts_with(scheme)) {
                let text = format!("\"{url}\" is not an ICE server; allowed are stun:, stuns:, turn: and turns: URLs");
                return Err(de::Error::custom(text));
            }
        }
        Ok(entry)
    }
}

/// A ZegoScenario, by its name in snake case or its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario(i32);

const SCENARIOS: [&str; 11] = [
    "general",
    "communication",
    "live",
    "default",
    "standard_video_call",
    "high_quality_video_call",
    "standard_chatroom",
    "high_quality_chatroom",
    "broadcast",
    "karaoke",
    "standard_voice_call",
];

impl Scenario {
    /// The scenario with this ZegoScenario number, if there is one.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        usize::try_from(number).is_ok_and(|number| number < SCENARIOS.len()).then_some(Self(number))
    }

    /// Its ZegoScenario number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self(3)
    }
}

impl<'de> Deserialize<'de> for Scenario {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = Scenario;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number from 0 to 10 or one of {}", SCENARIOS.join(", "))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scenario, E> {
                i32::try_from(number)
                    .ok()
                    .and_then(Scenario::from_number)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scenario, E> {
                let number = SCENARIOS.iter().position(|name| *name == text);
                number
                    .and_then(|number| i32::try_from(number).ok())
                    .map(Scenario)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Word)
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// And what is not as it should be.
    Warn,
    /// And what happened.
    #[default]
    Info,
    /// And how.
    Debug,
    /// And every detail.
    Trace,
}

impl LogLevel {
    /// As the `log` crate has it.
    #[must_use]
    pub const fn filter(self) -> log::LevelFilter {
        match self {
            Self::Off => log::LevelFilter::Off,
            Self::Error => log::LevelFilter::Error,
            Self::Warn => log::LevelFilter::Warn,
            Self::Info => log::LevelFilter::Info,
            Self::Debug => log::LevelFilter::Debug,
            Self::Trace => log::LevelFilter::Trace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_a_grammar() {
        for good in ["auto", "v4l2:/dev/video0", "pattern", "pattern:2", "file:/a:b", "none"] {
            assert_eq!(CameraWord::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "Auto", "auto:1", "v4l2", "v4l2:", "pattern:", "file", "none:", "alsa:x"] {
            assert!(CameraWord::new(bad).is_err(), "{bad}");
        }
        assert!(MicrophoneWord::new("alsa:hw:1,0").is_ok());
        assert!(SpeakerWord::new("null").is_ok());
        assert!(SpeakerWord::new("none").is_err());
    }

    #[test]
    fn scenarios_have_numbers() {
        assert_eq!(Scenario::from_number(10).map(Scenario::number), Some(10));
        assert_eq!(Scenario::from_number(11), None);
        assert_eq!(Scenario::from_number(-1), None);
        assert_eq!(Scenario::default().number(), 3);
    }
}
