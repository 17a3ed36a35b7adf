//! Arguments of the commands that set the engine up, and of those that measure it.

use std::str::FromStr;

use clap::{Args, ValueEnum};

/// `create-engine`.
#[derive(Debug, Args)]
pub struct CreateEngine {
    /// The AppID; from zegod's configuration when left out.
    #[arg(long, value_name = "N")]
    pub app_id: Option<u32>,
    /// ZEGO's scenario, 0 to 10: the defaults of picture and sound.
    #[arg(long, value_name = "N")]
    pub scenario: Option<i32>,
    /// Allow several rooms at once.
    #[arg(long)]
    pub several_rooms: bool,
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let sides = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
        let (width, height) = sides.ok_or("a size is WIDTHxHEIGHT, such as 640x360")?;
        Ok(Size { width, height })
    }
}

/// `video-config`.
#[derive(Debug, Args)]
#[group(required = true, multiple = true, args = ["preset", "capture_size", "size", "fps", "bitrate", "key_frame_interval"])]
pub struct VideoConfig {
    /// ZEGO's preset: 0 (320x180) to 5 (1920x1080). The other options go before it.
    #[arg(long, value_name = "N")]
    pub preset: Option<i32>,
    /// Of the camera's pictures; not while the camera runs.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub capture_size: Option<Size>,
    /// Of the encoded pictures.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub size: Option<Size>,
    /// Pictures per second.
    #[arg(long, value_name = "N")]
    pub fps: Option<u32>,
    /// In kbit/s.
    #[arg(long, value_name = "N")]
    pub bitrate: Option<u32>,
    /// In seconds.
    #[arg(long, value_name = "N")]
    pub key_frame_interval: Option<u32>,
    /// The publish channel.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=3))]
    pub channel: i32,
}

/// `audio-config`.
#[derive(Debug, Args)]
#[group(required = true, multiple = true, args = ["preset", "bitrate", "channels"])]
pub struct AudioConfig {
    /// ZEGO's preset: 0 16 kbit/s, 1 48, 2 56 stereo, 3 128, 4 192 stereo. The other options go before it.
    #[arg(long, value_name = "N")]
    pub preset: Option<i32>,
    /// In kbit/s.
    #[arg(long, value_name = "N")]
    pub bitrate: Option<u32>,
    /// 1 is mono, 2 is stereo; not while publishing.
    #[arg(long, value_name = "N")]
    pub channels: Option<u32>,
    /// The publish channel.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=3))]
    pub channel: i32,
}

/// Which of a stream's sizes is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layer {
    /// As the network allows.
    Auto,
    /// The smallest.
    Small,
    /// The biggest.
    Big,
}

impl Layer {
    /// The word on the bus.
    pub const fn word(self) -> &'static str {
        match self {
            Layer::Auto => "auto",
            Layer::Small => "small",
            Layer::Big => "big",
        }
    }
}

/// `levels`.
#[derive(Debug, Args)]
pub struct Levels {
    /// How often, 100 to 3000.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=3000))]
    pub interval: u32,
    /// Say, too, where somebody speaks.
    #[arg(long)]
    pub vad: bool,
}
