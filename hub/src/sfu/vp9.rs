//! VP9's payload descriptor (RFC 9628 section 4.2): which spatial layer of its picture a packet belongs to, and what that layer
//! needs. It stays in clear when the content is encrypted end to end.

use super::svc::Frame;

/// Bits of the first byte.
const PICTURE_ID: u8 = 0x80;
const PREDICTED: u8 = 0x40;
const LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const BEGINS: u8 = 0x08;
const ENDS: u8 = 0x04;
const STRUCTURE: u8 = 0x02;
/// Pictures that one picture may refer to (section 4.2.1).
const REFERENCES: usize = 3;

/// What the forwarding needs of a payload descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// Spatial layer, from 0; `None` in a stream that does not tell its layers.
    pub spatial: Option<u8>,
    /// The layer's frame needs earlier pictures.
    pub predicted: bool,
    /// First packet of its layer's frame.
    pub begins: bool,
    /// Last packet of its layer's frame.
    pub ends: bool,
    /// Spatial layers of the stream, where its structure is told.
    pub layers: Option<u8>,
}

impl Descriptor {
    /// Reads the beginning of a payload; `None` when it is no whole descriptor.
    pub fn parse(payload: &[u8]) -> Option<Descriptor> {
        let mut reader = Reader(payload);
        let first = reader.byte()?;
        let has = |bit: u8| first & bit != 0;
        if has(PICTURE_ID) && reader.byte()? & 0x80 != 0 {
            reader.byte()?;
        }
        let mut spatial = None;
        if has(LAYERS) {
            spatial = Some(reader.byte()? >> 1 & 7);
            // The number of the base layer's picture.
            if !has(FLEXIBLE) {
                reader.byte()?;
            }
        }
        if has(FLEXIBLE) && has(PREDICTED) {
            let mut references = 1;
            while reader.byte()? & 1 != 0 {
                references += 1;
                if references > REFERENCES {
                    return None;
                }
            }
        }
        let layers = if has(STRUCTURE) { Some(reader.structure()?) } else { None };
        Some(Descriptor { spatial, predicted: has(PREDICTED), begins: has(BEGINS), ends: has(ENDS), layers })
    }

    /// What the packet's frame is among the layers; `None` in a stream that does not tell them.
    pub fn frame(&self) -> Option<Frame> {
        let Descriptor { layers, predicted, ends, .. } = *self;
        self.spatial.map(|layer| Frame { layer, layers, predicted, ends })
    }

    /// A picture that needs no other begins here.
    pub fn begins_key_frame(&self) -> bool {
        self.begins && !self.predicted && self.spatial.unwrap_or(0) == 0
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    /// The scalability structure (section 4.2.1); returns the number of spatial layers.
    fn structure(&mut self) -> Option<u8> {
        let head = self.byte()?;
        let layers = (head >> 5) + 1;
        if head & 0x10 != 0 {
            self.skip(4 * usize::from(layers))?;
        }
        if head & 0x08 != 0 {
            for _ in 0..self.byte()? {
                let references = self.byte()? >> 2 & 3;
                self.skip(usize::from(references))?;
            }
        }
        Some(layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spatial layer, predicted, begins, ends, layers of the stream.
    type Expected = (Option<u8>, bool, bool, bool, Option<u8>);

    fn read(payload: &[u8]) -> Option<Expected> {
        Descriptor::parse(payload).map(|d| (d.spatial, d.predicted, d.begins, d.ends, d.layers))
    }

    /// A descriptor with everything in it: a long picture id, layer 2 and the structure of three layers with sizes and two pictures.
    const STRUCTURED: &[u8] =
        &[0xaa, 0x81, 0x02, 0x04, 0x07, 0x58, 0, 240, 0, 135, 1, 224, 1, 14, 3, 192, 2, 28, 2, 0x14, 1, 0x08, 1, 2];

    #[test]
    fn descriptors_of_both_modes_are_read() {
        let cases: &[(&[u8], Expected)] = &[
            (&[0x08], (None, false, true, false, None)),
            (&[0x44], (None, true, false, true, None)),
            (&[0x88, 0x05], (None, false, true, false, None)),
            (&[0x88, 0x85, 0x05], (None, false, true, false, None)),
            // Not flexible: temporal layer 1, spatial layer 2, and the base layer's number.
            (&[0xe4, 0x81, 0x02, 0x25, 0x09], (Some(2), true, false, true, None)),
            // Flexible: no such number, but what is referred to.
            (&[0xbc, 0x81, 0x02, 0x02], (Some(1), false, true, true, None)),
            (&[0xf8, 0x81, 0x02, 0x00, 0x02], (Some(0), true, true, false, None)),
            (&[0xf8, 0x81, 0x02, 0x00, 0x03, 0x05, 0x06], (Some(0), true, true, false, None)),
            (STRUCTURED, (Some(2), false, true, false, Some(3))),
            (&[0x0a, 0x00], (None, false, true, false, Some(1))),
        ];
        for (payload, expected) in cases {
            assert_eq!(read(payload), Some(*expected), "{payload:x?}");
        }
    }

    #[test]
    fn what_is_cut_off_is_no_descriptor() {
        for length in 0..STRUCTURED.len() {
            assert_eq!(read(&STRUCTURED[..length]), None, "{length} bytes");
        }
        let others: [&[u8]; 5] = [&[0x80], &[0x80, 0x80], &[0x20, 0x00], &[0x50], &[0x50, 0x03, 0x03, 0x03]];
        for payload in others {
            assert_eq!(read(payload), None, "{payload:x?}");
        }
    }

    #[test]
    fn key_frames_begin_in_the_base_layer() {
        let cases: &[(&[u8], bool)] = &[
            (&[0x08], true),
            (&[0x00], false),
            (&[0x48], false),
            (&[0xa8, 0x01, 0x00, 0x00], true),
            (&[0xa8, 0x01, 0x03, 0x00], false),
        ];
        for (payload, expected) in cases {
            assert_eq!(Descriptor::parse(payload).map(|d| d.begins_key_frame()), Some(*expected), "{payload:x?}");
        }
    }
}
