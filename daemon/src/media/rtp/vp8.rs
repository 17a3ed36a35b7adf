//! VP8 in RTP (RFC 7741).

use super::PayloadError;

/// The payload descriptor of one packet, RFC 7741 §4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Bytes of the descriptor; the frame's data follows.
    pub length: usize,
    /// A frame begins in this packet: the first partition starts here.
    pub begins_frame: bool,
    /// No other frame refers to this one.
    pub non_reference: bool,
    /// The frame's number, when it is there, and how many bits it has (7 or 15).
    pub picture_id: Option<(u16, u8)>,
    /// This packet begins a key frame.
    pub key: bool,
}

/// Reads the descriptor of `payload`.
///
/// # Errors
/// [`PayloadError::Truncated`].
pub fn descriptor(payload: &[u8]) -> Result<Descriptor, PayloadError> {
    let mut at = 0;
    let mut byte = || {
        let value = payload.get(at).copied().ok_or(PayloadError::Truncated);
        at += 1;
        value
    };
    let first = byte()?;
    let mut picture_id = None;
    if first & 0x80 != 0 {
        let extension = byte()?;
        if extension & 0x80 != 0 {
            let high = byte()?;
            picture_id = Some(if high & 0x80 != 0 {
                (u16::from_be_bytes([high & 0x7f, byte()?]), 15)
            } else {
                (u16::from(high), 7)
            });
        }
        if extension & 0x40 != 0 {
            byte()?;
        }
        if extension & 0x30 != 0 {
            byte()?;
        }
    }
    let begins_frame = first & 0x10 != 0 && first & 0x07 == 0;
    let data = *payload.get(at).ok_or(PayloadError::Truncated)?;
    // RFC 6386 §9.1: the lowest bit of a frame is 0 in a key frame.
    Ok(Descriptor {
        length: at,
        begins_frame,
        non_reference: first & 0x20 != 0,
        picture_id,
        key: begins_frame && data & 1 == 0,
    })
}

/// Whether the frame numbered `next` follows on `last`.
#[must_use]
pub fn follows(last: (u16, u8), next: (u16, u8)) -> bool {
    let modulus = 1_u32 << next.1;
    last.1 == next.1 && (u32::from(last.0) + 1) % modulus == u32::from(next.0)
}

/// Splits a frame into payloads with the shortest descriptor that carries a 15-bit picture id; for tests and for sending.
pub fn packetize(frame: &[u8], picture_id: u16, mut each: impl FnMut(Vec<u8>, bool)) {
    let count = frame.len().div_ceil(super::MAX_PAYLOAD - 4).max(1);
    let size = frame.len().div_ceil(count).max(1);
    let chunks = frame.chunks(size);
    let last = chunks.len().saturating_sub(1);
    for (index, chunk) in chunks.enumerate() {
        let start = if index == 0 { 0x10 } else { 0 };
        let [high, low] = (picture_id & 0x7fff | 0x8000).to_be_bytes();
        let mut payload = Vec::with_capacity(4 + chunk.len());
        payload.extend_from_slice(&[0x80 | start, 0x80, high, low]);
        payload.extend_from_slice(chunk);
        each(payload, index == last);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn descriptors_of_every_shape() {
        // payload, length, begins, non-reference, picture id, key
        type Case = (&'static [u8], usize, bool, bool, Option<(u16, u8)>, bool);
        let cases: [Case; 8] = [
            (&[0x10, 0x00], 1, true, false, None, true),
            (&[0x10, 0x01], 1, true, false, None, false),
            (&[0x00, 0x00], 1, false, false, None, false),
            (&[0x11, 0x00], 1, false, false, None, false),
            (&[0x90, 0x80, 0x11, 0x01], 3, true, false, Some((0x11, 7)), false),
            (&[0x90, 0x80, 0x92, 0x34, 0x00], 4, true, false, Some((0x1234, 15)), true),
            (&[0xb0, 0xe0, 0x80, 0x01, 0x07, 0x40, 0x01], 6, true, true, Some((1, 15)), false),
            (&[0x80, 0x10, 0x21, 0x99], 3, false, false, None, false),
        ];
        for (payload, length, begins_frame, non_reference, picture_id, key) in cases {
            let expected = Descriptor { length, begins_frame, non_reference, picture_id, key };
            assert_eq!(descriptor(payload), Ok(expected), "{payload:02x?}");
        }
    }

    #[test]
    fn short_payloads_are_refused() {
        for payload in [&[][..], &[0x10], &[0x90], &[0x90, 0x80], &[0x90, 0x80, 0x80], &[0x90, 0x80, 0x80, 0x01]] {
            assert_eq!(descriptor(payload), Err(PayloadError::Truncated), "{payload:02x?}");
        }
    }

    #[test]
    fn numbers_wrap() {
        assert!(follows((0x7fff, 15), (0, 15)));
        assert!(follows((127, 7), (0, 7)));
        assert!(!follows((127, 15), (0, 15)));
        assert!(!follows((5, 15), (7, 15)));
        assert!(!follows((5, 7), (6, 15)));
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(frame in proptest::collection::vec(any::<u8>(), 1..6000), id in 0_u16..0x8000) {
            let (mut out, mut payloads) = (Vec::new(), Vec::new());
            packetize(&frame, id, |payload, marker| payloads.push((payload, marker)));
            for (index, (payload, marker)) in payloads.iter().enumerate() {
                prop_assert!(payload.len() <= super::super::MAX_PAYLOAD);
                let found = descriptor(payload).expect("descriptor");
                prop_assert_eq!(found.begins_frame, index == 0);
                prop_assert_eq!(found.key, index == 0 && frame[0] & 1 == 0);
                prop_assert_eq!(found.picture_id, Some((id, 15)));
                prop_assert_eq!(*marker, index + 1 == payloads.len());
                out.extend_from_slice(&payload[found.length..]);
            }
            prop_assert_eq!(out, frame);
        }

        #[test]
        fn no_payload_makes_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(found) = descriptor(&payload) {
                prop_assert!(found.length < payload.len());
            }
        }
    }
}
