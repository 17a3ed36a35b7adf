//! Pictures inside the daemon: planar 8-bit 4:2:0 (I420), BT.601 limited range, even width and height.
//!
//! A [`Picture`] borrows its planes (a decoder's, a camera's), so that showing or encoding one copies nothing.
//! A [`PictureBuffer`] owns them and returns to its [`PicturePool`] when the last holder drops it.

use std::sync::{Arc, Mutex, Weak};

use yuv::YuvPlanarImage;

/// One plane: rows of `stride` bytes, of which the first ones are pixels.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The bytes, at least `stride * (rows - 1) + row width` of them.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

impl<'a> Plane<'a> {
    /// Row `row`, cut to `width` bytes.
    #[must_use]
    pub fn row(&self, row: usize, width: usize) -> &'a [u8] {
        &self.data[row * self.stride..][..width]
    }
}

/// A borrowed I420 picture. `u` and `v` have half the width and height of `y`.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Width of the luma plane in pixels, even.
    pub width: usize,
    /// Height of the luma plane in pixels, even.
    pub height: usize,
    /// Luma.
    pub y: Plane<'a>,
    /// Blue difference.
    pub u: Plane<'a>,
    /// Red difference.
    pub v: Plane<'a>,
}

impl<'a> Picture<'a> {
    /// The same picture as the conversions of `yuv` take it.
    #[must_use]
    pub const fn planar(&self) -> YuvPlanarImage<'a, u8> {
        YuvPlanarImage {
            y_plane: self.y.data,
            y_stride: self.y.stride as u32,
            u_plane: self.u.data,
            u_stride: self.u.stride as u32,
            v_plane: self.v.data,
            v_stride: self.v.stride as u32,
            width: self.width as u32,
            height: self.height as u32,
        }
    }
}

/// The three planes of a [`PictureBuffer`], to be written. Strides are `width`, `width / 2`, `width / 2`.
#[derive(Debug)]
pub struct PlanesMut<'a> {
    /// Luma.
    pub y: &'a mut [u8],
    /// Blue difference.
    pub u: &'a mut [u8],
    /// Red difference.
    pub v: &'a mut [u8],
}

/// An owned I420 picture without padding: Y, then U, then V.
#[derive(Debug)]
pub struct PictureBuffer {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
    pool: Weak<Pool>,
}

impl PictureBuffer {
    /// A picture outside any pool, black only after it was written: the bytes start as zero.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, bytes: vec![0; width * height * 3 / 2], pool: Weak::new() }
    }

    /// Width in pixels.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// All bytes: Y, U, V one after the other.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The planes, to be written.
    pub fn planes_mut(&mut self) -> PlanesMut<'_> {
        let (y, chroma) = self.bytes.split_at_mut(self.width * self.height);
        let (u, v) = chroma.split_at_mut(self.width * self.height / 4);
        PlanesMut { y, u, v }
    }

    /// The picture, borrowed.
    #[must_use]
    pub fn picture(&self) -> Picture<'_> {
        let (y, chroma) = self.bytes.split_at(self.width * self.height);
        let (u, v) = chroma.split_at(self.width * self.height / 4);
        Picture {
            width: self.width,
            height: self.height,
            y: Plane { data: y, stride: self.width },
            u: Plane { data: u, stride: self.width / 2 },
            v: Plane { data: v, stride: self.width / 2 },
        }
    }
}

impl Drop for PictureBuffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.put(std::mem::take(&mut self.bytes));
        }
    }
}

#[derive(Debug)]
struct Pool {
    limit: usize,
    free: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    fn put(&self, bytes: Vec<u8>) {
        if let Ok(mut free) = self.free.lock()
            && free.len() < self.limit
        {
            free.push(bytes);
        }
    }
}

/// Buffers that are used again: after the first pictures, capturing allocates nothing.
#[derive(Clone, Debug)]
pub struct PicturePool {
    pool: Arc<Pool>,
}

impl PicturePool {
    /// A pool that keeps at most `limit` unused buffers.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { pool: Arc::new(Pool { limit, free: Mutex::new(Vec::new()) }) }
    }

    /// A buffer of the given size; its contents are those of an earlier picture, or zero.
    #[must_use]
    pub fn take(&self, width: usize, height: usize) -> PictureBuffer {
        let mut bytes = self.pool.free.lock().ok().and_then(|mut free| free.pop()).unwrap_or_default();
        bytes.resize(width * height * 3 / 2, 0);
        PictureBuffer { width, height, bytes, pool: Arc::downgrade(&self.pool) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let pool = PicturePool::new(1);
        let mut first = pool.take(4, 2);
        first.bytes_mut().fill(7);
        let address = first.bytes().as_ptr();
        drop(first);
        let again = pool.take(4, 2);
        assert_eq!(again.bytes().as_ptr(), address);
        assert_eq!(again.picture().y.row(1, 4), [7; 4]);
    }

    #[test]
    fn the_pool_keeps_no_more_than_its_limit() {
        let pool = PicturePool::new(1);
        let (a, b) = (pool.take(4, 2), pool.take(4, 2));
        drop((a, b));
        assert_eq!(pool.pool.free.lock().map(|free| free.len()).unwrap_or(0), 1);
    }
}
