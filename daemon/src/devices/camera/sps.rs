//! The picture's size out of an H.264 sequence parameter set (H.264 section 7.3.2.1.1).

/// The size that is shown, after cropping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// Bits of a NAL unit's payload, without emulation prevention bytes.
struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    fn new(payload: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(payload.len());
        let mut zeros = 0;
        for &byte in payload {
            if zeros >= 2 && byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            bytes.push(byte);
        }
        Self { bytes, at: 0 }
    }

    fn bit(&mut self) -> Option<u32> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    /// An unsigned Exp-Golomb number (section 9.1).
    fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.bits(zeros)?)
    }

    /// A signed one (section 9.1.1).
    fn signed(&mut self) -> Option<i32> {
        let code = self.unsigned()?;
        let half = i32::try_from(code.div_ceil(2)).ok()?;
        Some(if code % 2 == 1 { half } else { -half })
    }
}

fn skip_scaling_list(bits: &mut Bits, length: u32) -> Option<()> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..length {
        if next != 0 {
            // Legal differences fit into a byte; reduced first, others cannot overflow.
            next = (last + bits.signed()?.rem_euclid(256)) % 256;
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// The size in a parameter set: its NAL header byte, then its payload. Nothing when it is cut off or makes no sense.
pub(crate) fn size(unit: &[u8]) -> Option<Size> {
    let mut bits = Bits::new(unit.get(1..)?);
    let profile = bits.bits(8)?;
    bits.bits(16)?;
    bits.unsigned()?;
    let mut chroma = 1;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma = bits.unsigned()?;
        if chroma == 3 {
            bits.bit()?;
        }
        bits.unsigned()?;
        bits.unsigned()?;
        bits.bit()?;
        if bits.bit()? == 1 {
            for index in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.bit()? == 1 {
                    skip_scaling_list(&mut bits, if index < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.unsigned()?;
    match bits.unsigned()? {
        0 => {
            bits.unsigned()?;
        }
        1 => {
            bits.bit()?;
            bits.signed()?;
            bits.signed()?;
            for _ in 0..bits.unsigned()?.min(255) {
                bits.signed()?;
            }
        }
        _ => {}
    }
    bits.unsigned()?;
    bits.bit()?;
    let columns = bits.unsigned()?.checked_add(1)?;
    let rows = bits.unsigned()?.checked_add(1)?;
    let frames_only = bits.bit()?;
    if frames_only == 0 {
        bits.bit()?;
    }
    bits.bit()?;
    let (mut across, mut down) = (0_u32, 0_u32);
    if bits.bit()? == 1 {
        let [left, right, top, bottom] = [bits.unsigned()?, bits.unsigned()?, bits.unsigned()?, bits.unsigned()?];
        let (unit_x, unit_y) = match chroma {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        across = left.checked_add(right)?.checked_mul(unit_x)?;
        down = top.checked_add(bottom)?.checked_mul(unit_y * (2 - frames_only))?;
    }
    let width = columns.checked_mul(16)?.checked_sub(across)?;
    let height = rows.checked_mul(16 * (2 - frames_only))?.checked_sub(down)?;
    let sides = 2..=8192;
    (sides.contains(&width) && sides.contains(&height)).then_some(Size { width, height })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes bits as a parameter set has them.
    #[derive(Default)]
    struct Writer(Vec<bool>);

    impl Writer {
        fn bits(mut self, value: u32, count: u32) -> Self {
            self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
            self
        }

        fn unsigned(self, value: u32) -> Self {
            let length = (value + 1).ilog2();
            self.bits(0, length).bits(value + 1, length + 1)
        }

        fn unit(self) -> Vec<u8> {
            let bytes =
                self.0.chunks(8).map(|bits| bits.iter().enumerate().map(|(at, &bit)| u8::from(bit) << (7 - at)).sum());
            std::iter::once(0x67).chain(bytes).chain([0x80]).collect()
        }
    }

    fn baseline(columns: u32, rows: u32) -> Writer {
        Writer::default()
            .bits(66, 8)
            .bits(0xc0_1f, 16)
            .unsigned(0)
            .unsigned(0)
            .unsigned(2)
            .unsigned(1)
            .bits(0, 1)
            .unsigned(columns - 1)
            .unsigned(rows - 1)
    }

    #[test]
    fn sizes_with_and_without_cropping() {
        assert_eq!(size(&baseline(40, 30).bits(0b1100, 4).unit()), Some(Size { width: 640, height: 480 }));
        // 1920x1080 is 120x68 macroblocks less 8 rows.
        let cropped = baseline(120, 68).bits(0b111, 3).unsigned(0).unsigned(0).unsigned(0).unsigned(4).bits(0, 1);
        assert_eq!(size(&cropped.unit()), Some(Size { width: 1920, height: 1080 }));
        // Interlaced: rows count twice, and so does cropping.
        let fields =
            baseline(45, 18).bits(0b0, 1).bits(0b0, 1).bits(0b11, 2).unsigned(0).unsigned(0).unsigned(0).unsigned(0);
        assert_eq!(size(&fields.bits(0, 1).unit()), Some(Size { width: 720, height: 576 }));
        let high = Writer::default()
            .bits(100, 8)
            .bits(0x00_1f, 16)
            .unsigned(0)
            .unsigned(1)
            .unsigned(0)
            .unsigned(0)
            .bits(0, 1)
            .bits(1, 1)
            .bits(0, 8)
            .unsigned(0)
            .unsigned(0)
            .unsigned(0)
            .unsigned(4)
            .bits(0, 1)
            .unsigned(79)
            .unsigned(44)
            .bits(0b1100, 4);
        assert_eq!(size(&high.unit()), Some(Size { width: 1280, height: 720 }));
    }

    /// Found by the property below: the sum overflowed.
    #[test]
    fn a_scaling_list_with_a_huge_difference_is_read_over() {
        let start = Writer::default().bits(100, 8).bits(0x00_1f, 16).unsigned(0).unsigned(1).unsigned(0).unsigned(0);
        // A first list whose first difference is 2^31 - 1.
        let list = start.bits(0, 1).bits(1, 1).bits(1, 1).unsigned(u32::MAX - 2);
        assert_eq!(size(&list.unit()), None);
    }

    proptest! {
        /// Also behind the profiles that have scaling lists.
        #[test]
        fn no_parameter_set_makes_it_panic(
            profile in prop_oneof![Just(66_u8), Just(100), Just(244), any::<u8>()],
            rest in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0_u8), Just(0xff)], 0..80),
        ) {
            let unit: Vec<u8> = [0x67, profile].into_iter().chain(rest).collect();
            if let Some(found) = size(&unit) {
                prop_assert!((2..=8192).contains(&found.width) && (2..=8192).contains(&found.height));
            }
        }

        #[test]
        fn any_size_is_read_back(columns in 1_u32..=512, rows in 1_u32..=512) {
            let unit = baseline(columns, rows).bits(0b1100, 4).unit();
            prop_assert_eq!(size(&unit), Some(Size { width: columns * 16, height: rows * 16 }));
        }
    }

    #[test]
    fn what_makes_no_sense_is_nothing() {
        let whole = baseline(40, 30).bits(0b1100, 4).unit();
        for length in 0..8 {
            assert_eq!(size(&whole[..length]), None, "{length}");
        }
        assert_eq!(size(&[0x67; 40]), None);
        assert_eq!(size(&[0; 40]), None);
        assert_eq!(size(&baseline(4000, 4000).bits(0b1100, 4).unit()), None);
        let negative = baseline(1, 1).bits(0b111, 3).unsigned(90).unsigned(90).unsigned(0).unsigned(0).bits(0, 1);
        assert_eq!(size(&negative.unit()), None);
    }
}
