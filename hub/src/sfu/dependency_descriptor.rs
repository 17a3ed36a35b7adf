//! The Dependency Descriptor (AV1 RTP specification, appendix A), a header extension that says to which spatial layer of its picture a
//! packet belongs, and what that layer's frame needs. It stays in clear when the content is encrypted end to end.
//!
//! Frames follow templates. Those are told only with the first packet of a key frame and hold until others are told, so whoever reads
//! descriptors keeps them. Of what the structure and a frame say only the beginning is read: chains, decode targets and resolutions
//! are for receivers, which get the descriptor as it came.

use super::bits::Bits;
use super::svc::Frame;

/// Bytes of the mandatory fields (A.4.1); more is the extended part.
const MANDATORY: usize = 3;
/// Bits of the first byte, and of the first of the extended part.
const START_OF_FRAME: u8 = 0x80;
const STRUCTURE_PRESENT: u8 = 0x80;
/// Template ids count in a circle (table A.1).
const TEMPLATE_IDS: u8 = 64;
/// The highest spatial id (table A.1).
const MAX_SPATIAL_ID: u8 = 3;

/// Whether a packet with this descriptor begins a picture that needs no other: only there a structure may be told (A.4.2).
pub fn begins_key_frame(descriptor: &[u8]) -> bool {
    let has = |at: usize, bit: u8| descriptor.get(at).is_some_and(|byte| byte & bit != 0);
    has(0, START_OF_FRAME) && has(MANDATORY, STRUCTURE_PRESENT)
}

/// What is known of the frames of one encoding.
#[derive(Debug, Default)]
pub struct Dependencies {
    structure: Option<Structure>,
}

impl Dependencies {
    /// Reads a packet's descriptor. `None` when it is no whole one, or follows a template that was not told.
    pub fn read(&mut self, descriptor: &[u8]) -> Option<Frame> {
        let mut bits = Bits::new(descriptor);
        bits.skip(1)?;
        let ends = bits.flag()?;
        let template_id = bits.number(6)? as u8;
        // The frame's number.
        bits.skip(16)?;
        let mut custom = None;
        if descriptor.len() > MANDATORY {
            let mut flag = || bits.flag();
            let (told, targets, dtis, diffs) = (flag()?, flag()?, flag()?, flag()?);
            let _chains = flag()?;
            if told {
                self.structure = Some(Structure::read(&mut bits)?);
                custom = Some(false);
            } else {
                let decode_targets = self.structure.as_ref()?.decode_targets;
                bits.skip(if targets { decode_targets } else { 0 })?;
                bits.skip(if dtis { 2 * decode_targets } else { 0 })?;
                // The size of the first difference; zero ends them.
                custom = if diffs { Some(bits.number(2)? != 0) } else { None };
            }
        }
        let structure = self.structure.as_ref()?;
        let template = structure.template(template_id)?;
        let (layer, layers) = (template.spatial, Some(structure.layers));
        Some(Frame { layer, layers, predicted: custom.unwrap_or(template.predicted), ends })
    }
}

/// The templates of an encoding.
#[derive(Debug)]
struct Structure {
    /// Id of the first one.
    first_id: u8,
    decode_targets: usize,
    /// Spatial layers.
    layers: u8,
    templates: Vec<Template>,
}

#[derive(Debug, Clone, Copy)]
struct Template {
    spatial: u8,
    /// Its frames need others.
    predicted: bool,
}

