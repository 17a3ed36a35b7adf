//! Numbers of a few bits each, as the descriptors of codecs have them: the highest bit of a byte comes first.

/// What is left to be read.
#[derive(Debug, Clone)]
pub struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits that were read.
    at: usize,
}

impl<'a> Bits<'a> {
    /// Begins with the first bit.
    pub fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes, at: 0 }
    }

    /// A number of `count` bits, 16 at most; `None` when fewer are left.
    pub fn number(&mut self, count: usize) -> Option<u16> {
        debug_assert!(count <= 16);
        (0..count).try_fold(0, |number, _| Some(number << 1 | u16::from(self.flag()?)))
    }

    /// One bit.
    pub fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// Passes over `count` bits; `None` when fewer are left.
    pub fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len() * 8).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lie_across_bytes() {
        let mut bits = Bits::new(&[0b1011_0001, 0b1110_0000, 0xff]);
        assert_eq!(bits.number(3), Some(0b101));
        assert_eq!(bits.flag(), Some(true));
        assert_eq!(bits.number(7), Some(0b000_1111));
        assert_eq!(bits.skip(5), Some(()));
        assert_eq!(bits.number(0), Some(0));
        assert_eq!(bits.number(8), Some(0xff));
        assert_eq!(bits.number(0), Some(0));
        assert_eq!(bits.flag(), None);
        assert_eq!(Bits::new(&[1, 2]).number(16), Some(0x0102));
    }

    #[test]
    fn behind_the_end_there_is_nothing() {
        for (bytes, count) in [(&[][..], 1), (&[0xff], 9)] {
            assert_eq!(Bits::new(bytes).number(count), None);
            assert_eq!(Bits::new(bytes).skip(count), None);
        }
    }
}
