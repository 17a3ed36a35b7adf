//! The machine-readable bar of a test picture: which frame it is, and when it was made.
//!
//! The top 16 luma rows hold 40 equal cells, white = 1 and black = 0, chroma neutral: `1010`, a 16-bit frame counter,
//! the low 16 bits of CLOCK_MONOTONIC in milliseconds, and the 4-bit xor of the eight nibbles before it.

/// Height of the bar in luma rows.
pub const ROWS: usize = 16;
/// Cells of the bar.
pub const CELLS: usize = 40;

const WHITE: u8 = 235;
const BLACK: u8 = 16;

/// What a bar says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Frame number, modulo 65536.
    pub counter: u16,
    /// CLOCK_MONOTONIC milliseconds when the frame was made, modulo 65536.
    pub made_ms: u16,
}

impl Bar {
    /// The bar of frame number `counter`, made at `made` (nanoseconds of CLOCK_MONOTONIC).
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // the bar holds the low 16 bits
    pub const fn new(counter: u64, made: u64) -> Self {
        Self { counter: counter as u16, made_ms: (made / 1_000_000) as u16 }
    }

    /// Milliseconds from the making of the frame to `now` (nanoseconds of CLOCK_MONOTONIC), modulo 65536.
    #[must_use]
    pub const fn age_ms(self, now: u64) -> u16 {
        Self::new(0, now).made_ms.wrapping_sub(self.made_ms)
    }

    fn bits(self) -> u64 {
        let payload = u64::from(self.counter) << 16 | u64::from(self.made_ms);
        let check = (0..8).fold(0, |check, nibble| check ^ (payload >> (4 * nibble) & 15));
        0b1010 << 36 | payload << 4 | check
    }

    /// Draws the bar into an I420 picture of the given size, planes one after the other without padding.
    pub fn stamp(self, picture: &mut [u8], width: usize, height: usize) {
        let bits = self.bits();
        let (luma, chroma) = picture.split_at_mut(width * height);
        let (first, others) = luma[..ROWS * width].split_at_mut(width);
        for (x, pixel) in first.iter_mut().enumerate() {
            let cell = (x * CELLS / width).min(CELLS - 1);
            *pixel = if bits >> (CELLS - 1 - cell) & 1 == 1 { WHITE } else { BLACK };
        }
        for row in others.chunks_exact_mut(width) {
            row.copy_from_slice(first);
        }
        let (plane, rows) = (chroma.len() / 2, ROWS / 2 * width / 2);
        chroma[..rows].fill(128);
        chroma[plane..plane + rows].fill(128);
    }

    /// Reads the bar of a luma plane; `None` when it is not intact.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // both casts keep the 16 bits they name
    pub fn read(luma: &[u8], width: usize, stride: usize) -> Option<Self> {
        let mut bits = 0;
        for cell in 0..CELLS {
            // The middle of a cell: its edges are blurred by the codec.
            let (left, right) = ((cell * 10 + 3) * width / (CELLS * 10), (cell * 10 + 7) * width / (CELLS * 10));
            let (mut sum, mut count) = (0, 0);
            for row in ROWS / 4..ROWS * 3 / 4 {
                for pixel in &luma[row * stride + left..row * stride + right.max(left + 1)] {
                    sum += u32::from(*pixel);
                    count += 1;
                }
            }
            bits = bits << 1 | u64::from(sum > 125 * count);
        }
        let bar = Self { counter: (bits >> 20) as u16, made_ms: (bits >> 4) as u16 };
        (bar.bits() == bits).then_some(bar)
    }
}

/// Whether the white square of the first 100 ms of a second is in the bottom right corner of a luma plane.
#[must_use]
pub fn flash(luma: &[u8], width: usize, height: usize, stride: usize) -> bool {
    let side = height / 4;
    let (mut sum, mut count) = (0, 0);
    for row in height - side * 3 / 4..height - side / 4 {
        for pixel in &luma[row * stride + width - side * 3 / 4..row * stride + width - side / 4] {
            sum += u32::from(*pixel);
            count += 1;
        }
    }
    count > 0 && sum > 200 * count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stamped_is_read() {
        for (width, height) in [(160, 120), (320, 240), (640, 480), (1280, 720), (1366, 768)] {
            let mut picture = vec![90; width * height * 3 / 2];
            let bar = Bar { counter: 54321, made_ms: 4242 };
            bar.stamp(&mut picture, width, height);
            assert_eq!(Bar::read(&picture, width, width), Some(bar), "{width}x{height}");
        }
    }

    #[test]
    fn one_wrong_cell_is_noticed() {
        let mut picture = vec![90; 640 * 480 * 3 / 2];
        Bar { counter: 1, made_ms: 2 }.stamp(&mut picture, 640, 480);
        for cell in 0..CELLS {
            let mut damaged = picture.clone();
            for row in 0..ROWS {
                for pixel in &mut damaged[row * 640 + cell * 16..row * 640 + (cell + 1) * 16] {
                    *pixel = WHITE + BLACK - *pixel;
                }
            }
            assert_eq!(Bar::read(&damaged, 640, 640), None, "cell {cell}");
        }
    }

    #[test]
    fn an_age_survives_the_wrap_of_the_milliseconds() {
        let bar = Bar::new(0, 65_530_000_000);
        assert_eq!(bar.age_ms(65_550_000_000), 20);
    }

    #[test]
    fn the_flash_is_seen_only_when_it_is_there() {
        let mut luma = vec![90; 640 * 480];
        assert!(!flash(&luma, 640, 480, 640));
        for row in 360..480 {
            luma[row * 640 + 520..(row + 1) * 640].fill(WHITE);
        }
        assert!(flash(&luma, 640, 480, 640));
    }
}
