//! A player's media: starting and stopping what receives, its news and what is measured of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use zego_protocol::state::ZegoPlayerMediaEvent;

use super::inputs::PlayerInput;
use super::task::PlayerTask;
use crate::clock::Monotonic;
use crate::engine::event::{EngineEvent, FirstFrame};
use crate::engine::quality::{PlayReading, play_quality};
use crate::media::receive::{AudioPlay, VideoPlay};
use crate::media::{MediaEvent, MediaEvents};
use crate::rtc::{MediaKind, Mime};

/// For the connection to say how long its way is; it knows.
const ROUND_TRIP_TIME: Duration = Duration::from_millis(500);

impl PlayerTask {
    /// Starts what has media and is wanted, stops what is not wanted any more.
    pub(super) fn play(&mut self) {
        let (wants_audio, wants_video) = self.wanted();
        if !wants_audio {
            self.audio_play = None;
        } else if let (None, Some(receiver)) = (&self.audio_play, self.audio.clone()) {
            let (meter, events) = (self.meter.clone(), self.media_events(MediaKind::Audio));
            match AudioPlay::start(receiver, &self.playback, &self.sync, meter, events) {
                Ok(play) => {
                    play.set_volume(percent(self.info.volume));
                    self.audio_play = Some(play);
                }
                Err(error) => log::error!("stream '{}' has no sound: {error}", self.info.stream_id),
            }
        }
        if !wants_video {
            self.video_play = None;
        } else if let (None, Some(receiver)) = (&self.video_play, self.video.clone()) {
            match VideoPlay::start(receiver, self.view.clone(), &self.sync, self.media_events(MediaKind::Video)) {
                Ok(play) => self.video_play = Some(play),
                Err(error) => log::error!("stream '{}' has no pictures: {error}", self.info.stream_id),
            }
        }
        self.follow_mutes();
        self.update_recording();
    }

    /// What a muted publisher does not send is not missed.
    pub(super) fn follow_mutes(&self) {
        let Some(stream) = &self.stream else { return };
        if let Some(play) = &self.audio_play {
            play.rest(stream.audio_muted);
        }
        if let Some(play) = &self.video_play {
            play.rest(stream.video_muted);
        }
    }

    pub(super) fn media_events(&self, kind: MediaKind) -> MediaEvents {
        let inputs = self.inputs.clone();
        Arc::new(move |event| {
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.send(PlayerInput::Media(kind, event));
            }
        })
    }

    pub(super) fn media_event(&mut self, _kind: MediaKind, event: MediaEvent) {
        let stream_id = self.info.stream_id.clone();
        match event {
            MediaEvent::FirstFrame(first) => {
                let kind = FirstFrame::from(first);
                self.tell_decoder();
                if self.first_frames.insert(kind) {
                    self.news.tell(EngineEvent::PlayerFirstFrame { stream_id, kind });
                }
            }
            MediaEvent::SizeChanged { width, height } => {
                (self.info.width, self.info.height) = (width, height);
                self.tell_decoder();
                // A decoder that was started anew has the old size.
                if self.told_size.replace((width, height)) != Some((width, height)) {
                    self.news.tell(EngineEvent::PlayerVideoSize { stream_id, width, height });
                }
            }
            MediaEvent::VideoBreak(broken) => {
                let event =
                    if broken { ZegoPlayerMediaEvent::VideoBreakOccur } else { ZegoPlayerMediaEvent::VideoBreakResume };
                self.news.tell(EngineEvent::PlayerMedia { stream_id, event });
            }
            MediaEvent::AudioBreak(broken) => {
                let event =
                    if broken { ZegoPlayerMediaEvent::AudioBreakOccur } else { ZegoPlayerMediaEvent::AudioBreakResume };
                self.news.tell(EngineEvent::PlayerMedia { stream_id, event });
            }
            // The speaker tells of itself, and a player has no camera.
            MediaEvent::DeviceFailed(_) | MediaEvent::CameraSilent(_) | MediaEvent::CameraBack => {}
        }
    }

    /// Shows in the player's object what really decodes.
    pub(super) fn tell_decoder(&mut self) {
        if let Some(statistics) = self.video_play.as_ref().map(VideoPlay::statistics) {
            let codec = match statistics.codec {
                Some(Mime::H264) => "H264",
                Some(Mime::Vp8) => "VP8",
                Some(Mime::Opus) | None => "",
            };
            codec.clone_into(&mut self.info.video_codec);
            statistics.decoder.clone_into(&mut self.info.video_decoder);
        }
        self.tell_info();
    }

    /// The counters now.
    pub(super) fn read(&self, rtt: Option<Duration>) -> PlayReading {
        PlayReading {
            at: Monotonic::now(),
            rtt,
            video: self.video_play.as_ref().map(VideoPlay::statistics),
            audio: self.audio_play.as_ref().map(AudioPlay::statistics),
        }
    }

    /// Asks how long the way to the server and back takes, which who only receives learns from no report; then it is measured.
    pub(super) fn ask_round_trip(&mut self) {
        let Some(session) = self.session.clone() else { return self.measure(None) };
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let rtt = timeout(ROUND_TRIP_TIME, session.statistics()).await.ok().and_then(|statistics| statistics.rtt);
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.send(PlayerInput::RoundTrip(rtt));
            }
        });
    }

    /// Tells what was measured since the last time.
    pub(super) fn measure(&mut self, rtt: Option<Duration>) {
        self.tell_decoder();
        let now = self.read(rtt);
        let before = self.reading.replace(now);
        let quality = play_quality(before.as_ref(), &now, (self.info.audio_muted, self.info.video_muted));
        let (number, stream_id) = (self.info.number, self.info.stream_id.clone());
        self.news.tell(EngineEvent::PlayerQuality { number, stream_id, quality });
    }
}

/// A volume of the API, 0 to 200, as the pipelines take it.
pub(super) fn percent(volume: i32) -> u8 {
    u8::try_from(volume).unwrap_or(100)
}
