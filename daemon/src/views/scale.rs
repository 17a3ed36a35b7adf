//! Scaling of planes: bilinear, after halving as often as that leaves enough pixels, so that shrinking does not shimmer.

use crate::picture::{Picture, Plane};

/// Scales pictures; keeps its memory and its tables for the next one of the same size.
#[derive(Debug, Default)]
pub(super) struct Scaler {
    pixels: Vec<u8>,
    halves: [Vec<u8>; 2],
    row: Vec<u16>,
    columns: Table,
}

impl Scaler {
    /// The picture at another size, without padding. Both sides of `width` x `height` are 1 or more; an odd one has its
    /// chroma rounded up.
    pub(super) fn scale<'a>(&'a mut self, source: &Picture<'_>, width: usize, height: usize) -> Picture<'a> {
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let (luma, chroma) = (width * height, half_width * half_height);
        let mut pixels = std::mem::take(&mut self.pixels);
        pixels.resize(luma + 2 * chroma, 0);
        let (y, rest) = pixels.split_at_mut(luma);
        let (u, v) = rest.split_at_mut(chroma);
        self.plane(source.y, (source.width, source.height), y, (width, height));
        let half = (source.width / 2, source.height / 2);
        self.plane(source.u, half, u, (half_width, half_height));
        self.plane(source.v, half, v, (half_width, half_height));
        self.pixels = pixels;
        let (y, rest) = self.pixels.split_at(luma);
        let (u, v) = rest.split_at(chroma);
        Picture {
            width,
            height,
            y: Plane { data: y, stride: width },
            u: Plane { data: u, stride: half_width },
            v: Plane { data: v, stride: half_width },
        }
    }

    fn plane(
        &mut self,
        source: Plane<'_>,
        (mut width, mut height): (usize, usize),
        target: &mut [u8],
        (to_width, to_height): (usize, usize),
    ) {
        let [mut current, mut spare] = std::mem::take(&mut self.halves);
        let mut halved = false;
        while width >= 2 * to_width && height >= 2 * to_height {
            let from = if halved { Plane { data: &current, stride: width } } else { source };
            halve(from, width, height, &mut spare);
            (width, height, halved) = (width / 2, height / 2, true);
            std::mem::swap(&mut current, &mut spare);
        }
        let from = if halved { Plane { data: &current, stride: width } } else { source };
        self.bilinear(from, (width, height), target, (to_width, to_height));
        self.halves = [current, spare];
    }

    fn bilinear(
        &mut self,
        source: Plane<'_>,
        (width, height): (usize, usize),
        target: &mut [u8],
        (to_width, to_height): (usize, usize),
    ) {
        self.columns.prepare(width, to_width);
        self.row.resize(width, 0);
        for (index, out) in target.chunks_exact_mut(to_width).enumerate() {
            let (upper, weight) = position(index, height, to_height);
            let lower = (upper + 1).min(height - 1);
            let (above, below) = (source.row(upper, width), source.row(lower, width));
            for ((sum, &above), &below) in self.row.iter_mut().zip(above).zip(below) {
                *sum = u16::from(above) * (256 - weight) + u16::from(below) * weight;
            }
            if width == to_width {
                for (out, &sum) in out.iter_mut().zip(&self.row) {
                    *out = (sum >> 8) as u8;
                }
                continue;
            }
            for (out, &(left, weight)) in out.iter_mut().zip(&self.columns.entries) {
                let (left, weight) = (left as usize, u32::from(weight));
                let right = (left + 1).min(width - 1);
                let sum = u32::from(self.row[left]) * (256 - weight) + u32::from(self.row[right]) * weight;
                *out = (sum >> 16) as u8;
            }
        }
    }
}

/// Where the pixels of a row come from: the left neighbour and the weight of the right one, of 256.
#[derive(Debug, Default)]
struct Table {
    sides: (usize, usize),
    entries: Vec<(u32, u16)>,
}

impl Table {
    fn prepare(&mut self, from: usize, to: usize) {
        if self.sides != (from, to) {
            self.sides = (from, to);
            self.entries.clear();
            self.entries.extend((0..to).map(|index| {
                let (left, weight) = position(index, from, to);
                (left as u32, weight)
            }));
        }
    }
}

