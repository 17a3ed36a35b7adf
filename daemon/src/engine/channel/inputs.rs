//! The handle of a publish channel, and what can be asked of it.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use zego_protocol::state::ZegoPublisherState;

use crate::devices::camera::{CameraSource, CaptureWish};
use crate::devices::microphone::MicrophoneSource;
use crate::engine::capture::{Camera, Microphone};
use crate::engine::error::EngineError;
use crate::engine::recording::RecordJob;
use crate::engine::room::{Room, RoomNews};
use crate::engine::snapshot::SnapshotSource;
use crate::media::MediaEvent;
use crate::media::send::{AudioConfig, VideoConfig};
use crate::signal::{Publication, SignalError};
use crate::views::View;

/// Whether a stream has sound or pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Want {
    /// No.
    No,
    /// If there is a device.
    IfThere,
    /// Yes: without a device it fails.
    Must,
}

impl Want {
    /// From an option of the API: not given = if there is a device.
    pub(in crate::engine) const fn from_option(option: Option<bool>) -> Self {
        match option {
            Some(true) => Self::Must,
            Some(false) => Self::No,
            None => Self::IfThere,
        }
    }
}

/// The outcome of a call, when it is known.
pub(in crate::engine) type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

/// What is to be published.
pub(in crate::engine) struct PublishJob {
    /// The stream.
    pub(in crate::engine) stream_id: String,
    /// Where.
    pub(in crate::engine) room: Room,
    /// Sound.
    pub(in crate::engine) audio: Want,
    /// Pictures.
    pub(in crate::engine) video: Want,
    /// A text for everybody in the room.
    pub(in crate::engine) extra_info: String,
    /// Gets the state that was reached, or why none was.
    pub(in crate::engine) outcome: Reply<ZegoPublisherState>,
    /// Called when the publisher is over.
    pub(in crate::engine) ended: Box<dyn FnOnce() + Send>,
}

/// How pictures are captured and encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct VideoSettings {
    /// What the camera is asked for.
    pub(in crate::engine) wish: CaptureWish,
    /// Encoded size; not given = the camera's.
    pub(in crate::engine) size: Option<(u32, u32)>,
    /// Most pictures a second; not given = the camera's.
    pub(in crate::engine) fps: Option<u32>,
    /// kbit/s.
    pub(in crate::engine) bitrate_kbps: u32,
    /// Seconds.
    pub(in crate::engine) key_frame_interval_s: u32,
}

impl VideoSettings {
    /// The encoder's configuration for a camera that delivers this size and rate.
    pub(in crate::engine) fn encoder(&self, camera: (u32, u32), camera_fps: u32) -> VideoConfig {
        let (width, height) = self.size.unwrap_or(camera);
        VideoConfig {
            width,
            height,
            fps: self.fps.unwrap_or(camera_fps).max(1),
            bitrate_kbps: self.bitrate_kbps,
            key_frame_interval_s: self.key_frame_interval_s,
        }
    }
}

/// When the end of a publisher is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Until {
    /// It has stopped here.
    Stopped,
    /// The server knows it, too: the stream id is free for others.
    Told,
}

/// What the task of a channel is told.
pub(in crate::engine) enum ChannelInput {
    /// StartPreview: where to, if anywhere.
    Preview(Option<Arc<dyn View>>, Reply<()>),
    /// The preview's view belongs to somebody else now.
    LeaveView,
    /// StopPreview.
    StopPreview(Reply<()>),
    /// StartPublishing.
    Publish(Box<PublishJob>),
    /// SetStreamExtraInfo.
    ExtraInfo(String, Reply<()>),
    /// StopPublishing, or the end of the room; nothing published is fine.
    Stop(Until, Reply<()>),
    /// GetRoomStreamList: whether sound and pictures are published.
    Kinds(Reply<(bool, bool)>),
    /// Opening the camera ended.
    CameraOpened(u64, Result<Camera, EngineError>),
    /// Opening the microphone ended.
    MicrophoneOpened(u64, Result<Microphone, EngineError>),
    /// Publishing in the room ended.
    Published(u64, Result<Publication, SignalError>),
    /// The server took a text for the stream, or did not.
    ExtraInfoSet(u64, Result<String, EngineError>, Reply<()>),
    /// News of the room, for one publisher.
    Room(u64, RoomNews),
    /// News of the senders of one publisher.
    Media(u64, MediaEvent),
    /// EnableCamera.
    EnableCamera(bool, Reply<()>),
    /// Devices came, or those that are open changed: whether a camera came, whether a microphone did.
    Devices { camera: bool, microphone: bool },
    /// UseDevice with a camera.
    UseCamera(CameraSource, Reply<()>),
    /// Changing the camera ended; another lease if the old one stays with others.
    CameraSwitched(CameraSource, Result<Option<Camera>, EngineError>, Reply<()>),
    /// UseDevice with a microphone.
    UseMicrophone(MicrophoneSource, Reply<()>),
    /// Changing the microphone ended.
    MicrophoneSwitched(MicrophoneSource, Result<Option<Microphone>, EngineError>, Reply<()>),
    /// MuteMicrophone.
    MuteMicrophone(bool),
    /// The publisher's property AudioMuted.
    MuteAudio(bool, Reply<()>),
    /// The publisher's property VideoMuted.
    MuteVideo(bool, Reply<()>),
    /// The publisher's property CaptureVolume.
    Volume(i32, Reply<()>),
    /// StartRecording.
    Record(RecordJob),
    /// The recording of this number has ended.
    RecordingEnded(u64),
    /// TakeSnapshot.
    Snapshot(Reply<SnapshotSource>),
    /// SetVideoConfig.
    Video(VideoSettings),
    /// SetAudioConfig.
    Audio(AudioConfig),
}

/// A handle of a channel. Cheap to clone.
#[derive(Clone)]
pub(in crate::engine) struct Channel {
    /// The way to its task, which ends when the last handle is gone.
    pub(in crate::engine) inputs: UnboundedSender<ChannelInput>,
}

impl Channel {
    /// Tells the task something.
    pub(in crate::engine) fn tell(&self, input: ChannelInput) {
        let _ = self.inputs.send(input);
    }
}
