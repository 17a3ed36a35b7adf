//! The task of a publish channel.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, WeakUnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

use super::inputs::{Channel, ChannelInput, Reply, Until, VideoSettings};
use super::publishing::Publisher;
use super::recording::Recorder;
use crate::audio::Channels;
use crate::devices::camera::CameraSource;
use crate::devices::microphone::MicrophoneSource;
use crate::engine::capture::{Camera, Captures, Microphone};
use crate::engine::event::News;
use crate::media::send::AudioConfig;
use crate::views::View;

/// How often the quality of what runs is told.
const QUALITY_TIME: Duration = Duration::from_secs(3);
/// StopPublishing waits so long for the server to know.
const TELL_TIME: Duration = Duration::from_secs(1);

/// What a channel's task needs.
pub(in crate::engine) struct ChannelSetup {
    /// The channel, 0 to 3.
    pub(in crate::engine) number: i32,
    /// Its camera.
    pub(in crate::engine) camera: CameraSource,
    /// Its microphone.
    pub(in crate::engine) microphone: MicrophoneSource,
    /// How pictures are captured and encoded.
    pub(in crate::engine) video: VideoSettings,
    /// How sound is encoded.
    pub(in crate::engine) audio: AudioConfig,
    /// MuteMicrophone.
    pub(in crate::engine) microphone_muted: bool,
    /// The camera may be used before EnableCamera.
    pub(in crate::engine) camera_enabled: bool,
    /// Opens devices.
    pub(in crate::engine) captures: Arc<Captures>,
    /// Takes the news.
    pub(in crate::engine) news: News,
}

/// Starts the task of a channel; it ends when the last handle is gone.
pub(in crate::engine) fn start(setup: ChannelSetup) -> (Channel, JoinHandle<()>) {
    let (inputs, receiver) = unbounded_channel();
    let task = ChannelTask {
        number: setup.number,
        camera_source: setup.camera,
        microphone_source: setup.microphone,
        video: setup.video,
        audio: setup.audio,
        microphone_muted: setup.microphone_muted,
        camera_enabled: setup.camera_enabled,
        captures: setup.captures,
        news: setup.news,
        camera: Slot::Closed,
        microphone: Slot::Closed,
        previewing: false,
        preview: None,
        preview_replies: Vec::new(),
        publisher: None,
        recorder: None,
        serial: 0,
        ticks: None,
        inputs: inputs.downgrade(),
    };
    let handle = tokio::spawn(task.run(receiver));
    (Channel { inputs }, handle)
}

/// A device of a channel.
pub(super) enum Slot<T> {
    /// Not wanted, or refused.
    Closed,
    /// Being opened, under this serial number.
    Opening(u64),
    /// Open.
    Open(T),
}

impl<T> Slot<T> {
    pub(super) const fn open(&self) -> Option<&T> {
        match self {
            Self::Open(device) => Some(device),
            Self::Closed | Self::Opening(_) => None,
        }
    }

    pub(super) const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }
}

pub(super) struct ChannelTask {
    pub(super) number: i32,
    pub(super) camera_source: CameraSource,
    pub(super) microphone_source: MicrophoneSource,
    pub(super) video: VideoSettings,
    pub(super) audio: AudioConfig,
    pub(super) microphone_muted: bool,
    pub(super) camera_enabled: bool,
    pub(super) captures: Arc<Captures>,
    pub(super) news: News,
    pub(super) camera: Slot<Camera>,
    pub(super) microphone: Slot<Microphone>,
    pub(super) previewing: bool,
    pub(super) preview: Option<Arc<dyn View>>,
    pub(super) preview_replies: Vec<Reply<()>>,
    pub(super) publisher: Option<Publisher>,
    pub(super) recorder: Option<Recorder>,
    pub(super) serial: u64,
    pub(super) ticks: Option<Interval>,
    pub(super) inputs: WeakUnboundedSender<ChannelInput>,
}

/// The next tick; waits forever when nothing is measured.
async fn next_tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}

impl ChannelTask {
    async fn run(mut self, mut inputs: UnboundedReceiver<ChannelInput>) {
        loop {
            tokio::select! {
                biased;
                input = inputs.recv() => match input {
                    Some(input) => self.input(input),
                    None => break,
                },
                () = next_tick(&mut self.ticks) => self.measure(),
            }
        }
        self.stop_preview();
        if let Some(left) = self.stop_publishing() {
            left.await;
        }
    }

