//! From what cameras deliver to I420.

use thiserror::Error;
use turbojpeg::{Decompressor, Subsamp, YuvImage, yuv_pixels_len};
use yuv::{BufferStoreMut, YuvPackedImage, YuvPlanarImageMut, yuyv422_to_yuv420};

use crate::devices::camera::{Captured, Pixels};
use crate::picture::{Picture, PictureBuffer, PicturePool, Plane, PlanesMut};

/// Why a captured picture cannot be used.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// The JPEG is damaged or of a kind that no camera should deliver.
    #[error("JPEG: {0}")]
    Jpeg(String),
    /// The camera's buffer is smaller than its picture.
    #[error("the picture is incomplete")]
    Incomplete,
    /// The pixels are not pictures of their own (H.264).
    #[error("encoded video cannot be converted")]
    Encoded,
}

/// Makes I420 in pooled buffers.
#[derive(Debug)]
pub struct Converter {
    pool: PicturePool,
    jpeg: Option<Decompressor>,
    /// Planes of JPEGs whose chroma is finer than ours.
    scratch: Vec<u8>,
}

impl Converter {
    /// A converter that takes its buffers from `pool`.
    #[must_use]
    pub const fn new(pool: PicturePool) -> Self {
        Self { pool, jpeg: None, scratch: Vec::new() }
    }

    /// Converts (or, for I420, copies) a picture.
    ///
    /// # Errors
    /// [`ConvertError`]; the next picture may be fine.
    pub fn convert(&mut self, captured: &Captured<'_>) -> Result<PictureBuffer, ConvertError> {
        let (width, height) = (captured.width as usize & !1, captured.height as usize & !1);
        match captured.pixels {
            Pixels::Yuyv(plane) => {
                check(&plane, width * 2, height)?;
                let mut buffer = self.pool.take(width, height);
                yuyv(&plane, width, height, buffer.planes_mut());
                Ok(buffer)
            }
            Pixels::Nv12 { y, uv } => {
                check(&y, width, height)?;
                check(&uv, width, height / 2)?;
                let mut buffer = self.pool.take(width, height);
                let planes = buffer.planes_mut();
                copy(&y, width, planes.y);
                let chroma = planes.u.chunks_exact_mut(width / 2).zip(planes.v.chunks_exact_mut(width / 2));
                for (row, (u, v)) in chroma.enumerate() {
                    for ((pair, u), v) in uv.row(row, width).chunks_exact(2).zip(u).zip(v) {
                        (*u, *v) = (pair[0], pair[1]);
                    }
                }
                Ok(buffer)
            }
            Pixels::I420(picture) => {
                let mut buffer = self.pool.take(picture.width, picture.height);
                copy_picture(&picture, &mut buffer);
                Ok(buffer)
            }
            Pixels::Mjpeg(jpeg) => self.jpeg(jpeg),
            Pixels::H264(_) => Err(ConvertError::Encoded),
        }
    }

