//! The verbs about how pictures and sound are captured and encoded.

use zego_protocol::id;

use super::channel::{ChannelInput, VideoSettings};
use super::core::Core;
use super::error::EngineError;
use super::handle::Engine;
use super::request::{AudioChoice, VideoChoice};
use super::scenario::ScenarioDefaults;
use crate::audio::Channels;
use crate::devices::camera::CaptureWish;
use crate::media::send::AudioConfig;

impl Core {
    pub(super) fn video_settings(&self, channel: i32) -> VideoSettings {
        if let Some(settings) = self.video.get(&channel) {
            return *settings;
        }
        let (camera, video, scenario) = (&self.config.camera, &self.config.video, ScenarioDefaults::of(self.scenario));
        let wish = CaptureWish {
            width: camera.width.unwrap_or(scenario.size.0),
            height: camera.height.unwrap_or(scenario.size.1),
            fps: camera.fps.unwrap_or(scenario.fps),
        };
        VideoSettings {
            wish,
            size: match (video.width, video.height) {
                (None, None) => None,
                (width, height) => Some((width.unwrap_or(wish.width), height.unwrap_or(wish.height))),
            },
            fps: video.fps,
            bitrate_kbps: video.bitrate_kbps.unwrap_or(scenario.video_kbps),
            key_frame_interval_s: video.key_frame_interval_s,
        }
    }

    pub(super) fn audio_config(&self, channel: i32) -> AudioConfig {
        let scenario = ScenarioDefaults::of(self.scenario);
        let bitrate_kbps = self.config.audio.bitrate_kbps.unwrap_or(scenario.audio_kbps);
        self.audio.get(&channel).copied().unwrap_or(AudioConfig { bitrate_kbps, channels: Channels::Mono })
    }

    fn set_video(&mut self, channel: i32, choice: &VideoChoice) -> Result<(), EngineError> {
        id::channel(channel)?;
        let mut settings = self.video_settings(channel);
        let within = |name: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) {
                return Ok(value);
            }
            Err(EngineError::argument(&format!("{name} {value} is out of range; use {least} to {most}")))
        };
        let even = |name: &str, value: u32| {
            if within(name, value, 16, 4096)? % 2 == 0 {
                return Ok(value);
            }
            Err(EngineError::argument(&format!("{name} {value} is odd; use an even number")))
        };
        let mut wish = settings.wish;
        if let Some(width) = choice.capture_width {
            wish.width = even("capture_width", width)?;
        }
        if let Some(height) = choice.capture_height {
            wish.height = even("capture_height", height)?;
        }
        let runs = self.channels.get(&channel).is_some_and(|entry| entry.previewing || entry.publishing.is_some());
        if !runs {
            settings.wish = wish;
        } else if wish != settings.wish && !choice.preset {
            let detail = format!("The capture size of channel {channel} cannot change while its camera runs");
            return Err(EngineError::new(1_000_066, &detail));
        }
        if choice.encode_width.is_some() || choice.encode_height.is_some() {
            let (width, height) = settings.size.unwrap_or((settings.wish.width, settings.wish.height));
            let width = even("encode_width", choice.encode_width.unwrap_or(width))?;
            let height = even("encode_height", choice.encode_height.unwrap_or(height))?;
            settings.size = Some((width, height));
        }
        if let Some(fps) = choice.fps {
            settings.fps = Some(within("fps", fps, 1, 120)?);
            settings.wish.fps = fps;
        }
        if let Some(bitrate) = choice.bitrate {
            if !(10..=50_000).contains(&bitrate) {
                return Err(EngineError::new(1_003_002, &format!("The bit rate {bitrate} is not 10 to 50000 kbit/s")));
            }
            settings.bitrate_kbps = bitrate;
        }
        if let Some(interval) = choice.key_frame_interval {
            settings.key_frame_interval_s = within("key_frame_interval", interval, 1, 60)?;
        }
        self.ensure_created();
        self.video.insert(channel, settings);
        if let Some(entry) = self.channels.get(&channel) {
            entry.channel.tell(ChannelInput::Video(settings));
        }
        Ok(())
    }

    fn set_audio(&mut self, channel: i32, choice: AudioChoice) -> Result<(), EngineError> {
        id::channel(channel)?;
        let mut config = self.audio_config(channel);
        if let Some(bitrate) = choice.bitrate {
            if !(6..=510).contains(&bitrate) {
                return Err(EngineError::new(1_003_002, &format!("The bit rate {bitrate} is not 6 to 510 kbit/s")));
            }
            config.bitrate_kbps = bitrate;
        }
        if let Some(channels) = choice.channels.filter(|channels| *channels != config.channels) {
            if self.channels.get(&channel).is_some_and(|entry| entry.publishing.is_some()) {
                let detail =
                    format!("The number of sound channels of channel {channel} cannot change while it publishes");
                return Err(EngineError::new(1_000_066, &detail));
            }
            config.channels = channels;
        }
        self.ensure_created();
        self.audio.insert(channel, config);
        if let Some(entry) = self.channels.get(&channel) {
            entry.channel.tell(ChannelInput::Audio(config));
        }
        Ok(())
    }
}

impl Engine {
    /// SetVideoConfig: from the next picture on; the capture size only while neither preview nor publisher runs.
    ///
    /// # Errors
    /// No such channel, a value out of range, 1000066 for another capture size while the camera runs.
    pub async fn set_video(&self, channel: i32, choice: VideoChoice) -> Result<(), EngineError> {
        self.with(move |core| core.set_video(channel, &choice)).await
    }

    /// SetAudioConfig: the number of sound channels only while nothing is published.
    ///
    /// # Errors
    /// No such channel, a value out of range, 1000066 for other channels while it publishes: nothing changes then.
    pub async fn set_audio(&self, channel: i32, choice: AudioChoice) -> Result<(), EngineError> {
        self.with(move |core| core.set_audio(channel, choice)).await
    }
}