    fn input(&mut self, input: ChannelInput) {
        match input {
            ChannelInput::Preview(view, reply) => self.start_preview(view, reply),
            ChannelInput::LeaveView => self.leave_view(),
            ChannelInput::ExtraInfo(text, reply) => self.set_extra_info(text, reply),
            ChannelInput::StopPreview(reply) => {
                self.stop_preview();
                let _ = reply.send(Ok(()));
            }
            ChannelInput::Publish(job) => self.publish(*job),
            ChannelInput::Stop(until, reply) => match self.stop_publishing() {
                Some(left) => {
                    tokio::spawn(async move {
                        if let (Until::Told, Some(told)) = (until, left.await) {
                            // A server that does not answer keeps nobody waiting.
                            let _ = timeout(TELL_TIME, told).await;
                        }
                        let _ = reply.send(Ok(()));
                    });
                }
                None => {
                    let _ = reply.send(Ok(()));
                }
            },
            ChannelInput::Kinds(reply) => self.tell_kinds(reply),
            ChannelInput::CameraOpened(serial, result) => self.camera_opened(serial, result),
            ChannelInput::MicrophoneOpened(serial, result) => self.microphone_opened(serial, result),
            ChannelInput::Published(serial, result) => self.published(serial, result),
            ChannelInput::ExtraInfoSet(serial, set, reply) => self.extra_info_set(serial, set, reply),
            ChannelInput::Room(serial, news) => self.room_news(serial, news),
            ChannelInput::Media(serial, event) => self.media_event(serial, event),
            ChannelInput::EnableCamera(enable, reply) => self.enable_camera(enable, reply),
            ChannelInput::Devices { camera, microphone } => self.devices_changed(camera, microphone),
            ChannelInput::UseCamera(source, reply) => self.use_camera(source, reply),
            ChannelInput::CameraSwitched(source, result, reply) => self.camera_switched(source, result, reply),
            ChannelInput::UseMicrophone(source, reply) => self.use_microphone(source, reply),
            ChannelInput::MicrophoneSwitched(source, result, reply) => {
                self.microphone_switched(source, result, reply);
            }
            ChannelInput::MuteMicrophone(muted) => {
                self.microphone_muted = muted;
                self.apply_mutes();
                self.update_recording();
            }
            ChannelInput::MuteAudio(muted, reply) => self.with_publisher(reply, |publisher| {
                publisher.audio_muted = muted;
            }),
            ChannelInput::MuteVideo(muted, reply) => self.with_publisher(reply, |publisher| {
                publisher.video_muted = muted;
            }),
            ChannelInput::Volume(volume, reply) => self.with_publisher(reply, |publisher| {
                publisher.capture_volume = volume;
            }),
            ChannelInput::Record(job) => self.record(job),
            ChannelInput::RecordingEnded(number) => self.recording_ended(number),
            ChannelInput::Snapshot(reply) => self.snapshot(reply),
            ChannelInput::Video(settings) => {
                self.video = settings;
                self.apply_video_settings();
                self.quicken_camera();
            }
            ChannelInput::Audio(config) => {
                self.audio = config;
                if let (Channels::Stereo, Slot::Open(_)) = (config.channels, &self.microphone) {
                    // It is open for a recording. Who has it hears why, should it fail.
                    let (captures, source) = (self.captures.clone(), self.microphone_source.clone());
                    tokio::spawn(async move { captures.microphone(source, Channels::Stereo).await });
                }
                if let Some(send) = self.publisher.as_ref().and_then(|publisher| publisher.audio_send.as_ref()) {
                    send.set_config(config);
                }
            }
        }
    }

    /// A number that no earlier operation of this channel had.
    pub(super) const fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Measures from now on every three seconds, or no more: without a publisher nothing wakes up.
    pub(super) fn measure_regularly(&mut self, regularly: bool) {
        self.ticks = regularly.then(|| {
            let mut ticks = interval_at(Instant::now() + QUALITY_TIME, QUALITY_TIME);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            ticks
        });
    }

    /// Does something that takes time, and gets its outcome as an input.
    pub(super) fn spawn(&self, work: impl Future<Output = ChannelInput> + Send + 'static) {
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let outcome = work.await;
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.send(outcome);
            }
        });
    }
}
