//! Where does a picture that needs no other picture begin? The only thing that forwarding reads from media payloads,
//! and it lies in the parts that stay in clear when the content is encrypted end to end.

/// Whether an H.264 payload (RFC 6184 section 5.2) begins or contains the beginning of a key frame: an IDR slice or
/// the parameter sets before it.
pub fn h264_key_frame(payload: &[u8]) -> bool {
    let starts_key_frame = |nal: u8| matches!(nal & 0x1f, 5 | 7);
    match payload {
        // STAP-A: units with a 16-bit length each.
        [head, rest @ ..] if head & 0x1f == 24 => {
            let mut rest = rest;
            while let [high, low, unit @ ..] = rest {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                match unit.first() {
                    Some(nal) if starts_key_frame(*nal) => return true,
                    _ => rest = unit.get(length..).unwrap_or_default(),
                }
            }
            false
        }
        // FU-A: only the first fragment begins anything.
        [head, fragment, ..] if head & 0x1f == 28 => fragment & 0x80 != 0 && starts_key_frame(*fragment),
        [head, ..] => starts_key_frame(*head),
        [] => false,
    }
}

/// Whether a VP8 payload (RFC 7741 sections 4.2 and 4.3) begins a key frame.
pub fn vp8_key_frame(payload: &[u8]) -> bool {
    let Some(&first) = payload.first() else { return false };
    // Only the first packet of the first partition begins a frame.
    if first & 0x17 != 0x10 {
        return false;
    }
    let mut at = 1;
    if first & 0x80 != 0 {
        let Some(&extensions) = payload.get(1) else { return false };
        at = 2;
        if extensions & 0x80 != 0 {
            at += if payload.get(at).is_some_and(|b| b & 0x80 != 0) { 2 } else { 1 };
        }
        at += usize::from(extensions & 0x40 != 0);
        at += usize::from(extensions & 0x30 != 0);
    }
    payload.get(at).is_some_and(|header| header & 1 == 0)
}

/// Whether an AV1 payload begins a coded video sequence, so a key frame (AV1 RTP specification, section 4.4). For packets without a
/// Dependency Descriptor.
pub fn av1_key_frame(payload: &[u8]) -> bool {
    const CONTINUES: u8 = 0x80;
    const NEW_SEQUENCE: u8 = 0x08;
    payload.first().is_some_and(|header| header & (CONTINUES | NEW_SEQUENCE) == NEW_SEQUENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_key_frames_are_found_in_every_packetization() {
        let cases: &[(&[u8], bool)] = &[
            (&[0x65, 1, 2], true),
            (&[0x67, 1, 2], true),
            (&[0x41, 1, 2], false),
            (&[0x06, 1], false),
            (&[0x78, 0, 2, 0x06, 9, 0, 2, 0x67, 9], true),
            (&[0x78, 0, 2, 0x41, 9, 0, 2, 0x41, 9], false),
            (&[0x78, 0, 9, 0x41], false),
            (&[0x7c, 0x85, 1], true),
            (&[0x7c, 0x05, 1], false),
            (&[0x7c, 0x81, 1], false),
            (&[], false),
        ];
        for (payload, expected) in cases {
            assert_eq!(h264_key_frame(payload), *expected, "{payload:x?}");
        }
    }

    #[test]
    fn av1_key_frames_begin_a_sequence() {
        let cases: &[(&[u8], bool)] = &[
            (&[0x18, 0x0a], true),
            (&[0x68, 0x0a], true),
            (&[0x10, 0x0a], false),
            (&[0x98, 0x0a], false),
            (&[], false),
        ];
        for (payload, expected) in cases {
            assert_eq!(av1_key_frame(payload), *expected, "{payload:x?}");
        }
    }

    #[test]
    fn vp8_key_frames_are_found_behind_every_descriptor() {
        let cases: &[(&[u8], bool)] = &[
            (&[0x10, 0x00], true),
            (&[0x10, 0x01], false),
            (&[0x00, 0x00], false),
            (&[0x11, 0x00], false),
            (&[0x90, 0x80, 0x05, 0x00], true),
            (&[0x90, 0x80, 0x85, 0x05, 0x00], true),
            (&[0x90, 0xf0, 0x85, 0x05, 0x01, 0x02, 0x00], true),
            (&[0x90, 0xf0, 0x85, 0x05, 0x01, 0x02, 0x01], false),
            (&[0x90, 0x80], false),
            (&[], false),
        ];
        for (payload, expected) in cases {
            assert_eq!(vp8_key_frame(payload), *expected, "{payload:x?}");
        }
    }
}
