//! The verbs about recording, and the task of a recording: it tells how far it is, and that it has ended.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use zego_protocol::id;
use zego_protocol::state::ZegoDataRecordState;

use super::channel::ChannelInput;
use super::core::Core;
use super::error::EngineError;
use super::event::{EngineEvent, News};
use super::handle::{Engine, Reply};
use super::player::PlayerInput;
use super::request::Record;
use crate::media::record::{RecordError, RecordSink, Recording};

/// How often the progress is told.
const PROGRESS_TIME: Duration = Duration::from_secs(1);

/// A recording that runs.
pub(super) struct RecordingEntry {
    number: u64,
    target: Target,
    /// Asks its task to end it.
    stop: UnboundedSender<Reply<()>>,
    task: JoinHandle<()>,
}

impl RecordingEntry {
    /// Ends it; the task ends when everything is written.
    pub(super) fn end(self) -> JoinHandle<()> {
        let (reply, _) = oneshot::channel();
        let _ = self.stop.send(reply);
        self.task
    }
}

/// Whose media are recorded.
#[derive(Clone, Debug)]
enum Target {
    Channel(i32),
    Player(String),
}

/// What a channel or a player is asked to record.
pub(super) struct RecordJob {
    /// Number of the recording.
    pub(super) number: u64,
    /// Where to. The recording ends when it is dropped.
    pub(super) sink: RecordSink,
    /// Sound.
    pub(super) audio: bool,
    /// Pictures.
    pub(super) video: bool,
    /// Hears that it has begun, or why it cannot.
    pub(super) reply: Reply<()>,
}

impl Core {
    fn record_target(&self, stream_id: &str) -> Result<Target, EngineError> {
        if stream_id.is_empty() {
            let runs = self.channels.get(&0).is_some_and(|entry| entry.publishing.is_some() || entry.previewing);
            let none = "Nothing is captured: start the preview or publish first";
            return runs.then_some(Target::Channel(0)).ok_or_else(|| EngineError::told(1_003_001, none));
        }
        id::stream_id(stream_id)?;
        let published = self
            .channels
            .iter()
            .find(|(_, entry)| entry.publishing.as_ref().is_some_and(|published| published.stream_id == stream_id));
        if let Some((channel, _)) = published {
            return Ok(Target::Channel(*channel));
        }
        if self.players.contains_key(stream_id) {
            return Ok(Target::Player(stream_id.to_owned()));
        }
        Err(EngineError::new(1_004_011, &format!("Stream '{stream_id}' is neither played nor published here")))
    }

    fn record(&mut self, record: Record, reply: Reply<u64>) {
        if let Err((error, reply)) = self.try_record(record, reply) {
            let _ = reply.send(Err(error));
        }
    }

    fn try_record(&mut self, record: Record, reply: Reply<u64>) -> Result<(), (EngineError, Reply<u64>)> {
        let Record { stream_id, descriptor, audio, video } = record;
        if self.recordings.contains_key(&stream_id) {
            let message = format!("Stream '{stream_id}' is recorded already; stop that recording first");
            return Err((EngineError::argument(&message), reply));
        }
        if !audio && !video {
            return Err((
                EngineError::argument("A recording needs sound or pictures; leave out audio or video"),
                reply,
            ));
        }
        let target = match self.record_target(&stream_id) {
            Ok(target) => target,
            Err(error) => return Err((error, reply)),
        };
        let (ended, is_ended) = oneshot::channel();
        let started = Recording::start(descriptor, move |result| {
            let _ = ended.send(result);
        });
        let (recording, sink) = match started {
            Ok(started) => started,
            Err(error) => {
                let message = format!("A recording cannot be written there: {error}; give a file or pipe to write to");
                return Err((EngineError::argument(&message), reply));
            }
        };
        let number = self.next_number();
        let (begun, has_begun) = oneshot::channel();
        self.tell_target(&target, RecordingInput::Start(RecordJob { number, sink, audio, video, reply: begun }));
        self.recorded_before.insert(&stream_id);
        let (stop, stops) = unbounded_channel();
        let forget = {
            let stream_id = stream_id.clone();
            self.later(move |core| core.recording_ended(&stream_id, number))
        };
        let task = RecordingTask { number, stream_id: stream_id.clone(), recording, news: self.news.clone() };
        let task = tokio::spawn(async move {
            task.run(has_begun, reply, is_ended, stops).await;
            forget();
        });
        self.recordings.insert(stream_id, RecordingEntry { number, target, stop, task });
        Ok(())
    }

    fn tell_target(&self, target: &Target, input: RecordingInput) {
        // Who is gone drops the job, which ends the recording.
        match (target, input) {
            (Target::Channel(channel), RecordingInput::Start(job)) => {
                if let Some(entry) = self.channels.get(channel) {
                    entry.channel.tell(ChannelInput::Record(job));
                }
            }
            (Target::Channel(channel), RecordingInput::Ended(number)) => {
                if let Some(entry) = self.channels.get(channel) {
                    entry.channel.tell(ChannelInput::RecordingEnded(number));
                }
            }
            (Target::Player(stream_id), RecordingInput::Start(job)) => {
                if let Some(entry) = self.players.get(stream_id) {
                    entry.player.tell(PlayerInput::Record(job));
                }
            }
            (Target::Player(stream_id), RecordingInput::Ended(number)) => {
                if let Some(entry) = self.players.get(stream_id) {
                    entry.player.tell(PlayerInput::RecordingEnded(number));
                }
            }
        }
    }

