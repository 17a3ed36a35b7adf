//! Pictures as image files, and those in memory that nobody can change.

use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::{Errno, pwrite};
use yuv::{YuvRange, YuvStandardMatrix, yuv420_to_rgb};

use super::SnapshotError;
use crate::picture::Picture;

/// Quality of a JPEG, of 100.
const JPEG_QUALITY: i32 = 90;

/// Kinds of image file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageFormat {
    /// Without loss.
    #[default]
    Png,
    /// Small.
    Jpeg,
}

impl ImageFormat {
    /// From the word of the API.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "png" => Some(Self::Png),
            "jpeg" => Some(Self::Jpeg),
            _ => None,
        }
    }
}

/// The picture as the bytes of an image file.
pub(super) fn encode(picture: &Picture<'_>, format: ImageFormat) -> Result<Vec<u8>, SnapshotError> {
    let failed = |error: &dyn std::fmt::Display| SnapshotError::Encode(error.to_string());
    let (width, height) = (picture.width, picture.height);
    let rgb = rgb(picture).map_err(|error| failed(&error))?;
    match format {
        ImageFormat::Png => {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
            encoder.set_color(png::ColorType::Rgb);
            encoder.set_depth(png::BitDepth::Eight);
            encoder.set_compression(png::Compression::Fast);
            let mut writer = encoder.write_header().map_err(|error| failed(&error))?;
            writer.write_image_data(&rgb).map_err(|error| failed(&error))?;
            writer.finish().map_err(|error| failed(&error))?;
            Ok(bytes)
        }
        ImageFormat::Jpeg => {
            let image = turbojpeg::Image {
                pixels: rgb.as_slice(),
                width,
                pitch: width * 3,
                height,
                format: turbojpeg::PixelFormat::RGB,
            };
            let jpeg = turbojpeg::compress(image, JPEG_QUALITY, turbojpeg::Subsamp::Sub2x2);
            Ok(jpeg.map_err(|error| failed(&error))?.to_vec())
        }
    }
}

/// Red, green and blue of every pixel, 0 to 255.
fn rgb(picture: &Picture<'_>) -> Result<Vec<u8>, yuv::YuvError> {
    let mut pixels = vec![0; picture.width * picture.height * 3];
    let stride = picture.width as u32 * 3;
    yuv420_to_rgb(&picture.planar(), &mut pixels, stride, YuvRange::Limited, YuvStandardMatrix::Bt601)?;
    Ok(pixels)
}

/// A memfd with these bytes; nobody can change them or their number any more.
pub(super) fn sealed(bytes: &[u8]) -> Result<OwnedFd, SnapshotError> {
    let memory = memfd_create(c"zegod-snapshot", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut done = 0;
    while done < bytes.len() {
        // At its place, so that a reader begins at the beginning.
        match pwrite(&memory, &bytes[done..], done as u64) {
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::picture::PictureBuffer;

    /// White on the left, red on the right.
    fn picture() -> PictureBuffer {
        let mut picture = PictureBuffer::new(64, 32);
        let planes = picture.planes_mut();
        for row in planes.y.chunks_mut(64) {
            row[..32].fill(235);
            row[32..].fill(81);
        }
        for (plane, red) in [(planes.u, 90), (planes.v, 240)] {
            for row in plane.chunks_mut(32) {
                row[..16].fill(128);
                row[16..].fill(red);
            }
        }
        picture
    }

    fn is_near(pixel: &[u8], wanted: [u8; 3]) -> bool {
        pixel.iter().zip(wanted).all(|(&is, wanted)| is.abs_diff(wanted) <= 6)
    }

    #[test]
    fn a_png_has_the_whole_range_of_colours() {
        let bytes = encode(&picture().picture(), ImageFormat::Png).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (64, 32, png::ColorType::Rgb));
        assert!(is_near(&pixels[..3], [255, 255, 255]), "{:?}", &pixels[..3]);
        assert!(is_near(&pixels[63 * 3..64 * 3], [255, 0, 0]), "{:?}", &pixels[63 * 3..64 * 3]);
    }

    #[test]
    fn a_jpeg_shows_the_same() {
        let bytes = encode(&picture().picture(), ImageFormat::Jpeg).unwrap();
        let image = turbojpeg::decompress(&bytes, turbojpeg::PixelFormat::RGB).unwrap();
        assert_eq!((image.width, image.height), (64, 32));
        assert!(is_near(&image.pixels[..3], [255, 255, 255]));
        assert!(is_near(&image.pixels[60 * 3..61 * 3], [255, 0, 0]), "{:?}", &image.pixels[60 * 3..61 * 3]);
    }

    #[test]
    fn an_image_in_memory_can_be_read_from_its_beginning_and_not_be_changed() {
        let memory = sealed(b"image").unwrap();
        assert_eq!(pwrite(&memory, b"x", 0), Err(Errno::PERM));
        let mut bytes = Vec::new();
        std::fs::File::from(memory).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"image");
    }
}
