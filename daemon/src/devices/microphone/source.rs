//! The names that microphones have in the configuration and on the bus.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::devices::SourceError;

/// Which microphone to use. Parses from, and displays as, the configuration's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum MicrophoneSource {
    /// `auto`: the first real capture device, or none. Never a simulated one.
    #[default]
    Auto,
    /// `alsa:NAME`: an ALSA PCM (`default`, `plughw:2,0`) or a card id (`Loopback`, `Loopback,1`).
    Alsa(String),
    /// `tone` or `tone:NAME`: the test beep; the name (empty by default) makes distinct ones.
    Tone(String),
    /// `file:PATH`: a WAV file.
    File(PathBuf),
    /// `none`: no microphone at all.
    None,
}

impl MicrophoneSource {
    /// Whether this is a sound card, which gives as many channels as it is asked for.
    #[must_use]
    pub const fn is_hardware(&self) -> bool {
        matches!(self, Self::Auto | Self::Alsa(_))
    }
}

impl FromStr for MicrophoneSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("auto", "") => Ok(Self::Auto),
            ("none", "") => Ok(Self::None),
            ("tone", name) => Ok(Self::Tone(name.to_owned())),
            ("alsa", name) if !name.is_empty() => Ok(Self::Alsa(name.to_owned())),
            ("file", path) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            _ => Err(SourceError {
                text: text.to_owned(),
                kind: "microphone",
                allowed: "auto, alsa:NAME, tone, tone:NAME, file:PATH, none",
            }),
        }
    }
}

impl fmt::Display for MicrophoneSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => out.write_str("auto"),
            Self::None => out.write_str("none"),
            Self::Tone(name) if name.is_empty() => out.write_str("tone"),
            Self::Tone(name) => write!(out, "tone:{name}"),
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
        fn whatever_is_read_is_written_so_that_it_is_read_again(text in "(auto|none|alsa|tone|file)?(:[ -~é]{0,20})?") {
            if let Ok(source) = text.parse::<MicrophoneSource>() {
                prop_assert_eq!(source.to_string().parse::<MicrophoneSource>().ok(), Some(source));
            }
        }
    }

    #[test]
    fn every_word_of_the_configuration_comes_back_as_it_was() {
        for text in ["auto", "none", "tone", "tone:2", "alsa:plughw:2,0", "file:/tmp/a.wav"] {
            let source: MicrophoneSource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
    }

    #[test]
    fn a_wrong_word_is_refused_with_the_ones_that_exist() {
        for text in ["", "pattern", "alsa", "alsa:", "file:", "null"] {
            let error = text.parse::<MicrophoneSource>().unwrap_err().to_string();
            assert!(error.contains("alsa:NAME") && error.contains(&format!("\"{text}\"")), "{error}");
        }
    }
}
