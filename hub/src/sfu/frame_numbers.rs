//! Frame numbers of the Dependency Descriptor as one subscriber sees them.
//!
//! Each source counts its frames by itself, in 16 bits (AV1 RTP specification, A.4.2). A receiver takes a number that lies more than half
//! of them ahead for an old one, and drops what comes under it: a picture that was hidden for six minutes would stay so for as long
//! (three layers of thirty frames a second). So they go on where they were when forwarding stopped, or another source took its place.

/// Rewriting state of one subscription.
#[derive(Debug, Default)]
pub struct FrameNumbers {
    source: Option<u32>,
    offset: u16,
    last: Option<u16>,
}

impl FrameNumbers {
    /// Forwarding stops on purpose; the next frame continues the count.
    pub fn pause(&mut self) {
        self.source = None;
    }

    /// What a `descriptor` of `source` (its SSRC) is to be; `None` when nothing is to be changed. `newest` is false for a packet that
    /// comes later than its successors.
    pub fn patch(&mut self, source: u32, descriptor: &[u8], newest: bool) -> Option<Box<[u8]>> {
        let (&[first, high, low], rest) = descriptor.split_first_chunk()?;
        let number = u16::from_be_bytes([high, low]);
        if self.source != Some(source) {
            self.source = Some(source);
            if let Some(last) = self.last {
                self.offset = last.wrapping_add(1).wrapping_sub(number);
            }
        }
        let number = number.wrapping_add(self.offset);
        if newest {
            self.last = Some(number);
        }
        let [high, low] = number.to_be_bytes();
        (self.offset != 0).then(|| [&[first, high, low], rest].concat().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A descriptor with this frame number, and more behind it.
    fn descriptor(number: u16) -> Vec<u8> {
        let [high, low] = number.to_be_bytes();
        vec![0xc5, high, low, 0x40, 0xff]
    }

    /// The number that goes out.
    fn number(numbers: &mut FrameNumbers, source: u32, number: u16, newest: bool) -> u16 {
        let came = descriptor(number);
        let goes = numbers.patch(source, &came, newest).map_or(came.clone(), Vec::from);
        assert_eq!((goes[0], &goes[3..]), (came[0], &came[3..]), "nothing else changes");
        u16::from_be_bytes([goes[1], goes[2]])
    }

    #[test]
    fn frames_are_counted_on_after_a_pause_and_from_another_source() {
        let mut numbers = FrameNumbers::default();
        // Source, its number, newest, and what goes out; `None` is a pause.
        let steps: &[Option<(u32, u16, bool, u16)>] = &[
            Some((1, 65_534, true, 65_534)),
            Some((1, 65_534, true, 65_534)),
            Some((1, 0, true, 0)),
            Some((1, 65_535, false, 65_535)),
            None,
            Some((1, 40_000, true, 1)),
            Some((1, 40_002, true, 3)),
            Some((1, 40_001, false, 2)),
            Some((2, 7, true, 4)),
            Some((2, 8, true, 5)),
        ];
        for (n, step) in steps.iter().enumerate() {
            match step {
                Some((source, came, newest, goes)) => {
                    assert_eq!(number(&mut numbers, *source, *came, *newest), *goes, "step {n}");
                }
                None => numbers.pause(),
            }
        }
    }

    #[test]
    fn what_need_not_be_changed_is_not_copied_and_what_is_no_descriptor_is_left() {
        let mut numbers = FrameNumbers::default();
        assert_eq!(numbers.patch(1, &descriptor(9), true), None);
        assert_eq!(numbers.patch(2, &[0xc5, 1], true), None);
    }
}
