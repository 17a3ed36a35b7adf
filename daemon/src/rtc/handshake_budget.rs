//! How much of a DTLS handshake the crate is given.
//!
//! It keeps the fragments of a message until the message is whole, and puts them together by recursion, as deep as there are fragments. So
//! somebody who sends a message in fifty thousand pieces, be it a server or anybody on the way to it (a handshake begins in clear), would
//! end the daemon. What is given here is some thousand pieces at the most.

/// DTLS record content type of handshake messages, RFC 6347 §4.1.
const HANDSHAKE: u8 = 22;
/// Bytes of a record's header.
const RECORD_HEADER: usize = 13;
/// Bytes of handshake records for a whole connection. A handshake has two to five thousand; chains of certificates and what is repeated in
/// other pieces make it a few times that.
const MOST: usize = 64 * 1024;

/// What is left to be given.
#[derive(Debug)]
pub(super) struct HandshakeBudget {
    bytes: usize,
}

impl Default for HandshakeBudget {
    fn default() -> Self {
        Self { bytes: MOST }
    }
}

impl HandshakeBudget {
    /// Whether the crate may have this datagram, whose parts of a handshake are then counted.
    pub(super) fn admits(&mut self, datagram: &[u8]) -> bool {
        // DTLS has the first bytes 20 to 63, RFC 7983.
        if !datagram.first().is_some_and(|first| (20..64).contains(first)) {
            return true;
        }
        let Some(left) = self.bytes.checked_sub(handshake_bytes(datagram)) else { return false };
        self.bytes = left;
        true
    }
}

/// Bytes of a datagram that may be parts of handshake messages, with their records' headers.
fn handshake_bytes(mut datagram: &[u8]) -> usize {
    let mut bytes = 0;
    while let Some(header) = datagram.get(..RECORD_HEADER) {
        let length = RECORD_HEADER + usize::from(u16::from_be_bytes([header[11], header[12]]));
        let record;
        (record, datagram) = datagram.split_at(length.min(datagram.len()));
        if header[0] == HANDSHAKE {
            bytes += record.len();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record with so many bytes of body.
    fn record(kind: u8, length: u16) -> Vec<u8> {
        let mut bytes = vec![kind, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(length.to_be_bytes());
        bytes.extend(std::iter::repeat_n(0, length.into()));
        bytes
    }

    #[test]
    fn a_handshake_passes_and_one_without_end_does_not() {
        let mut budget = HandshakeBudget::default();
        let piece = record(HANDSHAKE, 12 + 1);
        let passed = (0..50_000).filter(|_| budget.admits(&piece)).count();
        assert_eq!(passed, MOST / piece.len());
        assert!(passed > 2000, "chains of certificates in small pieces");
    }

    #[test]
    fn pieces_count_wherever_they_stand_in_a_datagram() {
        let mut budget = HandshakeBudget::default();
        let datagram = [record(20, 1), record(HANDSHAKE, 100), record(23, 50), record(HANDSHAKE, 200)].concat();
        assert!(budget.admits(&datagram));
        assert_eq!(MOST - budget.bytes, 2 * RECORD_HEADER + 300);
        let broken = &record(HANDSHAKE, 1000)[..500];
        assert!(budget.admits(broken));
        assert_eq!(MOST - budget.bytes, 2 * RECORD_HEADER + 800, "of a record that is cut off, what is there");
    }

    #[test]
    fn what_is_no_handshake_passes_afterwards() {
        let mut budget = HandshakeBudget { bytes: 0 };
        assert!(!budget.admits(&record(HANDSHAKE, 10)));
        for datagram in [record(20, 1), record(21, 2), record(23, 1000), vec![0x80, 96, 0, 1], vec![0, 1, 0, 0], vec![]]
        {
            assert!(budget.admits(&datagram), "{datagram:?}");
        }
    }

    proptest! {
        #[test]
        fn no_more_is_counted_than_came(datagrams: Vec<Vec<u8>>) {
            let mut budget = HandshakeBudget::default();
            for mut datagram in datagrams {
                datagram.insert(0, HANDSHAKE);
                let before = budget.bytes;
                budget.admits(&datagram);
                prop_assert!(before - budget.bytes <= datagram.len());
            }
        }
    }
}
