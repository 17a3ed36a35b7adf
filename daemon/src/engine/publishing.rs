//! The verbs about publishing, previews and devices.

use tokio::sync::oneshot;
use zego_protocol::id;
use zego_protocol::state::ZegoPublisherState;

use super::channel::{ChannelInput, ChannelSetup, PublishJob, VideoSettings, Want, start};
use super::core::{ChannelEntry, Core, Published};
use super::error::EngineError;
use super::handle::{Engine, Reply};
use super::player::PlayerInput;
use super::request::{AudioChoice, CanvasRequest, Publish, VideoChoice};
use super::rooms::PATIENCE;
use super::scenario::ScenarioDefaults;
use super::token;
use crate::audio::Channels;
use crate::devices::camera::CaptureWish;
use crate::devices::registry::DeviceSource;
use crate::media::send::AudioConfig;

/// A call whose outcome is not known yet.
type Outcome<T> = oneshot::Receiver<Result<T, EngineError>>;

impl Core {
    /// The channel, whose task is started with its first use.
    pub(super) fn channel(&mut self, number: i32) -> Result<&mut ChannelEntry, EngineError> {
        id::channel(number)?;
        if !self.channels.contains_key(&number) {
            let (channel, task) = start(ChannelSetup {
                number,
                camera: self.configured.camera(number),
                microphone: self.configured.microphone(),
                video: self.video_settings(number),
                audio: self.audio_config(number),
                microphone_muted: self.info.microphone_muted,
                camera_enabled: ScenarioDefaults::of(self.scenario).camera,
                captures: self.captures.clone(),
                news: self.news.clone(),
            });
            let entry = ChannelEntry { channel, publishing: None, preview: None, previewing: false, task };
            self.channels.insert(number, entry);
        }
        self.channels.get_mut(&number).ok_or_else(|| EngineError::internal("The channel is gone"))
    }

