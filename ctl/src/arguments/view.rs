//! Where a picture goes, in words.

use std::path::PathBuf;
use std::str::FromStr;

pub(super) const VIEWS: &str = "none|kms:CONNECTOR|v4l2:DEVICE|pipe:FILE|null";
pub(super) const VIEWS_HELP: &str = "\
Where the picture goes:
  none           nowhere
  kms:CONNECTOR  to a screen, such as kms:HDMI-A-1
  v4l2:DEVICE    to a V4L2 output, such as v4l2:/dev/video9 of v4l2loopback
  pipe:FILE      as Y4M to a file, FIFO or - (standard output), until Ctrl-C
  null           decoded and counted, shown nowhere";

/// Where a picture goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewTarget {
    /// Nowhere: sound only.
    None,
    /// Decoded and counted.
    Null,
    /// A screen's connector.
    Kms(String),
    /// A V4L2 output.
    V4l2(String),
    /// A file, FIFO or (`-`) standard output, as Y4M.
    Pipe(PathBuf),
}

impl FromStr for ViewTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<ViewTarget, String> {
        match text.split_once(':') {
            None if text == "none" => Ok(ViewTarget::None),
            None if text == "null" => Ok(ViewTarget::Null),
            Some(("kms", connector)) if !connector.is_empty() => Ok(ViewTarget::Kms(connector.to_string())),
            Some(("v4l2", device)) if !device.is_empty() => Ok(ViewTarget::V4l2(device.to_string())),
            Some(("pipe", file)) if !file.is_empty() => Ok(ViewTarget::Pipe(PathBuf::from(file))),
            _ => Err(format!("a view is one of {VIEWS}")),
        }
    }
}
