//! The bar that a machine can read: which picture this is, and when it was made.
//!
//! The top 16 luma rows of a test picture hold 40 equal cells, white (235) for 1 and black (16) for 0, with neutral chroma:
//! `1010`, a 16-bit frame counter, the low 16 bits of the CLOCK_MONOTONIC milliseconds at which the frame was made, and a
//! 4-bit xor of the eight nibbles before it; most significant bit first. It survives encoding and scaling.

use crate::clock::Monotonic;
use crate::picture::PlanesMut;

/// Luma rows of the bar.
pub const ROWS: usize = 16;
/// Cells of the bar.
pub const CELLS: usize = 40;

const WHITE: u8 = 235;
const BLACK: u8 = 16;
const NEUTRAL: u8 = 128;

/// The 40 bits of the bar of frame `counter` made at `time`.
#[must_use]
pub fn code(counter: u16, time: Monotonic) -> u64 {
    let payload = (u64::from(counter) << 16) | (time.as_millis() & 0xffff);
    let check = (0..8).fold(0, |check, nibble| check ^ ((payload >> (4 * nibble)) & 0xf));
    (0b1010 << 36) | (payload << 4) | check
}

/// Draws the bar into a picture of `width` columns, 40 or more, and at least 16 rows.
pub fn draw(planes: PlanesMut<'_>, width: usize, counter: u16, time: Monotonic) {
    let code = code(counter, time);
    let (first, rest) = planes.y.split_at_mut(width);
    first.fill(BLACK);
    for (index, cell) in first.chunks_exact_mut(width / CELLS).take(CELLS).enumerate() {
        cell.fill(if (code >> (CELLS - 1 - index)) & 1 == 1 { WHITE } else { BLACK });
    }
    for row in rest.chunks_exact_mut(width).take(ROWS - 1) {
        row.copy_from_slice(first);
    }
    let chroma = width / 2 * (ROWS / 2);
    planes.u[..chroma].fill(NEUTRAL);
    planes.v[..chroma].fill(NEUTRAL);
}

/// Reads the bar out of a luma plane: counter and milliseconds, or nothing when it is not intact.
#[must_use]
pub fn read(luma: &[u8], width: usize, stride: usize) -> Option<(u16, u16)> {
    let cell = width / CELLS;
    if cell == 0 || luma.len() < stride * (ROWS - 1) + width {
        return None;
    }
    let mut found = 0_u64;
    for index in 0..CELLS {
        let begin = index * cell + cell / 4;
        let columns = begin..(index * cell + cell * 3 / 4).max(begin + 1);
        let samples = columns.len() * (ROWS / 2);
        let row_sum =
            |row: usize| luma[row * stride..][columns.clone()].iter().map(|&value| usize::from(value)).sum::<usize>();
        let sum: usize = (ROWS / 4..ROWS * 3 / 4).map(row_sum).sum();
        found = (found << 1) | u64::from(sum > 126 * samples);
    }
    let (counter, millis) = ((found >> 20) as u16, (found >> 4) as u16);
    (code(counter, Monotonic::from_millis(u64::from(millis))) == found).then_some((counter, millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::PictureBuffer;

    #[test]
    fn the_bar_has_its_documented_bits() {
        // 1010, counter 0x1234, milliseconds 0x89ab, xor of 1 2 3 4 8 9 a b = 4.
        let time = Monotonic::from_millis(0x5_89ab);
        assert_eq!(code(0x1234, time), 0xa1_2348_9ab4);
        let mut picture = PictureBuffer::new(640, 480);
        draw(picture.planes_mut(), 640, 0x1234, time);
        for row in 0..ROWS {
            for column in 0..640 {
                let bit = (0xa1_2348_9ab4_u64 >> (39 - column / 16)) & 1;
                let expected = if bit == 1 { 235 } else { 16 };
                assert_eq!(picture.bytes()[row * 640 + column], expected, "row {row} column {column}");
            }
        }
        let chroma = &picture.bytes()[640 * 480..];
        assert!(chroma[..320 * 8].iter().all(|&value| value == 128));
        assert!(chroma[320 * 240..][..320 * 8].iter().all(|&value| value == 128));
    }

    #[test]
    fn it_reads_back_at_every_usual_size_and_a_damaged_one_does_not() {
        for (width, height) in [(40, 16), (160, 120), (320, 240), (640, 360), (854, 480), (1280, 720), (1920, 1080)] {
            let mut picture = PictureBuffer::new(width, height);
            for counter in [0, 1, 0x7fff, 0xffff] {
                let time = Monotonic::from_millis(u64::from(counter) * 77 + 12);
                draw(picture.planes_mut(), width, counter, time);
                let expected = Some((counter, (time.as_millis() & 0xffff) as u16));
                assert_eq!(read(picture.bytes(), width, width), expected, "{width}x{height} {counter}");
            }
            let cell = width / CELLS;
            for row in 0..ROWS {
                picture.bytes_mut()[row * width + 20 * cell..][..cell]
                    .iter_mut()
                    .for_each(|value| *value = 251 - *value);
            }
            assert_eq!(read(picture.bytes(), width, width), None, "{width}x{height}");
        }
    }
}
