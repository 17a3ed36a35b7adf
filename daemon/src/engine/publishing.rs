//! The verbs about publishing and its devices.

use tokio::sync::oneshot;
use zego_protocol::id;
use zego_protocol::state::ZegoPublisherState;

use super::channel::{ChannelInput, ChannelSetup, PublishJob, Until, Want, start};
use super::core::{ChannelEntry, Core, Published};
use super::endpoint;
use super::error::EngineError;
use super::handle::{Engine, Reply, Task};
use super::player::PlayerInput;
use super::request::Publish;
use super::rooms::PATIENCE;
use super::scenario::ScenarioDefaults;
use super::token;
use crate::devices::registry::DeviceSource;
use crate::signal::Direction;

/// A call whose outcome is not known yet.
pub(super) type Outcome<T> = oneshot::Receiver<Result<T, EngineError>>;

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

    fn publish(&mut self, publish: Publish) -> Result<Outcome<ZegoPublisherState>, EngineError> {
        id::stream_id(&publish.stream_id)?;
        id::channel(publish.channel)?;
        id::stream_extra_info(&publish.extra_info)?;
        if publish.audio == Some(false) && publish.video == Some(false) {
            return Err(EngineError::argument("A stream needs sound or pictures; leave out audio or video"));
        }
        let endpoint = publish.endpoint.as_ref();
        let url = endpoint.map(|given| endpoint::check(given, &publish.room_id)).transpose()?;
        let room = if url.is_some() {
            if !publish.extra_info.is_empty() {
                let message = "A stream at a WHIP endpoint has no extra information; leave out extra_info";
                return Err(EngineError::argument(message));
            }
            None
        } else {
            let entry = self.room_entry(&publish.room_id, 1_003_070)?;
            token::check_publish(&entry.options.token, &publish.stream_id)?;
            Some(entry.room.clone())
        };
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
        self.published_before.insert(&publish.stream_id);
        let room = match (room, url, publish.endpoint) {
            (None, Some(url), Some(endpoint)) => {
                self.ensure_created();
                self.start_endpoint(url, endpoint, Direction::Publish, &publish.stream_id)
            }
            (Some(room), ..) => room,
            (None, ..) => return Err(EngineError::internal("A stream without a place")),
        };
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
        let found = self.channels.iter().find_map(|(number, entry)| {
            let published = entry.publishing.as_ref().filter(|published| published.stream_id == stream_id)?;
            Some((*number, published.serial, &entry.channel))
        });
        let Some((number, serial, channel)) = found else {
            let _ = reply.send(Err(EngineError::new(1_003_001, &format!("Stream '{stream_id}' is not published"))));
            return;
        };
        let (taken, is_taken) = oneshot::channel();
        channel.tell(ChannelInput::ExtraInfo(text.clone(), taken));
        // The list of streams shows what the server took.
        let tasks = self.tasks.clone();
        tokio::spawn(async move {
            let taken = is_taken.await.unwrap_or_else(|_| Err(EngineError::new(1_003_001, "The publisher ended")));
            let task: Task = Box::new(move |core| {
                let entry = core.channels.get_mut(&number).and_then(|entry| entry.publishing.as_mut());
                if let Some(published) = entry.filter(|published| taken.is_ok() && published.serial == serial) {
                    published.extra_info = text;
                }
                let _ = reply.send(taken);
            });
            let _ = tasks.send(task);
        });
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
                entry.channel.tell(ChannelInput::Stop(Until::Told, reply));
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
                entry.channel.tell(ChannelInput::Stop(Until::Stopped, reply));
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
        let (changed, outcome) = oneshot::channel();
        match source {
            DeviceSource::Camera(source) => entry.channel.tell(ChannelInput::UseCamera(source, changed)),
            DeviceSource::Microphone(source) => entry.channel.tell(ChannelInput::UseMicrophone(source, changed)),
            DeviceSource::Speaker(sink) => return self.use_speaker(sink, reply),
        }
        let tasks = self.tasks.clone();
        tokio::spawn(async move {
            let Ok(outcome) = outcome.await else { return };
            // A device that failed may work again: for every channel that has it.
            let task: Task = Box::new(|core| core.tell_channels(false, false));
            let _ = tasks.send(task);
            let _ = reply.send(outcome);
        });
    }
}

/// The outcome of a call that was waited for long enough, or nothing.
pub(super) async fn in_time<T>(outcome: Outcome<T>) -> Result<Option<T>, EngineError> {
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