impl Structure {
    /// Reads a structure up to where the frames that each template needs are told.
    fn read(bits: &mut Bits<'_>) -> Option<Structure> {
        let first_id = bits.number(6)? as u8;
        let decode_targets = usize::from(bits.number(5)?) + 1;
        let mut templates = Vec::new();
        let mut spatial = 0;
        loop {
            templates.push(Template { spatial, predicted: false });
            match bits.number(2)? {
                // Of the same spatial layer, and of the same temporal layer or the next.
                0 | 1 => {}
                2 => spatial += 1,
                _ => break,
            }
            if spatial > MAX_SPATIAL_ID || templates.len() == usize::from(TEMPLATE_IDS) {
                return None;
            }
        }
        bits.skip(2 * decode_targets * templates.len())?;
        for template in &mut templates {
            while bits.flag()? {
                template.predicted = true;
                bits.skip(4)?;
            }
        }
        Some(Structure { first_id, decode_targets, layers: spatial + 1, templates })
    }

    fn template(&self, id: u8) -> Option<&Template> {
        let index = (id + TEMPLATE_IDS - self.first_id) % TEMPLATE_IDS;
        self.templates.get(usize::from(index))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes bits, given as numbers with their widths.
    #[derive(Default)]
    struct Writer(Vec<bool>);

    impl Writer {
        fn put(&mut self, number: usize, width: usize) -> &mut Writer {
            self.0.extend((0..width).rev().map(|bit| number >> bit & 1 == 1));
            self
        }

        fn bytes(&self) -> Vec<u8> {
            let byte = |bits: &[bool]| (0..8).fold(0, |byte, n| byte << 1 | u8::from(bits.get(n) == Some(&true)));
            self.0.chunks(8).map(byte).collect()
        }
    }

    /// The mandatory fields.
    fn descriptor(start: bool, end: bool, template: usize) -> Writer {
        let mut writer = Writer::default();
        writer.put(start.into(), 1).put(end.into(), 1).put(template, 6).put(0x1234, 16);
        writer
    }

    /// Spatial id of each template and its differences: two spatial layers that need each other only in a key frame, each with two
    /// temporal ones (L2T2_KEY).
    const TEMPLATES: &[(u8, &[usize])] = &[(0, &[]), (0, &[4]), (0, &[2]), (1, &[1]), (1, &[4]), (1, &[2, 15])];
    const TARGETS: usize = 4;

    /// The first packet of a key frame; ids begin with `first`.
    fn key_frame(first: usize) -> Vec<u8> {
        let mut writer = descriptor(true, false, first);
        writer.put(0b10000, 5).put(first, 6).put(TARGETS - 1, 5);
        for pair in TEMPLATES.windows(2) {
            writer.put(if pair[0].0 == pair[1].0 { 0 } else { 2 }, 2);
        }
        writer.put(3, 2);
        TEMPLATES.iter().for_each(|_| {
            writer.put(0b10_10_01_00, 2 * TARGETS);
        });
        for (_, differences) in TEMPLATES {
            differences.iter().for_each(|difference| {
                writer.put(1, 1).put(difference - 1, 4);
            });
            writer.put(0, 1);
        }
        // No chains, no resolutions.
        writer.put(0, 2).put(0, 1);
        writer.bytes()
    }

    fn read(dependencies: &mut Dependencies, descriptor: &[u8]) -> Option<(u8, Option<u8>, bool, bool)> {
        dependencies.read(descriptor).map(|f| (f.layer, f.layers, f.predicted, f.ends))
    }

    #[test]
    fn frames_follow_the_templates_that_were_told() {
        for first in [0, 10, 61] {
            let mut dependencies = Dependencies::default();
            let id = |index: usize| (first + index) % 64;
            assert_eq!(read(&mut dependencies, &descriptor(true, true, first).bytes()), None, "nothing was told");
            assert_eq!(read(&mut dependencies, &key_frame(first)), Some((0, Some(2), false, false)));
            let cases = [(0, 0, false), (1, 0, true), (2, 0, true), (3, 1, true), (4, 1, true), (5, 1, true)];
            for (index, layer, predicted) in cases {
                for end in [false, true] {
                    let bytes = descriptor(false, end, id(index)).bytes();
                    assert_eq!(read(&mut dependencies, &bytes), Some((layer, Some(2), predicted, end)), "{index}");
                }
            }
            assert_eq!(read(&mut dependencies, &descriptor(true, true, id(6)).bytes()), None, "no template");
        }
    }

    #[test]
    fn a_frame_may_need_others_than_its_template_says() {
        let mut dependencies = Dependencies::default();
        dependencies.read(&key_frame(0)).expect("a good descriptor");
        // Template, flags, active decode targets, indications, size of the first difference; predicted.
        let cases = [
            (1, 0b00000, None, None, None, true),
            (1, 0b01000, Some(0b0011), None, None, true),
            (1, 0b00010, None, None, Some(0), false),
            (0, 0b00010, None, None, Some(2), true),
            (1, 0b01110, Some(0b1111), Some(0xff), Some(0), false),
            (0, 0b01111, Some(0b0000), Some(0x00), Some(1), true),
        ];
        for (template, flags, targets, dtis, difference, predicted) in cases {
            let mut writer = descriptor(true, true, template);
            writer.put(flags, 5);
            targets.into_iter().for_each(|bits| {
                writer.put(bits, TARGETS);
            });
            dtis.into_iter().for_each(|bits| {
                writer.put(bits, 2 * TARGETS);
            });
            difference.into_iter().for_each(|bits| {
                writer.put(bits, 2).put(0, 4 * bits);
            });
            let bytes = writer.bytes();
            assert_eq!(read(&mut dependencies, &bytes), Some((0, Some(2), predicted, true)), "{flags:05b}");
        }
    }

    #[test]
    fn what_is_cut_off_or_has_too_many_layers_is_no_descriptor() {
        let whole = key_frame(5);
        // Chains and resolutions, three bits, are not read.
        for length in 0..whole.len() - 1 {
            assert_eq!(read(&mut Dependencies::default(), &whole[..length]), None, "{length} bytes");
        }
        let mut layers = descriptor(true, true, 0);
        layers.put(0b10000, 5).put(0, 6).put(0, 5);
        (0..4).for_each(|_| {
            layers.put(2, 2);
        });
        layers.put(3, 2).put(0, 64);
        assert_eq!(read(&mut Dependencies::default(), &layers.bytes()), None, "five layers");
        let mut templates = descriptor(true, true, 0);
        templates.put(0b10000, 5).put(0, 6).put(0, 5);
        (0..64).for_each(|_| {
            templates.put(0, 2);
        });
        templates.put(3, 2);
        (0..400).for_each(|_| {
            templates.put(0, 1);
        });
        assert_eq!(read(&mut Dependencies::default(), &templates.bytes()), None, "65 templates");
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        let mut dependencies = Dependencies::default();
        dependencies.read(&key_frame(0)).expect("a good descriptor");
        assert_eq!(read(&mut dependencies, &key_frame(20)[..10]), None);
        assert_eq!(read(&mut dependencies, &descriptor(true, true, 4).bytes()), Some((1, Some(2), true, true)));
    }

    #[test]
    fn key_frames_begin_where_a_structure_is_told() {
        let mut later = key_frame(0);
        later[0] &= !START_OF_FRAME;
        let mut extended = descriptor(true, true, 0);
        extended.put(0b01000, 5).put(0xf, 4);
        let cases = [
            (key_frame(0), true),
            (later, false),
            (extended.bytes(), false),
            (descriptor(true, true, 0).bytes(), false),
            (Vec::new(), false),
        ];
        for (bytes, expected) in cases {
            assert_eq!(begins_key_frame(&bytes), expected, "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn noise_is_no_danger(descriptors in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20)) {
            let mut dependencies = Dependencies::default();
            for descriptor in &descriptors {
                begins_key_frame(descriptor);
                if let Some(frame) = dependencies.read(descriptor) {
                    prop_assert!(frame.layer <= MAX_SPATIAL_ID && frame.layers.is_some_and(|layers| frame.layer < layers));
                }
            }
        }
    }
}
