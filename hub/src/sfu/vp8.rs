//! VP8's picture numbers as one subscriber sees them.
//!
//! Each layer of a simulcast counts its pictures (PictureID) and base-layer pictures (TL0PICIDX) by itself
//! (RFC 7741 section 4.2). A decoder takes a jump for loss, so both go on counting when the layer changes. They lie in
//! the payload descriptor, which stays in clear when the content is encrypted end to end.

use str0m::rtp::{Vp8Descriptor, Vp8Patch};

/// Width of a PictureID in its long form; the short form is its lower seven bits.
const LONG: u16 = 0x7fff;
const SHORT: u16 = 0x7f;

/// The numbers of one payload descriptor.
struct Numbers {
    picture: Option<u16>,
    /// Width of `picture`.
    mask: u16,
    base: Option<u8>,
}

impl Numbers {
    fn read(payload: &[u8]) -> Option<Numbers> {
        let mut numbers = Numbers { picture: None, mask: LONG, base: None };
        if payload.first()? & 0x80 == 0 {
            return Some(numbers);
        }
        let present = *payload.get(1)?;
        let mut at = 2;
        if present & 0x80 != 0 {
            let first = *payload.get(at)?;
            if first & 0x80 != 0 {
                numbers.picture = Some(u16::from_be_bytes([first & 0x7f, *payload.get(at + 1)?]));
                at += 2;
            } else {
                (numbers.picture, numbers.mask) = (Some(u16::from(first)), SHORT);
                at += 1;
            }
        }
        if present & 0x40 != 0 {
            numbers.base = Some(*payload.get(at)?);
        }
        Some(numbers)
    }
}

/// Rewriting state of one subscription.
#[derive(Debug, Default)]
pub struct Pictures {
    source: Option<u32>,
    picture_offset: u16,
    base_offset: u8,
    last_picture: Option<u16>,
    last_base: Option<u8>,
}

impl Pictures {
    /// Forwarding stops on purpose; the next picture continues the count.
    pub fn pause(&mut self) {
        self.source = None;
    }

    /// What to change in `payload` of `source` (its SSRC); `None` when nothing is to be changed. `newest` is false for
    /// a packet that comes later than its successors.
    pub fn patch(&mut self, source: u32, payload: &[u8], newest: bool) -> Option<Vp8Patch> {
        let descriptor = Vp8Descriptor::parse(payload).ok()?;
        let Numbers { picture, mask, base } = Numbers::read(payload)?;
        if self.source != Some(source) {
            self.source = Some(source);
            if let (Some(last), Some(picture)) = (self.last_picture, picture) {
                self.picture_offset = last.wrapping_add(1).wrapping_sub(picture) & LONG;
            }
            if let (Some(last), Some(base)) = (self.last_base, base) {
                self.base_offset = last.wrapping_add(1).wrapping_sub(base);
            }
        }
        let picture = picture.map(|id| id.wrapping_add(self.picture_offset) & mask);
        let base = base.map(|index| index.wrapping_add(self.base_offset));
        if newest {
            self.last_picture = picture.or(self.last_picture);
            self.last_base = base.or(self.last_base);
        }
        if self.picture_offset == 0 && self.base_offset == 0 {
            return None;
        }
        let mut builder = descriptor.patch();
        if let Some(picture) = picture {
            builder = builder.picture_id(picture);
        }
        if let Some(base) = base {
            builder = builder.tl0_pic_idx(base);
        }
        builder.build().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A descriptor with both numbers and temporal layer 0.
    fn payload(picture: u16, base: u8) -> Vec<u8> {
        let [high, low] = picture.to_be_bytes();
        vec![0x90, 0xe0, 0x80 | high, low, base, 0x00, 0x00]
    }

    fn numbers(pictures: &Pictures) -> (Option<u16>, Option<u8>) {
        (pictures.last_picture, pictures.last_base)
    }

    #[test]
    fn the_first_layer_keeps_its_numbers() {
        let mut pictures = Pictures::default();
        assert!(pictures.patch(1, &payload(77, 9), true).is_none());
        assert_eq!(numbers(&pictures), (Some(77), Some(9)));
    }

    #[test]
    fn another_layer_goes_on_counting_and_wraps() {
        let mut pictures = Pictures::default();
        pictures.patch(1, &payload(LONG, 255), true);
        assert!(pictures.patch(2, &payload(500, 3), true).is_some());
        assert_eq!(numbers(&pictures), (Some(0), Some(0)));
        pictures.patch(2, &payload(501, 4), true);
        assert_eq!(numbers(&pictures), (Some(1), Some(1)));
    }

    #[test]
    fn a_late_packet_does_not_turn_the_count_back() {
        let mut pictures = Pictures::default();
        pictures.patch(1, &payload(10, 1), true);
        pictures.patch(1, &payload(9, 0), false);
        pictures.patch(2, &payload(300, 30), true);
        assert_eq!(numbers(&pictures), (Some(11), Some(2)));
    }

    #[test]
    fn what_is_no_descriptor_is_left_alone() {
        let mut pictures = Pictures::default();
        for bytes in [&[][..], &[0x90], &[0x90, 0x80], &[0x10, 0x00]] {
            assert!(pictures.patch(1, bytes, true).is_none(), "{bytes:x?}");
        }
    }
}