    fn jpeg(&mut self, data: &[u8]) -> Result<PictureBuffer, ConvertError> {
        let failed = |error: turbojpeg::Error| ConvertError::Jpeg(error.to_string());
        let decompressor = match &mut self.jpeg {
            Some(decompressor) => decompressor,
            empty => empty.insert(Decompressor::new().map_err(failed)?),
        };
        let header = decompressor.read_header(data).map_err(failed)?;
        let (width, height, subsamp) = (header.width, header.height, header.subsamp);
        if width < 2 || height < 2 || width * height > 1 << 26 {
            return Err(ConvertError::Jpeg(format!("a size of {width}x{height}")));
        }
        let fits = subsamp == Subsamp::Sub2x2 && width % 2 == 0 && height % 2 == 0;
        let mut buffer = self.pool.take(width & !1, height & !1);
        if fits {
            let image = YuvImage { pixels: buffer.bytes_mut(), width, align: 1, height, subsamp };
            decompressor.decompress_to_yuv(data, image).map_err(failed)?;
            let planes = buffer.planes_mut();
            planes.y.iter_mut().for_each(|y| *y = limited_luma(*y));
            planes.u.iter_mut().chain(planes.v).for_each(|c| *c = limited_chroma(*c));
            return Ok(buffer);
        }
        // Width and height of the chroma planes in the JPEG.
        let (chroma_width, chroma_height) = match subsamp {
            Subsamp::None => (width, height),
            Subsamp::Sub2x1 => (width.div_ceil(2), height),
            Subsamp::Sub1x2 => (width, height.div_ceil(2)),
            Subsamp::Sub2x2 => (width.div_ceil(2), height.div_ceil(2)),
            Subsamp::Gray => (0, 0),
            other => return Err(ConvertError::Jpeg(format!("chroma subsampling {other:?}"))),
        };
        self.scratch.resize(yuv_pixels_len(width, 1, height, subsamp).map_err(failed)?, 0);
        let image = YuvImage { pixels: &mut self.scratch[..], width, align: 1, height, subsamp };
        decompressor.decompress_to_yuv(data, image).map_err(failed)?;
        let (even_width, planes) = (width & !1, buffer.planes_mut());
        let (luma, chroma) = self.scratch.split_at(width * height);
        for (to, from) in planes.y.chunks_exact_mut(even_width).zip(luma.chunks_exact(width)) {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = limited_luma(from));
        }
        if chroma_width == 0 {
            planes.u.fill(128);
            planes.v.fill(128);
            return Ok(buffer);
        }
        let (u, v) = chroma.split_at(chroma_width * chroma_height);
        for (to, from) in [(planes.u, u), (planes.v, v)] {
            halve_chroma(
                from,
                chroma_width,
                chroma_width > width.div_ceil(2),
                chroma_height > height.div_ceil(2),
                to,
                even_width / 2,
            );
        }
        Ok(buffer)
    }
}

/// Brings a chroma plane of a JPEG to half size where it is not yet, by averaging.
fn halve_chroma(from: &[u8], width: usize, wide: bool, tall: bool, to: &mut [u8], to_width: usize) {
    let step = if tall { 2 } else { 1 };
    for (row, to) in to.chunks_exact_mut(to_width).enumerate() {
        let first = &from[row * step * width..][..width];
        let second = from.get((row * step + step - 1) * width..).and_then(|rows| rows.get(..width)).unwrap_or(first);
        if wide {
            for ((to, a), b) in to.iter_mut().zip(first.chunks_exact(2)).zip(second.chunks_exact(2)) {
                let sum = u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]);
                *to = limited_chroma(((sum + 2) / 4) as u8);
            }
        } else {
            for ((to, &a), &b) in to.iter_mut().zip(first).zip(second) {
                *to = limited_chroma((u16::from(a) + u16::from(b)).div_ceil(2) as u8);
            }
        }
    }
}

/// JPEG luma takes the full range, video 16 to 235.
const fn limited_luma(y: u8) -> u8 {
    (((y as u16) * 220 + 128) >> 8) as u8 + 16
}

/// JPEG chroma takes the full range, video 16 to 240.
const fn limited_chroma(c: u8) -> u8 {
    ((((c as i16) - 128) * 112 + 64) >> 7) as u8 ^ 0x80
}

fn yuyv(plane: &Plane<'_>, width: usize, height: usize, to: PlanesMut<'_>) {
    let (w, h) = (width as u32, height as u32);
    let packed = YuvPackedImage { yuy: plane.data, yuy_stride: plane.stride as u32, width: w, height: h };
    let PlanesMut { y, u, v } = to;
    let mut planar = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(&mut *y),
        y_stride: w,
        u_plane: BufferStoreMut::Borrowed(&mut *u),
        u_stride: w / 2,
        v_plane: BufferStoreMut::Borrowed(&mut *v),
        v_stride: w / 2,
        width: w,
        height: h,
    };
    if yuyv422_to_yuv420(&mut planar, &packed).is_ok() {
        return;
    }
    // A last row without its padding is too short for the crate; row by row it is not.
    for row in 0..height {
        let from = plane.row(row, width * 2);
        for (pair, to) in from.chunks_exact(4).zip(y[row * width..][..width].chunks_exact_mut(2)) {
            (to[0], to[1]) = (pair[0], pair[2]);
        }
        if row % 2 == 1 {
            let above = plane.row(row - 1, width * 2);
            let at = row / 2 * width / 2;
            for (n, (a, b)) in from.chunks_exact(4).zip(above.chunks_exact(4)).enumerate() {
                u[at + n] = (u16::from(a[1]) + u16::from(b[1])).div_ceil(2) as u8;
                v[at + n] = (u16::from(a[3]) + u16::from(b[3])).div_ceil(2) as u8;
            }
        }
    }
}