    fn recording_ended(&mut self, stream_id: &str, number: u64) {
        if self.recordings.get(stream_id).is_some_and(|entry| entry.number == number)
            && let Some(entry) = self.recordings.remove(stream_id)
        {
            self.tell_target(&entry.target, RecordingInput::Ended(number));
        }
    }

    fn stop_recording(&mut self, stream_id: &str, reply: Reply<()>) {
        if let Some(entry) = self.recordings.get(stream_id) {
            // One that has ended meanwhile drops the reply.
            if let Err(unsent) = entry.stop.send(reply) {
                let _ = unsent.0.send(Ok(()));
            }
            return;
        }
        let _ = reply.send(match stream_id {
            stream_id if self.recorded_before.contains(stream_id) => Ok(()),
            "" => Err(EngineError::told(1_003_001, "The captured stream is not recorded; start a recording first")),
            other => Err(EngineError::new(1_004_011, &format!("Stream '{other}' is not recorded"))),
        });
    }
}

enum RecordingInput {
    Start(RecordJob),
    Ended(u64),
}

struct RecordingTask {
    number: u64,
    stream_id: String,
    recording: Recording,
    news: News,
}

impl RecordingTask {
    async fn run(
        self,
        begun: oneshot::Receiver<Result<(), EngineError>>,
        reply: Reply<u64>,
        mut ended: oneshot::Receiver<Result<(), RecordError>>,
        mut stops: UnboundedReceiver<Reply<()>>,
    ) {
        let begun = begun.await.unwrap_or_else(|_| Err(EngineError::new(1_000_003, "The stream ended")));
        if let Err(error) = begun {
            let _ = reply.send(Err(error));
            return;
        }
        self.tell(ZegoDataRecordState::Recording, None);
        let _ = reply.send(Ok(self.number));
        let mut ticks = interval_at(Instant::now() + PROGRESS_TIME, PROGRESS_TIME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut replies = Vec::new();
        let result = loop {
            tokio::select! {
                biased;
                result = &mut ended => break result,
                Some(reply) = stops.recv() => {
                    replies.push(reply);
                    self.recording.finish();
                }
                _ = ticks.tick() => self.tell(ZegoDataRecordState::Recording, None),
            }
        };
        match result {
            Ok(Ok(())) => self.tell(ZegoDataRecordState::Finished, None),
            Ok(Err(error)) => self.tell(ZegoDataRecordState::None, Some(self.error(error.code(), &error.to_string()))),
            Err(_) => {
                let error = self.error(1_000_099, "its thread ended unexpectedly");
                self.tell(ZegoDataRecordState::None, Some(error));
            }
        }
        stops.close();
        while let Ok(reply) = stops.try_recv() {
            replies.push(reply);
        }
        for reply in replies {
            let _ = reply.send(Ok(()));
        }
    }

    fn error(&self, code: i32, why: &str) -> EngineError {
        let what = match self.stream_id.as_str() {
            "" => "The recording of the captured stream".to_owned(),
            id => format!("The recording of stream '{id}'"),
        };
        EngineError::new(code, &format!("{what} ended: {why}"))
    }

    fn tell(&self, state: ZegoDataRecordState, error: Option<EngineError>) {
        let progress = self.recording.progress();
        let (code, message) = error.map_or((0, String::new()), |error| (error.code, error.message));
        if code != 0 {
            log::warn!("{message}");
        }
        self.news.tell(EngineEvent::Recording {
            number: self.number,
            stream_id: self.stream_id.clone(),
            state,
            code,
            message,
            duration_ms: u64::try_from(progress.duration.as_millis()).unwrap_or(u64::MAX),
            size: progress.size,
        });
    }
}

impl Engine {
    /// StartRecording: the number of the recording, when it has begun.
    ///
    /// # Errors
    /// 1003001 when nothing is captured, 1004011 for a stream that is not played, 1000017 for a descriptor that cannot be written
    /// to or a stream that is recorded already, what a device says.
    pub async fn record(&self, record: Record) -> Result<u64, EngineError> {
        self.ask(move |core, reply| core.record(record, reply)).await
    }

    /// StopRecording: returns when everything is written. One that has ended by itself is no mistake.
    ///
    /// # Errors
    /// 1003001 or 1004011 for a stream that was never recorded.
    pub async fn stop_recording(&self, stream_id: &str) -> Result<(), EngineError> {
        let stream_id = stream_id.to_owned();
        self.ask(move |core, reply| core.stop_recording(&stream_id, reply)).await
    }

    /// Ends the recording of this number, if it still runs.
    ///
    /// # Errors
    /// None but an engine that has ended.
    pub async fn end_recording(&self, number: u64) -> Result<(), EngineError> {
        self.ask(move |core, reply| {
            let found = core.recordings.iter().find(|(_, entry)| entry.number == number).map(|(id, _)| id.clone());
            match found {
                Some(stream_id) => core.stop_recording(&stream_id, reply),
                None => {
                    let _ = reply.send(Ok(()));
                }
            }
        })
        .await
    }
}
