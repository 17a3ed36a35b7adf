//! From a capture to the network.

use std::time::Duration;

use super::MediaEvents;
use super::camera::CameraCapture;
use super::codec::CodecError;
use super::microphone::MicrophoneCapture;
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

/// Sends a camera's pictures until it is dropped.
pub struct VideoSend {
    _private: (),
}

impl VideoSend {
    /// Starts the encoder's thread. Nothing is encoded before `sender` is ready; then a key frame begins.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn start(
        camera: &CameraCapture,
        config: VideoConfig,
        sender: rtc::MediaSender,
        events: MediaEvents,
    ) -> Result<Self, CodecError> {
        drop((camera.clone(), config, sender, events));
        todo!()
    }

    /// Sends nothing (`true`), or goes on with a key frame (`false`).
    pub fn set_muted(&self, muted: bool) {
        let _ = muted;
        todo!()
    }

    /// Changes size, rates and intervals from the next picture on.
    pub fn set_config(&self, config: VideoConfig) {
        let _ = config;
        todo!()
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> VideoSendStatistics {
        todo!()
    }
}

/// Sends a microphone's sound until it is dropped.
pub struct AudioSend {
    _private: (),
}

impl AudioSend {
    /// Starts sending as soon as `sender` is ready.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn start(
        microphone: &MicrophoneCapture,
        config: AudioConfig,
        sender: rtc::MediaSender,
        events: MediaEvents,
    ) -> Result<Self, CodecError> {
        drop((microphone.clone(), config, sender, events));
        todo!()
    }

    /// Sends silence (`true`), or the sound.
    pub fn set_muted(&self, muted: bool) {
        let _ = muted;
        todo!()
    }

    /// Volume of the sent sound, 0 to 200, 100 = as it is.
    pub fn set_volume(&self, percent: u8) {
        let _ = percent;
        todo!()
    }

    /// Changes the bit rate.
    pub fn set_config(&self, config: AudioConfig) {
        let _ = config;
        todo!()
    }

    /// Counters.
    #[must_use]
    pub fn statistics(&self) -> AudioSendStatistics {
        todo!()
    }
}
