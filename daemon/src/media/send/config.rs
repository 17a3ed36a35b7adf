//! How senders are set up, and what they count.

use std::time::Duration;

use crate::audio::Channels;
use crate::rtc;

/// How video is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoConfig {
    /// Encoded width in pixels, even.
    pub width: u32,
    /// Encoded height in pixels, even.
    pub height: u32,
    /// Most pictures a second.
    pub fps: u32,
    /// Bit rate in kbit/s.
    pub bitrate_kbps: u32,
    /// Seconds between unasked key frames; 0 = none (who needs one asks).
    pub key_frame_interval_s: u32,
}

/// How sound is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioConfig {
    /// Bit rate in kbit/s, 6 to 510.
    pub bitrate_kbps: u32,
    /// Channels that are sent, whatever the microphone has. They do not change while a sender runs.
    pub channels: Channels,
}

/// Counters of a video sender; rates are for the reader to compute from two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VideoSendStatistics {
    /// Pictures that the camera gave.
    pub captured: u64,
    /// Pictures that were left out to keep to the configured rate.
    pub thinned: u64,
    /// Pictures that were left out because the encoder was still busy.
    pub dropped: u64,
    /// Pictures encoded.
    pub encoded: u64,
    /// Pictures sent.
    pub sent: u64,
    /// Key frames among them.
    pub key_frames: u64,
    /// Time the encoder took, in sum.
    pub encode_time: Duration,
    /// Bit rate that the encoder is asked for now, kbit/s.
    pub target_kbps: u32,
    /// Encoded width in pixels; 0 before the first picture.
    pub width: u32,
    /// Encoded height in pixels; 0 before the first picture.
    pub height: u32,
    /// `openh264`, or `passthrough` when the camera delivers H.264.
    pub encoder: &'static str,
    /// What the connection counted.
    pub rtp: rtc::SenderStatistics,
}

/// Counters of a sound sender.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AudioSendStatistics {
    /// Frames of 10 ms that the microphone gave.
    pub captured: u64,
    /// Packets of 20 ms sent.
    pub sent: u64,
    /// What the connection counted.
    pub rtp: rtc::SenderStatistics,
}
