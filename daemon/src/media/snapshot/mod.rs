//! Snapshots: one picture of a camera or of a received stream, as a file in memory.
//!
//! Nothing is kept for them: whoever wants one asks for a copy of the next picture. It is scaled and compressed by the thread that
//! asked, never by one that captures or decodes.

mod encode;
mod outlet;

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

pub use encode::ImageFormat;

use super::camera::CameraCapture;
use super::scale::Scaler;
use crate::picture::{Picture, PictureBuffer};

/// How long the next picture is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Nothing was captured or decoded for a while.
    #[error("no picture came within {} s", PATIENCE.as_secs())]
    NoPicture,
    /// The picture could not be compressed.
    #[error("the picture cannot be compressed: {0}")]
    Encode(String),
    /// The system has no memory to hand over.
    #[error("the image cannot be handed over: {0}")]
    Memory(#[from] rustix::io::Errno),
}

/// Somebody who waits for a picture.
#[derive(Debug)]
pub struct SnapshotRequest {
    sender: SyncSender<PictureBuffer>,
}

impl SnapshotRequest {
    /// Gives a copy of the picture.
    pub(in crate::media) fn answer(self, picture: &Picture<'_>) {
        let mut copy = PictureBuffer::new(picture.width, picture.height);
        super::convert::copy_picture(picture, &mut copy);
        // Who asked may have given up.
        let _ = self.sender.try_send(copy);
    }
}

/// The other end of a [`SnapshotRequest`].
#[derive(Debug)]
pub struct PendingSnapshot {
    receiver: Receiver<PictureBuffer>,
}

/// A request, and where its answer arrives.
#[must_use]
pub fn request() -> (SnapshotRequest, PendingSnapshot) {
    let (sender, receiver) = sync_channel(1);
    (SnapshotRequest { sender }, PendingSnapshot { receiver })
}

impl PendingSnapshot {
    /// Waits for the picture and compresses it, at `size` or as it comes. Blocks: not for the runtime's thread.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn image(self, size: Option<(u32, u32)>, format: ImageFormat) -> Result<OwnedFd, SnapshotError> {
        let picture = match self.receiver.recv_timeout(PATIENCE) {
            Ok(picture) => picture,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Err(SnapshotError::NoPicture),
        };
        let wanted = size.map(|(width, height)| (width as usize & !1, height as usize & !1));
        let scaled = wanted
            .filter(|&(width, height)| {
                (width, height) != (picture.width(), picture.height()) && width > 0 && height > 0
            })
            .map(|(width, height)| Scaler::new().scale(&picture.picture(), width, height));
        let bytes = encode::encode(&scaled.as_ref().unwrap_or(&picture).picture(), format)?;
        encode::sealed(&bytes)
    }
}

/// A picture of a camera, at `size`. Blocks: not for the runtime's thread.
///
/// # Errors
/// [`SnapshotError`].
pub fn of_camera(camera: &CameraCapture, size: (u32, u32), format: ImageFormat) -> Result<OwnedFd, SnapshotError> {
    let (request, pending) = request();
    let _waiting = outlet::Waiting::new(camera, request);
    pending.image(Some(size), format)
}
