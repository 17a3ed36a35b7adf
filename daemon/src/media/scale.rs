//! Pictures at another size: the middle part with the wanted shape, averaged down or interpolated.

use crate::picture::{Picture, PictureBuffer, PicturePool, Plane};

/// Scales pictures to one size at a time.
#[derive(Debug)]
pub struct Scaler {
    pool: PicturePool,
}

impl Default for Scaler {
    fn default() -> Self {
        Self::new()
    }
}

impl Scaler {
    /// A scaler.
    #[must_use]
    pub fn new() -> Self {
        Self { pool: PicturePool::new(3) }
    }

    /// The picture at `width` x `height` (even). What does not fit the shape is cut off evenly at both sides.
    #[must_use]
    pub fn scale(&self, picture: &Picture<'_>, width: usize, height: usize) -> PictureBuffer {
        let cut = crop(picture, width, height);
        // Interpolating alone would skip pixels below half the size: halve first.
        let mut halved: Option<PictureBuffer> = None;
        loop {
            let from = halved.as_ref().map_or(cut, PictureBuffer::picture);
            if from.width < 2 * width || from.height < 2 * height || from.width < 4 || from.height < 4 {
                break;
            }
            let mut next = self.pool.take(from.width / 4 * 2, from.height / 4 * 2);
            let (w, planes) = (next.width(), next.planes_mut());
            halve(&from.y, w, planes.y);
            halve(&from.u, w / 2, planes.u);
            halve(&from.v, w / 2, planes.v);
            halved = Some(next);
        }
        let from = halved.as_ref().map_or(cut, PictureBuffer::picture);
        let mut out = self.pool.take(width, height);
        if (from.width, from.height) == (width, height) {
            super::convert::copy_picture(&from, &mut out);
            return out;
        }
        let planes = out.planes_mut();
        interpolate(&from.y, (from.width, from.height), width, planes.y);
        interpolate(&from.u, (from.width / 2, from.height / 2), width / 2, planes.u);
        interpolate(&from.v, (from.width / 2, from.height / 2), width / 2, planes.v);
        out
    }
}

/// The middle of `picture` with the shape `width` : `height`.
fn crop<'a>(picture: &Picture<'a>, width: usize, height: usize) -> Picture<'a> {
    let even = |value: usize| value & !1;
    let (mut w, mut h) = (picture.width, picture.height);
    if w * height > h * width {
        w = even(h * width / height).max(2);
    } else {
        h = even(w * height / width).max(2);
    }
    let (x, y) = (even((picture.width - w) / 2), even((picture.height - h) / 2));
    let part = |plane: Plane<'a>, x: usize, y: usize| Plane {
        data: &plane.data[y * plane.stride + x..],
        stride: plane.stride,
    };
    Picture {
        width: w,
        height: h,
        y: part(picture.y, x, y),
        u: part(picture.u, x / 2, y / 2),
        v: part(picture.v, x / 2, y / 2),
    }
}

/// Each pixel the mean of four.
fn halve(from: &Plane<'_>, width: usize, to: &mut [u8]) {
    for (row, to) in to.chunks_exact_mut(width).enumerate() {
        let (above, below) = (from.row(row * 2, width * 2), from.row(row * 2 + 1, width * 2));
        for ((to, a), b) in to.iter_mut().zip(above.chunks_exact(2)).zip(below.chunks_exact(2)) {
            *to = ((u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]) + 2) / 4) as u8;
        }
    }
}

/// Bilinear interpolation with pixel centres in place, positions in 1/65536.
fn interpolate(from: &Plane<'_>, (from_width, from_height): (usize, usize), width: usize, to: &mut [u8]) {
    let height = to.len() / width;
    let position = |n: usize, step: usize, size: usize| {
        let at = (n * step + step / 2).saturating_sub(1 << 15).min((size - 1) << 16);
        (at >> 16, (at & 0xffff) >> 8)
    };
    let step_x = (from_width << 16) / width;
    let step_y = (from_height << 16) / height;
    let columns: Vec<(usize, usize, u32)> = (0..width)
        .map(|n| {
            let (x, part) = position(n, step_x, from_width);
            (x, (x + 1).min(from_width - 1), part as u32)
        })
        .collect();
    for (n, to) in to.chunks_exact_mut(width).enumerate() {
        let (y, part_y) = position(n, step_y, from_height);
        let (above, below) = (from.row(y, from_width), from.row((y + 1).min(from_height - 1), from_width));
        let down = part_y as u32;
        for (to, &(left, right, across)) in to.iter_mut().zip(&columns) {
            let top = u32::from(above[left]) * (256 - across) + u32::from(above[right]) * across;
            let bottom = u32::from(below[left]) * (256 - across) + u32::from(below[right]) * across;
            *to = ((top * (256 - down) + bottom * down + (1 << 15)) >> 16) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bar;
    use crate::clock::Monotonic;
    use crate::media::codec::test_pictures::{moving, psnr};

    #[test]
    fn the_same_picture_comes_out_at_every_size() {
        // A smooth picture, so that sizes can be compared.
        let smooth = |width: usize, height: usize| {
            let mut buffer = PictureBuffer::new(width, height);
            for (n, y) in buffer.planes_mut().y.iter_mut().enumerate() {
                let (x, y_) = ((n % width) as f64 / width as f64, (n / width) as f64 / height as f64);
                *y = (126.0 + 50.0 * (x * 9.0).sin() + 50.0 * (y_ * 7.0).cos()) as u8;
            }
            buffer
        };
        let source = smooth(640, 480);
        for (width, height) in [(320, 240), (160, 120), (426, 320), (800, 600), (1280, 960), (100, 76)] {
            let scaled = Scaler::new().scale(&source.picture(), width, height);
            let quality = psnr(&smooth(width, height).picture(), &scaled.picture());
            assert!(quality > 35.0, "{width}x{height}: {quality:.1} dB");
        }
    }

    #[test]
    fn another_shape_cuts_off_both_sides_evenly() {
        let mut source = PictureBuffer::new(640, 480);
        source.planes_mut().y.chunks_exact_mut(640).for_each(|row| {
            row.fill(200);
            row[..80].fill(10);
            row[560..].fill(20);
        });
        let square = Scaler::new().scale(&source.picture(), 240, 240);
        assert!(square.picture().y.data.iter().all(|&y| y == 200));
        let wide = Scaler::new().scale(&source.picture(), 640, 360);
        assert_eq!((wide.width(), wide.height()), (640, 360));
        assert_eq!(wide.picture().y.row(100, 640)[..80], [10; 80]);
    }

    #[test]
    fn a_bar_stays_readable_at_half_and_three_quarters() {
        let mut source = moving(1280, 720, 5);
        bar::draw(source.planes_mut(), 1280, 4711, Monotonic::from_millis(1234));
        for (width, height) in [(960, 540), (960, 720)] {
            let scaled = Scaler::new().scale(&source.picture(), width, height);
            let picture = scaled.picture();
            // The reader wants the bar at its full height; scaled down it has fewer rows.
            let flat = PictureBuffer::new(width, 16);
            let mut luma = flat.bytes().to_vec();
            luma.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(picture.y.row(4, width)));
            let found = bar::read(&luma, width, width);
            // A wider part of the picture than fits is cut off at both sides, and the bar with it.
            assert_eq!(found, (height == 540).then_some((4711, 1234)), "{width}x{height}");
        }
    }
}
