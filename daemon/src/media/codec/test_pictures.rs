//! Pictures for tests, and how much two of them differ.

use crate::picture::{Picture, PictureBuffer};

/// A textured picture that pans with `frame`.
pub(crate) fn moving(width: usize, height: usize, frame: u64) -> PictureBuffer {
    let mut buffer = PictureBuffer::new(width, height);
    let planes = buffer.planes_mut();
    let shift = frame as usize;
    for (row, line) in planes.y.chunks_exact_mut(width).enumerate() {
        for (column, pixel) in line.iter_mut().enumerate() {
            let (x, y) = (column + 2 * shift, row + shift);
            let texture = ((x * 7) ^ (y * 5)) & 31;
            let blocks = if (x / 40 + y / 40) % 2 == 0 { 60 } else { 140 };
            *pixel = (blocks + texture) as u8;
        }
    }
    for (row, (u, v)) in planes.u.chunks_exact_mut(width / 2).zip(planes.v.chunks_exact_mut(width / 2)).enumerate() {
        for (column, (u, v)) in u.iter_mut().zip(v).enumerate() {
            *u = (90 + (column + shift) % 80) as u8;
            *v = (90 + (row + shift) % 80) as u8;
        }
    }
    buffer
}

/// Peak signal to noise ratio of the luma planes in dB; infinite when they are equal.
pub(crate) fn psnr(a: &Picture<'_>, b: &Picture<'_>) -> f64 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let mut sum = 0_u64;
    for row in 0..a.height {
        for (&a, &b) in a.y.row(row, a.width).iter().zip(b.y.row(row, b.width)) {
            sum += u64::from(a.abs_diff(b)).pow(2);
        }
    }
    10.0 * (255.0_f64.powi(2) * (a.width * a.height) as f64 / sum as f64).log10()
}
