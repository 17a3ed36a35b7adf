//! A channel's recording: of what is sent anyway, or of an encoder of its own while nothing is.

use super::inputs::{Reply, Want};
use super::task::{ChannelTask, Slot};
use crate::devices::microphone::MicrophoneSource;
use crate::engine::error::EngineError;
use crate::engine::recording::RecordJob;
use crate::engine::snapshot::SnapshotSource;
use crate::media::record::RecordSink;
use crate::media::send::{AudioSend, VideoSend};

/// What a channel records.
pub(super) struct Recorder {
    number: u64,
    sink: RecordSink,
    pub(super) audio: bool,
    pub(super) video: bool,
    /// Until it has begun.
    reply: Option<Reply<()>>,
    /// Encode for the recording alone.
    own_video: Option<VideoSend>,
    own_audio: Option<AudioSend>,
}

impl Recorder {
    /// Encodes with other settings from the next picture on.
    pub(super) const fn video(&self) -> Option<&VideoSend> {
        self.own_video.as_ref()
    }
}

impl ChannelTask {
    pub(super) fn record(&mut self, job: RecordJob) {
        let RecordJob { number, sink, audio, video, reply } = job;
        self.leave_recording();
        let audio = audio && self.microphone_source != MicrophoneSource::None;
        self.recorder =
            Some(Recorder { number, sink, audio, video, reply: Some(reply), own_video: None, own_audio: None });
        self.advance();
    }

    pub(super) fn recording_ended(&mut self, number: u64) {
        if self.recorder.as_ref().is_some_and(|recorder| recorder.number == number) {
            self.leave_recording();
            self.update_devices();
        }
    }

    /// Records nothing any more. The recording ends when everything is written.
    pub(super) fn leave_recording(&mut self) {
        if self.recorder.take().is_none() {
            return;
        }
        if let Some(publisher) = &self.publisher {
            publisher.video_send.iter().for_each(|send| send.record(None));
            publisher.audio_send.iter().for_each(|send| send.record(None));
        }
    }

    /// Whether the microphone is needed for a recording.
    pub(super) fn records_sound(&self) -> bool {
        let publishes_silently = self.publisher.as_ref().is_some_and(|publisher| publisher.job.audio == Want::No);
        self.recorder.as_ref().is_some_and(|recorder| recorder.audio) && !publishes_silently
    }

    /// A microphone that cannot be opened is no reason not to record the pictures.
    pub(super) fn no_sound_to_record(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.audio = false;
        }
    }

    /// Lets the recording begin when it can, and take from whoever encodes now.
    pub(super) fn update_recording(&mut self) {
        if self.publisher.is_none() && !self.previewing {
            self.leave_recording();
            return;
        }
        let (config, sound_wanted) = (self.encoder_config(), self.records_sound());
        let (muted, channels) = (self.microphone_muted, self.audio.channels.count() as u8);
        let Some(recorder) = &mut self.recorder else { return };
        if let Some(reply) = recorder.reply.take() {
            if matches!(self.camera, Slot::Opening(_)) || matches!(self.microphone, Slot::Opening(_)) {
                recorder.reply = Some(reply);
                return;
            }
            recorder.video &= self.camera.open().is_some();
            recorder.audio = sound_wanted && self.microphone.open().is_some();
            if !recorder.video && !recorder.audio {
                let detail = format!("Channel {} captures nothing that could be recorded", self.number);
                let _ = reply.send(Err(EngineError::new(1_000_003, &detail)));
                self.recorder = None;
                return;
            }
            recorder.sink.begin(recorder.video, recorder.audio.then_some(channels));
            let _ = reply.send(Ok(()));
        }
        let senders = self.publisher.as_ref().map(|publisher| (&publisher.video_send, &publisher.audio_send));
        if recorder.video {
            match (senders, &self.camera) {
                (Some((Some(send), _)), _) => {
                    send.record(Some(&recorder.sink));
                    recorder.own_video = None;
                }
                (_, Slot::Open(camera)) if recorder.own_video.is_none() => {
                    match VideoSend::start_unsent(camera.capture(), config) {
                        Ok(send) => {
                            send.record(Some(&recorder.sink));
                            recorder.own_video = Some(send);
                        }
                        Err(error) => log::warn!("no pictures are recorded: {error}"),
                    }
                }
                (_, Slot::Open(_)) => {}
                (_, Slot::Opening(_) | Slot::Closed) => recorder.own_video = None,
            }
        }
        if recorder.audio {
            match (senders, &self.microphone) {
                (Some((_, Some(send))), _) => {
                    send.record(Some(&recorder.sink));
                    recorder.own_audio = None;
                }
                (_, Slot::Open(microphone)) if recorder.own_audio.is_none() => {
                    match AudioSend::start_unsent(microphone.capture(), self.audio) {
                        Ok(send) => {
                            send.record(Some(&recorder.sink));
                            recorder.own_audio = Some(send);
                        }
                        Err(error) => log::warn!("no sound is recorded: {error}"),
                    }
                }
                (_, Slot::Open(_)) => {}
                (_, Slot::Opening(_) | Slot::Closed) => recorder.own_audio = None,
            }
            if let Some(send) = &recorder.own_audio {
                send.set_muted(muted);
            }
        }
    }

    /// The device of the recording's own encoder was changed: it makes way for one on the new device.
    pub(super) fn forget_recorded_camera(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.own_video = None;
        }
    }

    /// As [`ChannelTask::forget_recorded_camera`].
    pub(super) fn forget_recorded_microphone(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.own_audio = None;
        }
    }

    pub(super) fn snapshot(&self, reply: Reply<SnapshotSource>) {
        let _ = reply.send(match &self.camera {
            Slot::Open(camera) => Ok(SnapshotSource::Camera(camera.capture().clone(), self.encoder_size())),
            Slot::Opening(_) | Slot::Closed => {
                let detail = format!("Channel {} captures no pictures", self.number);
                Err(EngineError::new(1_003_030, &detail))
            }
        });
    }
}
