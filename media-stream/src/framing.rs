//! Datagrams on a stream: each behind its length, two bytes in network order (RFC 4571, section 2).

/// Largest datagram that a client may send: ICE, DTLS and media keep below the MTU.
const LARGEST: usize = 4096;
/// Bytes of a length.
const LENGTH: usize = 2;

/// A stream said something that is no datagram of WebRTC's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes")]
pub struct BadFrame(usize);

/// Puts datagrams together again.
#[derive(Debug, Default)]
pub struct Deframer {
    received: Vec<u8>,
    taken: usize,
}

impl Deframer {
    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.received.drain(..self.taken);
        self.taken = 0;
        self.received.extend_from_slice(bytes);
    }

    /// The next datagram, if it is complete, in `buffer`; its length. Empty ones are skipped.
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> Result<bool, BadFrame> {
        loop {
            let rest = &self.received[self.taken..];
            let Some((length, rest)) = rest.split_first_chunk::<LENGTH>() else { return Ok(false) };
            let length = usize::from(u16::from_be_bytes(*length));
            if length > LARGEST {
                return Err(BadFrame(length));
            }
            let Some(datagram) = rest.get(..length) else { return Ok(false) };
            self.taken += LENGTH + length;
            if length > 0 {
                buffer.clear();
                buffer.extend_from_slice(datagram);
                return Ok(true);
            }
        }
    }
}

/// A datagram as it goes on a stream; `None` when it is too large for one.
pub fn frame(datagram: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(datagram.len()).ok()?;
    let mut framed = Vec::with_capacity(LENGTH + datagram.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(datagram);
    Some(framed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes, in whatever pieces: no more comes out than went in, and little is kept.
        #[test]
        fn noise_is_no_danger(pieces in proptest::collection::vec(proptest::collection::vec(0_u8..20, 0..200), 0..50)) {
            let (mut deframer, mut buffer, mut out) = (Deframer::default(), Vec::new(), 0);
            for piece in &pieces {
                deframer.push(piece);
                loop {
                    match deframer.next(&mut buffer) {
                        Ok(true) => out += buffer.len(),
                        Ok(false) => break,
                        Err(_) => return Ok(()),
                    }
                }
                prop_assert!(deframer.received.len() - deframer.taken < LENGTH + LARGEST);
            }
            prop_assert!(out <= pieces.iter().map(Vec::len).sum());
        }
    }

    #[test]
    fn datagrams_come_out_as_they_went_in_however_the_stream_is_cut() {
        let sent: Vec<Vec<u8>> = [1usize, 1200, 2, LARGEST, 3].map(|size| vec![size as u8; size]).into();
        let stream: Vec<u8> = sent.iter().flat_map(|datagram| frame(datagram).expect("small enough")).collect();
        for piece in [1, 2, 3, 7, 1000, stream.len()] {
            let (mut deframer, mut received, mut buffer) = (Deframer::default(), Vec::new(), Vec::new());
            for bytes in stream.chunks(piece) {
                deframer.push(bytes);
                while deframer.next(&mut buffer).expect("good frames") {
                    received.push(buffer.clone());
                }
            }
            assert_eq!(received, sent, "in pieces of {piece}");
            assert!(deframer.received.len() <= 2 * LARGEST.max(piece), "nothing is kept of what was taken");
        }
    }

    #[test]
    fn a_frame_that_is_too_large_is_an_error_and_an_empty_one_is_nothing() {
        let (mut deframer, mut buffer) = (Deframer::default(), Vec::new());
        deframer.push(&[0, 0, 0, 0, 0, 1, 7, 255, 255]);
        assert_eq!(deframer.next(&mut buffer), Ok(true));
        assert_eq!(buffer, [7]);
        assert_eq!(deframer.next(&mut buffer), Err(BadFrame(65_535)));
        assert_eq!(frame(&vec![0; 65_536]), None);
    }
}