    fn video_settings(&self, channel: i32) -> VideoSettings {
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

    fn audio_config(&self, channel: i32) -> AudioConfig {
        let scenario = ScenarioDefaults::of(self.scenario);
        let bitrate_kbps = self.config.audio.bitrate_kbps.unwrap_or(scenario.audio_kbps);
        self.audio.get(&channel).copied().unwrap_or(AudioConfig { bitrate_kbps, channels: Channels::Mono })
    }

    fn publish(&mut self, publish: Publish) -> Result<Outcome<ZegoPublisherState>, EngineError> {
        id::stream_id(&publish.stream_id)?;
        id::channel(publish.channel)?;
        id::stream_extra_info(&publish.extra_info)?;
        if publish.audio == Some(false) && publish.video == Some(false) {
            return Err(EngineError::argument("A stream needs sound or pictures; leave out audio or video"));
        }
        let entry = self.room_entry(&publish.room_id, 1_003_070)?;
        token::check_publish(&entry.options.token, &publish.stream_id)?;
        let room = entry.room.clone();
        if let Some(other) = self.channels.get(&publish.channel).and_then(|entry| entry.publishing.as_ref()) {
            let detail = format!("Channel {} publishes stream '{}'", publish.channel, other.stream_id);
            return Err(EngineError::new(1_003_023, &detail));
        }
        let is_ours = |entry: &ChannelEntry| {
            entry.publishing.as_ref().is_some_and(|published| published.stream_id == publish.stream_id)
        };
        if self.channels.values().any(is_ours) {
            let detail = format!("Stream '{}' is published on another channel", publish.stream_id);
            return Err(EngineError::new(1_003_028, &detail));
        }
        let (channel, serial) = (publish.channel, self.next_number());
        let ended = self.later(move |core| {
            if let Some(entry) = core.channels.get_mut(&channel)
                && entry.publishing.as_ref().is_some_and(|published| published.serial == serial)
            {
                entry.publishing = None;
            }
        });
        self.published_before.insert(publish.stream_id.clone());
        let (outcome, outcome_is) = oneshot::channel();
        let room_number = room.number;
        let entry = self.channel(channel)?;
        entry.publishing = Some(Published {
            serial,
            stream_id: publish.stream_id.clone(),
            room: room_number,
            extra_info: publish.extra_info.clone(),
        });
        entry.channel.tell(ChannelInput::Publish(Box::new(PublishJob {
            stream_id: publish.stream_id,
            room,
            audio: Want::from_option(publish.audio),
            video: Want::from_option(publish.video),
            extra_info: publish.extra_info,
            outcome,
            ended,
        })));
        Ok(outcome_is)
    }

    fn set_stream_extra_info(&mut self, stream_id: &str, text: String, reply: Reply<()>) {
        let published = self.channels.values_mut().find_map(|entry| {
            Some((&entry.channel, entry.publishing.as_mut()?)).filter(|(_, p)| p.stream_id == stream_id)
        });
        match published {
            Some((channel, published)) => {
                published.extra_info.clone_from(&text);
                channel.tell(ChannelInput::ExtraInfo(text, reply));
            }
            None => {
                let _ = reply.send(Err(EngineError::new(1_003_001, &format!("Stream '{stream_id}' is not published"))));
            }
        }
    }

    fn stop_publishing(&mut self, stream_id: &str, reply: Reply<()>) {
        let found = self.channels.iter_mut().find(|(number, entry)| match (&entry.publishing, stream_id) {
            (Some(_), "") => **number == 0,
            (Some(published), id) => published.stream_id == id,
            (None, _) => false,
        });
        match found {
            Some((_, entry)) => {
                entry.publishing = None;
                entry.channel.tell(ChannelInput::Stop(reply));
            }
            None if stream_id.is_empty() || self.published_before.contains(stream_id) => {
                let _ = reply.send(Ok(()));
            }
            None => {
                let _ = reply.send(Err(EngineError::new(1_003_001, &format!("Stream '{stream_id}' is not published"))));
            }
        }
    }

    /// Ends what is published and played in a room; the receivers hear when each has ended.
    pub(super) fn end_streams_of(&mut self, room: u64) -> Vec<Outcome<()>> {
        let mut waits = Vec::new();
        for entry in self.channels.values_mut() {
            if entry.publishing.as_ref().is_some_and(|published| published.room == room) {
                entry.publishing = None;
                let (reply, wait) = oneshot::channel();
                entry.channel.tell(ChannelInput::Stop(reply));
                waits.push(wait);
            }
        }
        let gone: Vec<String> =
            self.players.iter().filter(|(_, entry)| entry.player.room == room).map(|(id, _)| id.clone()).collect();
        for id in gone {
            if let Some(entry) = self.players.remove(&id) {
                let (reply, wait) = oneshot::channel();
                entry.player.tell(PlayerInput::Stop(reply));
                self.view_is_free(entry.view);
                waits.push(wait);
            }
        }
        waits
    }

    pub(super) fn stop_all_previews(&mut self) {
        let freed: Vec<Option<u64>> = self
            .channels
            .values_mut()
            .filter(|entry| entry.previewing)
            .map(|entry| {
                entry.previewing = false;
                let (reply, _) = oneshot::channel();
                entry.channel.tell(ChannelInput::StopPreview(reply));
                entry.preview.take()
            })
            .collect();
        for view in freed {
            self.view_is_free(view);
        }
    }

    fn start_preview(&mut self, canvas: &CanvasRequest, channel: i32) -> Result<Outcome<()>, EngineError> {
        id::channel(channel)?;
        self.ensure_created();
        let view = self.view_for(canvas, true)?;
        let shown = view.as_ref().map(|view| view.id());
        if let Some(id) = shown {
            self.leave_view(id);
        }
        let entry = self.channel(channel)?;
        entry.previewing = true;
        let freed = std::mem::replace(&mut entry.preview, shown).filter(|old| Some(*old) != shown);
        let (opened, is_open) = oneshot::channel();
        entry.channel.tell(ChannelInput::Preview(view, opened));
        self.view_is_free(freed);
        if let Some(view) = shown {
            self.view_shows(view, "preview");
        }
        Ok(is_open)
    }

    fn preview_ended(&mut self, channel: i32) {
        if let Some(entry) = self.channels.get_mut(&channel) {
            entry.previewing = false;
            let freed = entry.preview.take();
            self.view_is_free(freed);
            self.rest_if_idle();
        }
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

    fn use_device(&mut self, device: u64, channel: i32, reply: Reply<()>) {
        let Some(source) = self.table.device_of(device).map(|device| device.source) else {
            let _ = reply.send(Err(EngineError::new(1_006_002, "There is no such device object")));
            return;
        };
        self.ensure_created();
        let entry = match self.channel(channel) {
            Ok(entry) => entry,
            Err(error) => {
                let _ = reply.send(Err(error));
                return;
            }
        };
        match source {
            DeviceSource::Camera(source) => entry.channel.tell(ChannelInput::UseCamera(source, reply)),
            DeviceSource::Microphone(source) => entry.channel.tell(ChannelInput::UseMicrophone(source, reply)),
            DeviceSource::Speaker(sink) => self.use_speaker(sink, reply),
        }
    }
}

/// The outcome of a call that was waited for long enough, or nothing.
async fn in_time<T>(outcome: Outcome<T>) -> Result<Option<T>, EngineError> {
    match tokio::time::timeout(PATIENCE, outcome).await {
        Ok(Ok(outcome)) => outcome.map(Some),
        Ok(Err(_)) => Err(EngineError::internal("The task ended without an outcome")),
        Err(_) => Ok(None),
    }
}

impl Engine {
    /// StartPublishing: the state that was reached. With no answer for a while it is "requesting", and goes on.
    ///
    /// # Errors
    /// No room, a busy channel, a stream that exists, a device that fails, a token that does not allow it.
    pub async fn publish(&self, publish: Publish) -> Result<ZegoPublisherState, EngineError> {
        let outcome = self.with(move |core| core.publish(publish)).await?;
        Ok(in_time(outcome).await?.unwrap_or(ZegoPublisherState::PublishRequesting))
    }

    /// StopPublishing; "" = the main channel's.
    ///
    /// # Errors
    /// 1003001 for a stream that was never published.
    pub async fn stop_publishing(&self, stream_id: &str) -> Result<(), EngineError> {
        let stream_id = stream_id.to_owned();
        self.ask(move |core, reply| core.stop_publishing(&stream_id, reply)).await
    }

    /// SetStreamExtraInfo: others in the room see it.
    ///
    /// # Errors
    /// 1003051 for a text that is too long, 1003001 for a stream that is not published.
    pub async fn set_stream_extra_info(&self, stream_id: &str, text: &str) -> Result<(), EngineError> {
        id::stream_id(stream_id)?;
        id::stream_extra_info(text)?;
        let (stream_id, text) = (stream_id.to_owned(), text.to_owned());
        self.ask(move |core, reply| core.set_stream_extra_info(&stream_id, text, reply)).await
    }

    /// StartPreview: returns when the camera is open.
    ///
    /// # Errors
    /// No such view or channel, a camera that fails.
    pub async fn start_preview(&self, canvas: CanvasRequest, channel: i32) -> Result<(), EngineError> {
        let outcome = self.with(move |core| core.start_preview(&canvas, channel)).await?;
        let result = in_time(outcome).await.map(|_| ());
        if result.is_err() {
            self.with(move |core| {
                core.preview_ended(channel);
                Ok(())
            })
            .await?;
        }
        result
    }

    /// StopPreview; none running is fine.
    ///
    /// # Errors
    /// No such channel.
    pub async fn stop_preview(&self, channel: i32) -> Result<(), EngineError> {
        id::channel(channel)?;
        self.ask(move |core, reply| {
            core.preview_ended(channel);
            match core.channels.get(&channel) {
                Some(entry) => entry.channel.tell(ChannelInput::StopPreview(reply)),
                None => {
                    let _ = reply.send(Ok(()));
                }
            }
        })
        .await
    }

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

    /// EnableCamera: a camera that is not enabled is released, and what it is needed for goes on without.
    ///
    /// # Errors
    /// No such channel, a camera that fails.
    pub async fn enable_camera(&self, enable: bool, channel: i32) -> Result<(), EngineError> {
        self.ask(move |core, reply| {
            core.ensure_created();
            match core.channel(channel) {
                Ok(entry) => entry.channel.tell(ChannelInput::EnableCamera(enable, reply)),
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            }
        })
        .await
    }

    /// UseDevice: a camera, microphone or speaker by the number of its object, also while it is needed.
    ///
    /// # Errors
    /// No such device or channel, a device that fails: the old one goes on then.
    pub async fn use_device(&self, device: u64, channel: i32) -> Result<(), EngineError> {
        self.ask(move |core, reply| core.use_device(device, channel, reply)).await
    }

    /// The publisher's property AudioMuted.
    ///
    /// # Errors
    /// 1003001 when the channel publishes nothing.
    pub async fn mute_published_audio(&self, channel: i32, muted: bool) -> Result<(), EngineError> {
        self.to_publisher(channel, move |reply| ChannelInput::MuteAudio(muted, reply)).await
    }

    /// The publisher's property VideoMuted.
    ///
    /// # Errors
    /// 1003001 when the channel publishes nothing.
    pub async fn mute_published_video(&self, channel: i32, muted: bool) -> Result<(), EngineError> {
        self.to_publisher(channel, move |reply| ChannelInput::MuteVideo(muted, reply)).await
    }

    /// The publisher's property CaptureVolume, 0 to 200.
    ///
    /// # Errors
    /// 1000017 out of range, 1003001 when the channel publishes nothing.
    pub async fn set_capture_volume(&self, channel: i32, volume: i32) -> Result<(), EngineError> {
        id::volume(volume)?;
        self.to_publisher(channel, move |reply| ChannelInput::Volume(volume, reply)).await
    }

    async fn to_publisher(
        &self,
        channel: i32,
        input: impl FnOnce(Reply<()>) -> ChannelInput + Send + 'static,
    ) -> Result<(), EngineError> {
        self.ask(move |core, reply| match core.channels.get(&channel) {
            Some(entry) => entry.channel.tell(input(reply)),
            None => {
                let _ = reply.send(Err(EngineError::new(1_003_001, &format!("Channel {channel} publishes nothing"))));
            }
        })
        .await
    }
}
