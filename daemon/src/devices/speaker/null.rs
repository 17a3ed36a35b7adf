//! The speaker that nobody hears: it takes sound at the pace of a real one.

use std::time::Duration;

use crate::audio::Frame;
use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::pace::sleep_until;
use crate::devices::speaker::Speaker;
use crate::devices::speaker::paced::PacedBuffer;

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
    use crate::devices::speaker::paced::BUFFER;

    #[test]
    fn a_second_of_sound_takes_its_time() {
        let mut speaker = NullSpeaker::open();
        let before = Monotonic::now();
        for _ in 0..20 {
            speaker.write(&Frame::level(0)).unwrap();
        }
        assert!(Monotonic::now().since(before) >= Duration::from_millis(160));
        assert!(speaker.delay() <= BUFFER);
    }
}