/// Copies a picture of the buffer's size.
pub fn copy_picture(picture: &Picture<'_>, buffer: &mut PictureBuffer) {
    let planes = buffer.planes_mut();
    copy(&picture.y, picture.width, planes.y);
    copy(&picture.u, picture.width / 2, planes.u);
    copy(&picture.v, picture.width / 2, planes.v);
}

fn copy(plane: &Plane<'_>, width: usize, to: &mut [u8]) {
    if plane.stride == width {
        let length = to.len();
        to.copy_from_slice(&plane.data[..length]);
        return;
    }
    for (row, to) in to.chunks_exact_mut(width).enumerate() {
        to.copy_from_slice(plane.row(row, width));
    }
}

fn check(plane: &Plane<'_>, row: usize, rows: usize) -> Result<(), ConvertError> {
    let enough = rows > 0 && row > 0 && plane.stride >= row && plane.data.len() >= plane.stride * (rows - 1) + row;
    if enough { Ok(()) } else { Err(ConvertError::Incomplete) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::media::codec::test_pictures::{moving, psnr};

    fn converter() -> Converter {
        Converter::new(PicturePool::new(2))
    }

    fn captured(pixels: Pixels<'_>, width: u32, height: u32) -> Captured<'_> {
        Captured { pixels, width, height, captured_at: Monotonic::from_millis(1) }
    }

    /// The picture as a camera would pack it.
    fn pack_yuyv(picture: &Picture<'_>, stride: usize) -> Vec<u8> {
        let mut bytes = vec![0; stride * picture.height];
        for row in 0..picture.height {
            for column in 0..picture.width {
                bytes[row * stride + column * 2] = picture.y.data[row * picture.y.stride + column];
                let chroma = if column % 2 == 0 { picture.u } else { picture.v };
                bytes[row * stride + column * 2 + 1] = chroma.data[row / 2 * chroma.stride + column / 2];
            }
        }
        bytes
    }

    #[test]
    fn packed_and_semi_planar_pixels_come_out_exactly() {
        let source = moving(322, 62, 3);
        let picture = source.picture();
        for stride in [644, 704] {
            let packed = pack_yuyv(&picture, stride);
            // Some drivers leave out the last row's padding.
            for end in [packed.len(), stride * 61 + 644] {
                let plane = Plane { data: &packed[..end], stride };
                let buffer = converter().convert(&captured(Pixels::Yuyv(plane), 322, 62)).expect("converted");
                assert_eq!(buffer.bytes(), source.bytes(), "stride {stride}");
            }
        }
        let uv: Vec<u8> = picture.u.data.iter().zip(picture.v.data).flat_map(|(&u, &v)| [u, v]).collect();
        let pixels = Pixels::Nv12 { y: picture.y, uv: Plane { data: &uv, stride: 322 } };
        let buffer = converter().convert(&captured(pixels, 322, 62)).expect("converted");
        assert_eq!(buffer.bytes(), source.bytes());
        let buffer = converter().convert(&captured(Pixels::I420(picture), 322, 62)).expect("converted");
        assert_eq!(buffer.bytes(), source.bytes());
    }

    #[test]
    fn jpegs_of_every_subsampling_come_out_in_video_range() {
        let source = moving(640, 480, 3);
        for subsamp in [Subsamp::Sub2x2, Subsamp::Sub2x1, Subsamp::None, Subsamp::Gray] {
            // RGB of a picture whose luma is known: gray steps.
            let (width, height) = (320, 240);
            let mut rgb = vec![0; width * height * 3];
            for (n, pixel) in rgb.chunks_exact_mut(3).enumerate() {
                pixel.fill((n % width * 255 / (width - 1)) as u8);
            }
            let image = turbojpeg::Image {
                pixels: &rgb[..],
                width,
                pitch: width * 3,
                height,
                format: turbojpeg::PixelFormat::RGB,
            };
            let jpeg = turbojpeg::compress(image, 95, subsamp).expect("compressed");
            let buffer = converter().convert(&captured(Pixels::Mjpeg(&jpeg), 320, 240)).expect("converted");
            let picture = buffer.picture();
            let row = picture.y.row(100, width);
            assert!(
                row[0].abs_diff(16) <= 2 && row[width - 1].abs_diff(235) <= 2,
                "{subsamp:?}: {} {}",
                row[0],
                row[width - 1]
            );
            assert!(row[width / 2].abs_diff(126) <= 3, "{subsamp:?}: {}", row[width / 2]);
            assert!(picture.u.data.iter().chain(picture.v.data).all(|&c| c.abs_diff(128) <= 2), "{subsamp:?}");
        }
        // A real texture through 4:2:0 keeps its content.
        let image = YuvImage { pixels: source.bytes(), width: 640, align: 1, height: 480, subsamp: Subsamp::Sub2x2 };
        let jpeg = turbojpeg::compress_yuv(image, 90).expect("compressed");
        let buffer = converter().convert(&captured(Pixels::Mjpeg(&jpeg), 640, 480)).expect("converted");
        let mut expected = moving(640, 480, 3);
        expected.planes_mut().y.iter_mut().for_each(|y| *y = limited_luma(*y));
        let quality = psnr(&expected.picture(), &buffer.picture());
        assert!(quality > 30.0, "{quality:.1} dB");
    }

    #[test]
    fn the_ranges_end_where_video_ends() {
        assert_eq!([0, 128, 255].map(limited_luma), [16, 126, 235]);
        assert_eq!([0, 128, 255].map(limited_chroma), [16, 128, 239]);
    }

    #[test]
    fn damaged_and_short_pictures_are_refused() {
        let cases = [
            Pixels::Mjpeg(&[0xff, 0xd8, 0xff, 0xd9]),
            Pixels::Mjpeg(&[]),
            Pixels::Yuyv(Plane { data: &[0; 100], stride: 640 }),
            Pixels::Nv12 { y: Plane { data: &[0; 320 * 240], stride: 320 }, uv: Plane { data: &[0; 5], stride: 320 } },
            Pixels::H264(&[0, 0, 0, 1, 0x65]),
        ];
        for pixels in cases {
            assert!(converter().convert(&captured(pixels, 320, 240)).is_err(), "{pixels:?}");
        }
    }

    /// CPU time of this thread.
    fn processor_ms() -> f64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1000.0 + time.tv_nsec as f64 / 1_000_000.0
    }

    /// Prints what the conversions cost; the figures depend on the machine, so nothing is asserted about them.
    #[test]
    fn cost_of_conversion() {
        let source = moving(1280, 720, 0);
        let packed = pack_yuyv(&source.picture(), 2560);
        let image = YuvImage { pixels: source.bytes(), width: 1280, align: 1, height: 720, subsamp: Subsamp::Sub2x2 };
        let jpeg = turbojpeg::compress_yuv(image, 85).expect("compressed");
        let mut converter = converter();
        let cases = [
            ("YUYV", Pixels::Yuyv(Plane { data: &packed, stride: 2560 })),
            ("MJPEG", Pixels::Mjpeg(&jpeg)),
            ("I420", Pixels::I420(source.picture())),
        ];
        for (name, pixels) in cases {
            let start = processor_ms();
            for _ in 0..30 {
                converter.convert(&captured(pixels, 1280, 720)).expect("converted");
            }
            println!("720p {name}: {:.2} ms of CPU", (processor_ms() - start) / 30.0);
        }
    }
}
