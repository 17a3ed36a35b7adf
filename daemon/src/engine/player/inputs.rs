//! The handle of a player, and what can be asked of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use zego_protocol::state::ZegoPlayerState;

use crate::engine::error::EngineError;
use crate::engine::event::VideoLayer;
use crate::engine::recording::RecordJob;
use crate::engine::room::RoomNews;
use crate::media::MediaEvent;
use crate::media::snapshot::SnapshotRequest;
use crate::rtc::MediaKind;
use crate::signal::SignalError;
use crate::views::View;

/// The outcome of a call, when it is known.
pub(in crate::engine) type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

/// What the task of a player is told.
pub(in crate::engine) enum PlayerInput {
    /// News of the room.
    Room(RoomNews),
    /// Subscribing ended.
    Subscribed(u64, Result<(), SignalError>),
    /// How long the way to the server and back takes, if that is known: the rest is to be measured and told.
    RoundTrip(Option<Duration>),
    /// News of the pictures or the sound.
    Media(MediaKind, MediaEvent),
    /// The view belongs to somebody else now.
    LeaveView,
    /// StartPlaying again: another view, and whether sound (`None`: as it was) and pictures are received. The outcome is the state in
    /// which the player is.
    Again {
        /// Where the pictures go from now on.
        view: Option<Arc<dyn View>>,
        /// Receive sound.
        audio: Option<bool>,
        /// Receive pictures.
        video: bool,
        /// Gets the state.
        reply: Reply<ZegoPlayerState>,
    },
    /// The property Volume.
    Volume(i32, Reply<()>),
    /// The property AudioMuted or VideoMuted.
    Mute(MediaKind, bool, Reply<()>),
    /// The property VideoLayer.
    Layer(VideoLayer, Reply<()>),
    /// StartRecording.
    Record(RecordJob),
    /// The recording of this number has ended.
    RecordingEnded(u64),
    /// TakeSnapshot.
    Snapshot(SnapshotRequest, Reply<()>),
    /// StopPlaying.
    Stop(Reply<()>),
}

/// A handle of a player. Cheap to clone.
#[derive(Clone)]
pub(in crate::engine) struct Player {
    /// Number of the player's object.
    pub(in crate::engine) number: u64,
    /// Number of the room it plays from.
    pub(in crate::engine) room: u64,
    /// The way to its task.
    pub(in crate::engine) inputs: UnboundedSender<PlayerInput>,
}

impl Player {
    /// Tells the task something; one that has ended does not mind.
    pub(in crate::engine) fn tell(&self, input: PlayerInput) {
        let _ = self.inputs.send(input);
    }
}