/// The place in a line of `from` pixels whose middle is that of pixel `index` of `to`: neighbour before it, and the weight of
/// the one after it, of 256.
const fn position(index: usize, from: usize, to: usize) -> (usize, u16) {
    // In units of 1/256 pixel: (index + 1/2) * from / to - 1/2.
    let place = ((2 * index + 1) * from * 128 / to).saturating_sub(128);
    (place / 256, (place % 256) as u16)
}

/// Every 2x2 square becomes its mean.
fn halve(source: Plane<'_>, width: usize, height: usize, target: &mut Vec<u8>) {
    let (half_width, half_height) = (width / 2, height / 2);
    target.resize(half_width * half_height, 0);
    for (index, out) in target.chunks_exact_mut(half_width).enumerate() {
        let above = source.row(2 * index, 2 * half_width).as_chunks::<2>().0;
        let below = source.row(2 * index + 1, 2 * half_width).as_chunks::<2>().0;
        for ((out, above), below) in out.iter_mut().zip(above).zip(below) {
            let sum = u16::from(above[0]) + u16::from(above[1]) + u16::from(below[0]) + u16::from(below[1]);
            *out = ((sum + 2) / 4) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::PictureBuffer;

    fn ramp(width: usize, height: usize) -> PictureBuffer {
        let mut picture = PictureBuffer::new(width, height);
        let planes = picture.planes_mut();
        for (index, value) in planes.y.iter_mut().enumerate() {
            *value = (16 + index % width * 200 / width) as u8;
        }
        planes.u.fill(90);
        planes.v.fill(200);
        picture
    }

    #[test]
    fn a_ramp_stays_a_ramp_and_colour_stays_at_every_ratio() {
        let mut scaler = Scaler::default();
        for (width, height) in [(640, 480), (320, 240), (100, 77), (4, 3), (1281, 721), (64, 480), (641, 3)] {
            let source = ramp(320, 240);
            let scaled = scaler.scale(&source.picture(), width, height);
            assert_eq!(
                (scaled.y.data.len(), scaled.u.data.len()),
                (width * height, width.div_ceil(2) * height.div_ceil(2))
            );
            for row in [0, height / 2, height - 1] {
                for column in 0..width {
                    let expected = 16.0 + (column as f64 + 0.5) * 200.0 / width as f64 - 0.5;
                    let found = f64::from(scaled.y.row(row, width)[column]);
                    assert!(
                        (found - expected).abs() <= 2.0,
                        "{width}x{height} at {column},{row}: {found}, not {expected}"
                    );
                }
            }
            assert!(scaled.u.data.iter().all(|&value| value == 90) && scaled.v.data.iter().all(|&value| value == 200));
        }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let source = ramp(64, 48);
        let mut scaler = Scaler::default();
        let scaled = scaler.scale(&source.picture(), 64, 48);
        assert_eq!(scaled.y.data, &source.bytes()[..64 * 48]);
    }

    #[test]
    fn shrinking_a_fine_grid_gives_its_mean() {
        let mut source = PictureBuffer::new(256, 256);
        for (index, value) in source.planes_mut().y.iter_mut().enumerate() {
            *value = if (index / 256 + index) % 2 == 0 { 200 } else { 100 };
        }
        let mut scaler = Scaler::default();
        let scaled = scaler.scale(&source.picture(), 32, 32);
        assert!(scaled.y.data.iter().all(|&value| value == 150));
    }

    #[test]
    fn padding_is_not_looked_at() {
        let narrow = ramp(32, 16);
        let mut padded = vec![255; 40 * 16];
        for row in 0..16 {
            padded[row * 40..row * 40 + 32].copy_from_slice(&narrow.bytes()[row * 32..][..32]);
        }
        let mut picture = narrow.picture();
        picture.y = Plane { data: &padded[..40 * 15 + 32], stride: 40 };
        let (mut one, mut other) = (Scaler::default(), Scaler::default());
        assert_eq!(one.scale(&picture, 50, 20).y.data, other.scale(&narrow.picture(), 50, 20).y.data);
    }
}
