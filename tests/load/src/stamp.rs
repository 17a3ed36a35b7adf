//! What every packet carries at its end: who sent it, the how manieth it is, and when.
//!
//! At the end, because a room server may rewrite the beginning of a VP8 payload (RFC 7741, the payload descriptor).

/// Bytes of a stamp.
pub const LENGTH: usize = 24;
/// Tells our packets from a server's padding.
const MAGIC: [u8; 5] = *b"zload";

/// One packet's stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the participant that published it.
    pub publisher: u16,
    /// Which of the publisher's encodings: 0 is sound, 1 to 3 are layers of its picture.
    pub encoding: u8,
    /// Position in the encoding, counted from 0 without gaps.
    pub counter: u64,
    /// When it was sent, nanoseconds since the program's epoch.
    pub sent: u64,
}

impl Stamp {
    /// Writes it into the last bytes of `payload`, which has at least [`LENGTH`].
    pub fn write(self, payload: &mut [u8]) {
        let Some(from) = payload.len().checked_sub(LENGTH) else { return };
        let place = &mut payload[from..];
        place[..5].copy_from_slice(&MAGIC);
        place[5] = self.encoding;
        place[6..8].copy_from_slice(&self.publisher.to_be_bytes());
        place[8..16].copy_from_slice(&self.counter.to_be_bytes());
        place[16..].copy_from_slice(&self.sent.to_be_bytes());
    }

    /// Reads the stamp of a payload; `None` when it has none.
    pub fn read(payload: &[u8]) -> Option<Stamp> {
        let (_, place) = payload.split_last_chunk::<LENGTH>()?;
        if place[..5] != MAGIC {
            return None;
        }
        let number = |from: usize| place[from..from + 8].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        Some(Stamp {
            publisher: u16::from_be_bytes([place[6], place[7]]),
            encoding: place[5],
            counter: number(8),
            sent: number(16),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_from_the_end() {
        let stamp = Stamp { publisher: 300, encoding: 3, counter: 1 << 40, sent: u64::MAX - 7 };
        let mut payload = vec![0x90; 1_000];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&payload[100..]), Some(stamp), "the beginning may get longer or shorter");
    }

    #[test]
    fn padding_has_no_stamp() {
        assert_eq!(Stamp::read(&[0; 200]), None);
        assert_eq!(Stamp::read(&[]), None);
    }
}
