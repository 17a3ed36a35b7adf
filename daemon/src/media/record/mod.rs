//! Recordings: encoded pictures and sound, as they are sent or received, in a fragmented MP4.
//!
//! Whoever encodes or receives puts samples into a [`RecordSink`] and goes on; a thread of the recording's own makes the movie and
//! writes it. **A slow or full descriptor ends the recording and nothing else.** The movie is finished when it is told to be,
//! or when the last sink is dropped: then nothing can follow.

mod boxes;
mod format;
mod fragment;
mod index;
mod movie;
mod muxer;
mod output;
mod remote;
mod sink;
mod tap;
mod unit;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use remote::SenderClock;
pub(in crate::media) use remote::{RemoteAudioTap, RemoteVideoTap};
pub use sink::RecordSink;
pub(in crate::media) use tap::VideoTap;
pub(in crate::media) use unit::AccessUnit;

use crate::clock::Monotonic;
use muxer::Muxer;
use output::Output;
use sink::{Next, Queue};

/// How long a reader has, after the end, to take what is left.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a recording ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The disk, or what the user may have of it, is full.
    #[error("the disk is full")]
    Full,
    /// The descriptor refuses what is written.
    #[error("writing failed: {0}")]
    Write(std::io::Error),
    /// The descriptor takes less than is recorded.
    #[error("the descriptor takes the recording too slowly")]
    Slow,
    /// The pictures come in another codec than at the beginning.
    #[error("the stream changed its video codec, which one file cannot follow")]
    Codec,
}

impl RecordError {
    /// The code of the API.
    #[must_use]
    pub const fn code(&self) -> i32 {
        match self {
            Self::Full => 1_010_017,
            Self::Write(_) | Self::Slow => 1_010_014,
            Self::Codec => 1_000_006,
        }
    }
}

/// What a recording has become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordProgress {
    /// Length of what was recorded.
    pub duration: Duration,
    /// Bytes written.
    pub size: u64,
}

#[derive(Debug, Default)]
struct Progress {
    millis: AtomicU64,
    size: AtomicU64,
}

/// A recording that runs. Dropping it ends the recording.
#[derive(Debug)]
pub struct Recording {
    queue: Arc<Queue>,
    progress: Arc<Progress>,
}

impl Recording {
    /// Starts a recording to `descriptor`; nothing is written before [`RecordSink::begin`] has said what it consists of. `ended` is
    /// called once, on the recording's thread, when everything is written or cannot be.
    ///
    /// # Errors
    /// A descriptor that cannot be written to.
    pub fn start(
        descriptor: OwnedFd,
        ended: impl FnOnce(Result<(), RecordError>) + Send + 'static,
    ) -> std::io::Result<(Self, RecordSink)> {
        let output = Output::new(descriptor)?;
        let queue = Arc::new(Queue::default());
        let progress = Arc::new(Progress::default());
        super::spawn("recording", {
            let (queue, progress) = (Arc::clone(&queue), Arc::clone(&progress));
            move || {
                let result = run(&queue, output, &progress);
                queue.close();
                ended(result);
            }
        });
        let sink = RecordSink::new(Arc::clone(&queue));
        Ok((Self { queue, progress }, sink))
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> RecordProgress {
        RecordProgress {
            duration: Duration::from_millis(self.progress.millis.load(Ordering::Relaxed)),
            size: self.progress.size.load(Ordering::Relaxed),
        }
    }

    /// Takes nothing more, and writes what is there.
    pub fn finish(&self) {
        self.queue.close();
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The recording's thread.
fn run(queue: &Queue, mut output: Output, progress: &Progress) -> Result<(), RecordError> {
    let Some((video, audio)) = queue.wait_for_tracks() else { return Ok(()) };
    let mut muxer = Muxer::new(video, audio, output.is_amendable());
    let mut bytes = Vec::new();
    loop {
        let (result, last) = match queue.take() {
            Next::Input(input) => (muxer.push(input, &mut bytes), false),
            Next::Overflow => return Err(RecordError::Slow),
            Next::End => {
                muxer.finish(&mut bytes);
                (Ok(()), true)
            }
        };
        if result.is_err() {
            muxer.finish(&mut bytes);
        }
        if !bytes.is_empty() {
            let give_up = || queue.given_up(Monotonic::now(), LAST_WORDS);
            output.write(&bytes, give_up)?;
            bytes.clear();
            for amendment in muxer.amendments() {
                output.amend(amendment.at, &amendment.bytes)?;
            }
            let millis = u64::try_from(muxer.duration().as_millis()).unwrap_or(u64::MAX);
            progress.millis.store(millis, Ordering::Relaxed);
            progress.size.store(output.written(), Ordering::Relaxed);
        }
        result.map_err(|muxer::CodecChanged| RecordError::Codec)?;
        if last {
            return Ok(());
        }
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
