//! A player's recording: what is received, as it comes.

use super::inputs::Reply;
use super::task::PlayerTask;
use crate::engine::error::EngineError;
use crate::engine::recording::RecordJob;
use crate::media::record::{RecordSink, SenderClock};
use crate::media::snapshot::SnapshotRequest;

/// A sender may change between mono and stereo with every packet.
const RECEIVED_CHANNELS: u8 = 2;

/// What a player records.
pub(super) struct Recorder {
    number: u64,
    sink: RecordSink,
    clock: SenderClock,
    audio: bool,
    video: bool,
}

impl PlayerTask {
    pub(super) fn record(&mut self, job: RecordJob) {
        let RecordJob { number, sink, audio, video, reply } = job;
        self.leave_recording();
        // What is not known yet to be missing is waited for.
        let (has_audio, has_video) =
            self.stream.as_ref().map_or((true, true), |stream| (stream.has_audio, stream.has_video));
        let audio = audio && self.wants.0 && has_audio;
        let video = video && self.wants.1 && has_video;
        if !audio && !video {
            let detail = format!("Nothing of stream '{}' is played that could be recorded", self.info.stream_id);
            let _ = reply.send(Err(EngineError::new(1_000_003, &detail)));
            return;
        }
        sink.begin(video, audio.then_some(RECEIVED_CHANNELS));
        self.recorder = Some(Recorder { number, sink, clock: SenderClock::default(), audio, video });
        self.update_recording();
        let _ = reply.send(Ok(()));
    }

    pub(super) fn recording_ended(&mut self, number: u64) {
        if self.recorder.as_ref().is_some_and(|recorder| recorder.number == number) {
            self.leave_recording();
        }
    }

    fn leave_recording(&mut self) {
        if self.recorder.take().is_some() {
            self.audio_play.iter().for_each(|play| play.record(None));
            self.video_play.iter().for_each(|play| play.record(None));
        }
    }

    /// Records what is received now.
    pub(super) fn update_recording(&self) {
        let Some(recorder) = &self.recorder else { return };
        let target = Some((&recorder.sink, &recorder.clock));
        if recorder.audio {
            self.audio_play.iter().for_each(|play| play.record(target));
        }
        if recorder.video {
            self.video_play.iter().for_each(|play| play.record(target));
        }
    }

    pub(super) fn snapshot(&self, request: SnapshotRequest, reply: Reply<()>) {
        let _ = reply.send(match &self.video_play {
            Some(play) => {
                play.take_snapshot(request);
                Ok(())
            }
            None => {
                let detail = format!("No pictures of stream '{}' are received", self.info.stream_id);
                Err(EngineError::new(1_004_030, &detail))
            }
        });
    }
}
