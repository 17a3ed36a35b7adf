//! The speaker that nobody hears: it takes sound at the pace of a real one.

use std::time::Duration;

use crate::audio::Frame;
use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::pace::sleep_until;
use crate::devices::speaker::Speaker;

const FRAME: Duration = Duration::from_millis(10);
/// Sound it holds before it makes the writer wait: as much as a sound card's buffer here.
const BUFFER: Duration = Duration::from_millis(40);

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

/// The speaker `null`.
pub(super) struct NullSpeaker {
    buffer: PacedBuffer,
}

impl NullSpeaker {
    pub(super) fn open() -> Self {
        Self { buffer: PacedBuffer::new() }
    }
}

impl Speaker for NullSpeaker {
    fn write(&mut self, _frame: &Frame) -> Result<(), DeviceError> {
        sleep_until(self.buffer.push(Monotonic::now()));
        Ok(())
    }

    fn delay(&self) -> Duration {
        self.buffer.delay(Monotonic::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FRAME_SAMPLES;

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

    #[test]
    fn a_second_of_sound_takes_its_time() {
        let mut speaker = NullSpeaker::open();
        let before = Monotonic::now();
        for _ in 0..20 {
            speaker.write(&[0; FRAME_SAMPLES]).unwrap();
        }
        assert!(Monotonic::now().since(before) >= Duration::from_millis(160));
        assert!(speaker.delay() <= BUFFER);
    }
}
