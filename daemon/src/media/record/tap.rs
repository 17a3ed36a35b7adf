//! A tap on encoded pictures, wherever they come from: begins with a key frame, and says when one is needed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::RecordSink;
use super::format::VideoFormat;
use super::unit::{AccessUnit, ParameterSets, vp8_format};
use crate::clock::Monotonic;

/// A player can jump to key frames only.
const BETWEEN_KEYS: Duration = Duration::from_secs(10);
/// A request that nobody followed is repeated.
const AGAIN: Duration = Duration::from_secs(1);

/// Puts the pictures of one encoder or one sender into a recording.
#[derive(Debug)]
pub(in crate::media) struct VideoTap {
    sink: RecordSink,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sets: ParameterSets,
    /// The newest key frame; without one nothing is recorded.
    key: Option<Monotonic>,
    asked: Option<Monotonic>,
}

impl VideoTap {
    /// A tap whose first picture will be a key frame.
    pub(in crate::media) fn new(sink: RecordSink) -> Self {
        Self { sink, state: Mutex::default() }
    }

    /// Where the pictures go.
    pub(in crate::media) const fn sink(&self) -> &RecordSink {
        &self.sink
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an H.264 picture that was captured at `at`. Returns whether a key frame should be asked for.
    pub(in crate::media) fn h264(&self, unit: AccessUnit, at: Monotonic) -> bool {
        let mut state = self.state();
        let sample = state.sets.complete(unit);
        self.sample(&mut state, sample, at)
    }

    /// Takes a VP8 picture; as [`VideoTap::h264`].
    pub(in crate::media) fn vp8(&self, frame: &[u8], at: Monotonic) -> bool {
        self.sample(&mut self.state(), Some((frame.to_vec(), vp8_format(frame))), at)
    }

    fn sample(&self, state: &mut State, sample: Option<(Vec<u8>, Option<VideoFormat>)>, at: Monotonic) -> bool {
        match sample {
            Some((data, Some(format))) => {
                state.key = Some(at);
                self.sink.video(at, data, Some(format));
            }
            Some((data, None)) if state.key.is_some() => self.sink.video(at, data, None),
            _ => {}
        }
        let due = state.key.is_none_or(|key| at.since(key) >= BETWEEN_KEYS);
        let ask = due && state.asked.is_none_or(|asked| at.since(asked) >= AGAIN);
        if ask {
            state.asked = Some(at);
        }
        ask && self.sink.is_open()
    }
}
