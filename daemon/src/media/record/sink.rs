//! The way into a recording: a bounded queue that nobody who puts something in waits for.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::format::VideoFormat;
use super::muxer::Input;
use crate::clock::Monotonic;

/// Bytes that may wait to be written.
const MOST_BYTES: usize = 8 << 20;
/// Time that they may wait.
const LONGEST: Duration = Duration::from_secs(10);

/// What waits to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whether there are pictures, and how many channels of sound.
    tracks: Option<(bool, Option<u8>)>,
    inputs: VecDeque<Input>,
    bytes: usize,
    /// When the oldest of them, or the one that is being written, was taken out or put in.
    since: Option<Monotonic>,
    overflow: bool,
    closed: Option<Monotonic>,
}

/// What the recording's thread does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Input(Input),
    /// The descriptor could not follow.
    Overflow,
    End,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is known what the movie consists of; nothing when it ends before.
    pub(super) fn wait_for_tracks(&self) -> Option<(bool, Option<u8>)> {
        let mut state = self.state();
        loop {
            if state.tracks.is_some() || state.closed.is_some() {
                return state.tracks;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for something to do.
    pub(super) fn take(&self) -> Next {
        let mut state = self.state();
        loop {
            if state.overflow {
                return Next::Overflow;
            }
            if let Some(input) = state.inputs.pop_front() {
                state.bytes -= input.size();
                state.since = Some(Monotonic::now());
                return Next::Input(input);
            }
            state.since = None;
            if state.closed.is_some() {
                return Next::End;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether it makes no sense to wait for the descriptor any longer: too much waits, or the end was `patience` ago.
    pub(super) fn given_up(&self, now: Monotonic, patience: Duration) -> bool {
        let state = self.state();
        state.overflow || state.closed.is_some_and(|closed| now.since(closed) >= patience)
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.state().closed.get_or_insert_with(Monotonic::now);
        self.wake.notify_all();
    }

    fn is_open(&self) -> bool {
        let state = self.state();
        state.closed.is_none() && !state.overflow
    }

    fn begin(&self, tracks: (bool, Option<u8>)) {
        self.state().tracks.get_or_insert(tracks);
        self.wake.notify_all();
    }

    fn put(&self, input: Input, now: Monotonic) {
        let mut state = self.state();
        if state.closed.is_some() || state.overflow {
            return;
        }
        let late = state.since.is_some_and(|since| now.since(since) > LONGEST);
        if late || state.bytes + input.size() > MOST_BYTES {
            state.overflow = true;
            state.inputs.clear();
            state.bytes = 0;
        } else {
            state.bytes += input.size();
            state.inputs.push_back(input);
        }
        drop(state);
        self.wake.notify_all();
    }
}

/// Takes what is recorded. Cheap to clone; never blocks. The recording ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct RecordSink {
    end: Arc<End>,
}

#[derive(Debug)]
struct End(Arc<Queue>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl RecordSink {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { end: Arc::new(End(queue)) }
    }

    /// Says what will come: pictures, and sound of so many channels. The first word counts.
    pub fn begin(&self, video: bool, audio_channels: Option<u8>) {
        self.end.0.begin((video, audio_channels));
    }

    /// Whether the recording still takes something.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.end.0.is_open()
    }

    /// Whether both belong to the same recording.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.end, &other.end)
    }

    /// Takes a picture that was captured at `at`, in the form of a sample; a key frame with its format.
    pub(super) fn video(&self, at: Monotonic, data: Vec<u8>, format: Option<VideoFormat>) {
        self.end.0.put(Input::Video { at, data, format }, Monotonic::now());
    }

    /// Takes an Opus packet of `samples` at 48 kHz, the first of which was captured at `at`.
    pub(in crate::media) fn audio(&self, at: Monotonic, packet: &[u8], samples: u32) {
        self.end.0.put(Input::Audio { at, data: packet.to_vec(), samples }, Monotonic::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> (Arc<Queue>, RecordSink) {
        let queue = Arc::new(Queue::default());
        (Arc::clone(&queue), RecordSink::new(queue))
    }

    #[test]
    fn what_is_put_in_comes_out_and_then_the_end() {
        let (queue, sink) = queue();
        sink.begin(true, Some(1));
        sink.begin(false, None);
        assert_eq!(queue.wait_for_tracks(), Some((true, Some(1))));
        sink.audio(Monotonic::from_millis(1), b"abc", 960);
        let other = sink.clone();
        assert!(sink.is(&other));
        drop(sink);
        assert!(other.is_open());
        drop(other);
        assert!(matches!(queue.take(), Next::Input(Input::Audio { .. })));
        assert_eq!(queue.take(), Next::End);
    }

    #[test]
    fn more_than_may_wait_ends_it() {
        let (queue, sink) = queue();
        for _ in 0..9 {
            sink.video(Monotonic::default(), vec![0; 1 << 20], None);
        }
        assert!(!sink.is_open());
        assert_eq!(queue.take(), Next::Overflow);
        assert!(queue.given_up(Monotonic::now(), LONGEST));
    }

    #[test]
    fn what_waits_too_long_ends_it() {
        let (queue, sink) = queue();
        let input = || Input::Audio { at: Monotonic::default(), data: vec![1], samples: 960 };
        queue.put(input(), Monotonic::now());
        assert!(matches!(queue.take(), Next::Input(_)));
        let now = Monotonic::now();
        queue.put(input(), now + Duration::from_secs(9));
        assert!(sink.is_open());
        queue.put(input(), now + Duration::from_secs(11));
        assert!(!sink.is_open());
    }

    #[test]
    fn after_the_end_a_reader_has_some_time() {
        let (queue, sink) = queue();
        let now = Monotonic::now();
        assert!(!queue.given_up(now + Duration::from_secs(60), Duration::from_secs(2)));
        drop(sink);
        assert!(!queue.given_up(Monotonic::now(), Duration::from_secs(2)));
        assert!(queue.given_up(Monotonic::now() + Duration::from_secs(3), Duration::from_secs(2)));
        assert_eq!(queue.wait_for_tracks(), None);
    }
}
