//! A channel's senders: starting them, their mutes, their news and what is measured of them.

use std::sync::Arc;

use zego_protocol::state::ZegoRemoteDeviceState as DeviceState;

use super::inputs::ChannelInput;
use super::publishing::Publisher;
use super::recording::Recorder;
use super::task::{ChannelTask, Slot};
use crate::clock::Monotonic;
use crate::engine::error::EngineError;
use crate::engine::event::{EngineEvent, FirstFrame};
use crate::engine::quality::{PublishReading, publish_quality};
use crate::media::send::{AudioSend, VideoConfig, VideoSend};
use crate::media::{MediaEvent, MediaEvents};
use crate::rtc::MediaKind;

impl Publisher {
    /// The counters now.
    pub(super) fn read(&self) -> PublishReading {
        PublishReading {
            at: Monotonic::now(),
            video: self.video_send.as_ref().map(VideoSend::statistics),
            audio: self.audio_send.as_ref().map(AudioSend::statistics),
        }
    }
}

impl ChannelTask {
    /// Starts the senders whose device is open and whose track the server took.
    pub(super) fn start_senders(&mut self) {
        let Some(publisher) = &self.publisher else { return };
        let events = self.media_events(publisher.serial);
        let Some(publication) = publisher.publication.clone() else { return };
        if publisher.video_send.is_none()
            && let (Some(sender), Slot::Open(camera)) = (publication.video, &self.camera)
        {
            match VideoSend::start(camera.capture(), self.encoder_config(), sender, events.clone()) {
                Ok(send) => {
                    self.publisher_mut(|publisher| publisher.video_send = Some(send));
                    self.tell_encoder();
                }
                Err(error) => return self.refuse(EngineError::internal(&format!("The encoder failed: {error}"))),
            }
        }
        let Some(publisher) = &self.publisher else { return };
        if publisher.audio_send.is_none()
            && let (Some(sender), Slot::Open(microphone)) = (publication.audio, &self.microphone)
        {
            match AudioSend::start(microphone.capture(), self.audio, sender, events) {
                Ok(send) => self.publisher_mut(|publisher| publisher.audio_send = Some(send)),
                Err(error) => self.refuse(EngineError::internal(&format!("The encoder failed: {error}"))),
            }
        }
    }

    fn publisher_mut(&mut self, change: impl FnOnce(&mut Publisher)) {
        if let Some(publisher) = &mut self.publisher {
            change(publisher);
        }
    }

    /// What a sender's thread calls.
    fn media_events(&self, serial: u64) -> MediaEvents {
        let inputs = self.inputs.clone();
        Arc::new(move |event| {
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.send(ChannelInput::Media(serial, event));
            }
        })
    }

    /// Brings what is sent, and what the others are told, in line with mutes and volume.
    pub(super) fn apply_mutes(&mut self) {
        let microphone = self.microphone.open().map_or(DeviceState::Open, |microphone| microphone.state());
        let camera = self.camera.open().map_or(DeviceState::Open, |camera| camera.state());
        let (microphone_muted, camera_enabled) = (self.microphone_muted, self.camera_enabled);
        let Some(publisher) = &mut self.publisher else { return };
        let audio_muted = publisher.audio_muted || microphone_muted;
        // What the user wants comes first.
        let microphone = if audio_muted { DeviceState::Mute } else { microphone };
        let camera = match (camera_enabled, publisher.video_muted) {
            (false, _) => DeviceState::Disable,
            (true, true) => DeviceState::Mute,
            (true, false) => camera,
        };
        if let Some(send) = &publisher.audio_send {
            send.set_muted(audio_muted);
            send.set_volume(u8::try_from(publisher.capture_volume).unwrap_or(100));
        }
        if let Some(send) = &publisher.video_send {
            // After a device was away its picture begins with a key frame.
            send.set_muted(camera != DeviceState::Open);
        }
        if publisher.publication.is_none() {
            return;
        }
        if publisher.shown.0 != microphone && publisher.has_track(MediaKind::Audio) {
            publisher.shown.0 = microphone;
            publisher.show_device(MediaKind::Audio, microphone);
        }
        if publisher.shown.1 != camera && publisher.has_track(MediaKind::Video) {
            publisher.shown.1 = camera;
            publisher.show_device(MediaKind::Video, camera);
        }
    }

    /// How the pictures of the camera that is open are encoded.
    pub(super) fn encoder_config(&self) -> VideoConfig {
        let wish = self.video.wish;
        let format = self.camera.open().and_then(|camera| camera.capture().format());
        let size = format.map_or((wish.width, wish.height), |format| (format.width, format.height));
        self.video.encoder(size, wish.fps)
    }

    pub(super) fn encoder_size(&self) -> (u32, u32) {
        let config = self.encoder_config();
        (config.width, config.height)
    }

    /// Encodes with other settings from the next picture on.
    pub(super) fn apply_video_settings(&mut self) {
        if let Some(send) = self.publisher.as_ref().and_then(|publisher| publisher.video_send.as_ref()) {
            send.set_config(self.encoder_config());
        }
        if let Some(send) = self.recorder.as_ref().and_then(Recorder::video) {
            send.set_config(self.encoder_config());
        }
    }

    pub(super) fn media_event(&mut self, serial: u64, event: MediaEvent) {
        let Some(publisher) = self.publisher.as_mut().filter(|publisher| publisher.serial == serial) else { return };
        let stream_id = publisher.job.stream_id.clone();
        match event {
            MediaEvent::FirstFrame(first) => {
                let kind = FirstFrame::from(first);
                // A sender that was started anew has first frames again; the stream has not.
                if publisher.first_frames.insert(kind) {
                    self.news.tell(EngineEvent::PublisherFirstFrame { stream_id, kind });
                }
                if kind == FirstFrame::VideoSent {
                    self.tell_encoder();
                }
            }
            MediaEvent::SizeChanged { .. } => self.tell_encoder(),
            // The capture tells of its own device; a sender has nothing to add.
            MediaEvent::DeviceFailed(_)
            | MediaEvent::CameraSilent(_)
            | MediaEvent::CameraBack
            | MediaEvent::VideoBreak(_)
            | MediaEvent::AudioBreak(_) => {}
        }
    }

    /// Shows in the publisher's object what really encodes.
    fn tell_encoder(&mut self) {
        let Some(send) = self.publisher.as_ref().and_then(|publisher| publisher.video_send.as_ref()) else { return };
        let statistics = send.statistics();
        let size = match (statistics.width, statistics.height) {
            // Before the first picture: what the encoder was told.
            (0, _) | (_, 0) => self.encoder_size(),
            size => size,
        };
        self.tell_info(|info| {
            "H264".clone_into(&mut info.video_codec);
            statistics.encoder.clone_into(&mut info.video_encoder);
            (info.width, info.height) = size;
        });
    }

    /// Tells what was measured since the last time.
    pub(super) fn measure(&mut self) {
        self.tell_encoder();
        let Some(publisher) = &mut self.publisher else { return };
        let now = publisher.read();
        let before = publisher.reading.replace(now);
        let quality = publish_quality(before.as_ref(), &now);
        self.news.tell(EngineEvent::PublisherQuality {
            channel: self.number,
            stream_id: publisher.job.stream_id.clone(),
            quality,
        });
    }
}
