//! Where a picture goes and how it is shown there, in words.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

pub(super) const VIEWS: &str = "none|null|pipe:FILE|id:N";
pub(super) const VIEWS_HELP: &str = "\
Where the picture goes:
  none           nowhere
  null           decoded and counted, shown nowhere
  pipe:FILE      as Y4M to a file, FIFO or - (standard output), until Ctrl-C
  id:N           to a view that is there already, such as another program's texture
  kms:CONNECTOR  to a screen: not in this version
  v4l2:DEVICE    to a V4L2 output: not in this version";

/// Where a picture goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewTarget {
    /// Nowhere: sound only.
    None,
    /// Decoded and counted.
    Null,
    /// A view that somebody made before, by its id.
    Existing(u64),
    /// A screen's connector. Not in this version: the daemon says so.
    Kms(String),
    /// A V4L2 output. Not in this version: the daemon says so.
    V4l2(String),
    /// A file, FIFO or (`-`) standard output, as Y4M.
    Pipe(PathBuf),
}

impl FromStr for ViewTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<ViewTarget, String> {
        let wrong = || format!("a view is one of {VIEWS}");
        match text.split_once(':') {
            None if text == "none" => Ok(ViewTarget::None),
            None if text == "null" => Ok(ViewTarget::Null),
            Some(("id", id)) => id.parse().map(ViewTarget::Existing).map_err(|_| wrong()),
            Some(("kms", connector)) if !connector.is_empty() => Ok(ViewTarget::Kms(connector.to_string())),
            Some(("v4l2", device)) if !device.is_empty() => Ok(ViewTarget::V4l2(device.to_string())),
            Some(("pipe", file)) if !file.is_empty() => Ok(ViewTarget::Pipe(PathBuf::from(file))),
            _ => Err(wrong()),
        }
    }
}

/// How a picture of another shape is put into a texture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ViewMode {
    /// All of it, with bars beside it.
    Fit,
    /// Over all of the texture; what stands out is cut off.
    Fill,
    /// Over all of the texture, out of shape.
    Stretch,
}

impl ViewMode {
    /// ZegoViewMode's number.
    pub const fn number(self) -> i32 {
        match self {
            ViewMode::Fit => 0,
            ViewMode::Fill => 1,
            ViewMode::Stretch => 2,
        }
    }
}

/// A colour, 0xRRGGBB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(pub u32);

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Colour, String> {
        let is_hex = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hex.then(|| u32::from_str_radix(text, 16).ok()).flatten();
        number.map(Colour).ok_or_else(|| "a colour is RRGGBB, such as 202020".to_string())
    }
}

/// Where a picture goes, and how it is shown there: `play` and `preview`.
#[derive(Debug, Args)]
pub struct Canvas {
    /// Where the picture goes. With none, only the sound is played.
    #[arg(long, value_name = VIEWS, default_value = "none", long_help = VIEWS_HELP)]
    pub view: ViewTarget,
    /// In a texture of another shape: all of the picture (fit, unless said otherwise), cut (fill) or out of shape (stretch).
    #[arg(long, value_name = "fit|fill|stretch", hide_possible_values = true)]
    pub fit: Option<ViewMode>,
    /// In a texture: the colour beside the picture; 000000 when left out.
    #[arg(long, value_name = "RRGGBB")]
    pub background: Option<Colour>,
}
