//! The names that cameras have in the configuration and on the bus.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::devices::SourceError;

/// Which camera to use. Parses from, and displays as, the configuration's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum CameraSource {
    /// `auto`: the first real camera, or none. Never a simulated one.
    #[default]
    Auto,
    /// `v4l2:ID`: a V4L2 capture device by its stable id, its node (`/dev/video0`) or its card name.
    V4l2(String),
    /// `pattern` or `pattern:NAME`: the moving test picture; the name (empty by default) makes distinct ones.
    Pattern(String),
    /// `file:PATH`: a Y4M file or FIFO, or an Annex-B `.h264` file.
    File(PathBuf),
    /// `none`: no camera at all.
    None,
}

impl FromStr for CameraSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("auto", "") => Ok(Self::Auto),
            ("none", "") => Ok(Self::None),
            ("pattern", name) => Ok(Self::Pattern(name.to_owned())),
            ("v4l2", id) if !id.is_empty() => Ok(Self::V4l2(id.to_owned())),
            ("file", path) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            _ => Err(SourceError {
                text: text.to_owned(),
                kind: "camera",
                allowed: "auto, v4l2:ID, pattern, pattern:NAME, file:PATH, none",
            }),
        }
    }
}

impl fmt::Display for CameraSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => out.write_str("auto"),
            Self::None => out.write_str("none"),
            Self::Pattern(name) if name.is_empty() => out.write_str("pattern"),
            Self::Pattern(name) => write!(out, "pattern:{name}"),
            Self::V4l2(id) => write!(out, "v4l2:{id}"),
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
        fn whatever_is_read_is_written_so_that_it_is_read_again(text in "(auto|none|v4l2|pattern|file)?(:[ -~é]{0,20})?") {
            if let Ok(source) = text.parse::<CameraSource>() {
                prop_assert_eq!(source.to_string().parse::<CameraSource>().ok(), Some(source));
            }
        }
    }

    #[test]
    fn every_word_of_the_configuration_comes_back_as_it_was() {
        for text in [
            "auto",
            "none",
            "pattern",
            "pattern:2",
            "v4l2:/dev/video0",
            "v4l2:platform-vivid.0-video-index0",
            "file:/tmp/a:b.y4m",
        ] {
            let source: CameraSource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        assert_eq!("pattern:".parse::<CameraSource>().unwrap(), CameraSource::Pattern(String::new()));
    }

    #[test]
    fn a_wrong_word_is_refused_with_the_ones_that_exist() {
        for text in ["", "Auto", "auto:x", "v4l2", "v4l2:", "file:", "webcam", "none:1"] {
            let error = text.parse::<CameraSource>().unwrap_err().to_string();
            assert!(error.contains("v4l2:ID") && error.contains(&format!("\"{text}\"")), "{error}");
        }
    }
}
