//! The buffer of a speaker without hardware: it empties with the clock.

use std::time::Duration;

use crate::clock::Monotonic;

const FRAME: Duration = Duration::from_millis(10);
/// Sound it holds before it makes the writer wait: about as much as a sound card's buffer.
pub(super) const BUFFER: Duration = Duration::from_millis(40);

/// A buffer that empties with the clock: when the sound written so far will have been played.
#[derive(Debug)]
pub(super) struct PacedBuffer {
    end: Monotonic,
}

impl PacedBuffer {
    pub(super) fn new() -> Self {
        Self { end: Monotonic::now() }
    }

    /// Room for one more frame is there at this time; the frame is then accounted for.
    pub(super) fn push(&mut self, now: Monotonic) -> Monotonic {
        // Behind the present means that it ran dry: it starts anew.
        self.end = self.end.max(now) + FRAME;
        self.end - BUFFER
    }

    pub(super) fn delay(&self, now: Monotonic) -> Duration {
        self.end.since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_waits_once_the_buffer_is_full() {
        let start = Monotonic::from_millis(1_000);
        let mut buffer = PacedBuffer { end: start };
        let waits: Vec<u64> = (0..6).map(|_| buffer.push(start).as_millis()).collect();
        assert_eq!(waits, [970, 980, 990, 1_000, 1_010, 1_020]);
        assert_eq!(buffer.delay(start), Duration::from_millis(60));
        // Long after, it has run dry and starts at the present.
        let later = Monotonic::from_millis(5_000);
        assert_eq!(buffer.push(later).as_millis(), 4_970);
        assert_eq!(buffer.delay(later), FRAME);
    }
}
