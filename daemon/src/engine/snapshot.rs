//! The verb about snapshots.

use std::os::fd::OwnedFd;

use tokio::sync::oneshot;
use zego_protocol::id;

use super::channel::ChannelInput;
use super::core::Core;
use super::error::EngineError;
use super::handle::{Engine, Reply};
use super::player::PlayerInput;
use crate::media::camera::CameraCapture;
use crate::media::snapshot::{self, ImageFormat, PendingSnapshot, SnapshotError};

/// Where a picture comes from.
pub(super) enum SnapshotSource {
    /// A camera, and the size that is encoded.
    Camera(CameraCapture, (u32, u32)),
    /// The next picture that is decoded.
    Played(PendingSnapshot),
}

impl SnapshotSource {
    /// The code for a picture that does not come.
    const fn code(&self) -> i32 {
        match self {
            Self::Camera(..) => 1_003_030,
            Self::Played(_) => 1_004_030,
        }
    }

    fn image(self, format: ImageFormat) -> Result<OwnedFd, SnapshotError> {
        match self {
            Self::Camera(camera, size) => snapshot::of_camera(&camera, size, format),
            Self::Played(pending) => pending.image(None, format),
        }
    }
}

impl Core {
    fn snapshot_source(&mut self, stream_id: &str, reply: Reply<SnapshotSource>) {
        let published = self.channels.iter().find(|(number, entry)| match &entry.publishing {
            _ if stream_id.is_empty() => **number == 0 && (entry.publishing.is_some() || entry.previewing),
            Some(published) => published.stream_id == stream_id,
            None => false,
        });
        if let Some((_, entry)) = published {
            entry.channel.tell(ChannelInput::Snapshot(reply));
            return;
        }
        if let Some(entry) = self.players.get(stream_id) {
            let (request, pending) = snapshot::request();
            let (taken, is_taken) = oneshot::channel();
            entry.player.tell(PlayerInput::Snapshot(request, taken));
            tokio::spawn(async move {
                let taken = is_taken.await.unwrap_or_else(|_| Err(EngineError::new(1_004_011, "The player ended")));
                let _ = reply.send(taken.map(|()| SnapshotSource::Played(pending)));
            });
            return;
        }
        let _ = reply.send(Err(if stream_id.is_empty() {
            EngineError::told(1_003_001, "Nothing is captured; start the preview or publish first")
        } else {
            EngineError::new(1_004_011, &format!("Stream '{stream_id}' is neither played nor published here"))
        }));
    }
}

impl Engine {
    /// TakeSnapshot: an image in a sealed memfd. "" = the captured picture.
    ///
    /// # Errors
    /// 1003001 when nothing is captured, 1004011 for a stream that is not played, 1003030 and 1004030 when no picture comes.
    pub async fn snapshot(&self, stream_id: &str, format: ImageFormat) -> Result<OwnedFd, EngineError> {
        if !stream_id.is_empty() {
            id::stream_id(stream_id)?;
        }
        let what = match stream_id {
            "" => "The camera".to_owned(),
            id => format!("Stream '{id}'"),
        };
        let stream_id = stream_id.to_owned();
        let source = self.ask(move |core, reply| core.snapshot_source(&stream_id, reply)).await?;
        let code = source.code();
        match tokio::task::spawn_blocking(move || source.image(format)).await {
            Ok(Ok(image)) => Ok(image),
            Ok(Err(error)) => Err(EngineError::new(code, &format!("{what}: {error}"))),
            Err(_) => Err(EngineError::internal("Taking a snapshot ended unexpectedly")),
        }
    }
}
