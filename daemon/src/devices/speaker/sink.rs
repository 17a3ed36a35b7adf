//! The names that speakers have in the configuration and on the bus.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::devices::SourceError;

/// Which speaker to use. Parses from, and displays as, the configuration's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpeakerSink {
    /// `auto`: the first real playback device, or none.
    #[default]
    Auto,
    /// `alsa:NAME`: an ALSA PCM (`default`, `plughw:2,0`) or a card id (`Loopback`, `Loopback,1`).
    Alsa(String),
    /// `file:PATH`: a WAV file that grows while it plays.
    File(PathBuf),
    /// `null`: silence, at the pace of a real device.
    Null,
}

impl FromStr for SpeakerSink {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("auto", "") => Ok(Self::Auto),
            ("null", "") => Ok(Self::Null),
            ("alsa", name) if !name.is_empty() => Ok(Self::Alsa(name.to_owned())),
            ("file", path) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            _ => {
                Err(SourceError { text: text.to_owned(), kind: "speaker", allowed: "auto, alsa:NAME, file:PATH, null" })
            }
        }
    }
}

impl fmt::Display for SpeakerSink {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => out.write_str("auto"),
            Self::Null => out.write_str("null"),
            Self::Alsa(name) => write!(out, "alsa:{name}"),
            Self::File(path) => write!(out, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_read_is_written_so_that_it_is_read_again(text in "(auto|null|alsa|file)?(:[ -~é]{0,20})?") {
            if let Ok(sink) = text.parse::<SpeakerSink>() {
                prop_assert_eq!(sink.to_string().parse::<SpeakerSink>().ok(), Some(sink));
            }
        }
    }

    #[test]
    fn every_word_of_the_configuration_comes_back_as_it_was() {
        for text in ["auto", "null", "alsa:default", "file:/tmp/out.wav"] {
            let sink: SpeakerSink = text.parse().unwrap();
            assert_eq!(sink.to_string(), text);
        }
    }

    #[test]
    fn a_wrong_word_is_refused_with_the_ones_that_exist() {
        for text in ["", "none", "tone", "alsa:", "file:"] {
            let error = text.parse::<SpeakerSink>().unwrap_err().to_string();
            assert!(error.contains("alsa:NAME") && error.contains(&format!("\"{text}\"")), "{error}");
        }
    }
}
