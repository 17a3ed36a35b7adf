//! Cameras: something that delivers pictures at its own pace.

mod annexb;
mod pattern;
mod source;
pub(crate) mod sps;
pub(super) mod v4l2;
mod y4m;

use std::path::Path;
use std::time::Duration;

pub use source::CameraSource;

use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::registry::DeviceFormat;
use crate::devices::simulated::head;
use crate::picture::{Picture, Plane};

/// The picture size and rate that the caller would like. A camera comes as near as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureWish {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures per second, 1 or more.
    pub fps: u32,
}

/// How a camera encodes its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Packed 4:2:2, bytes Y U Y V.
    Yuyv,
    /// 4:2:0, a luma plane and one of interleaved U V.
    Nv12,
    /// 4:2:0, three planes.
    I420,
    /// One JPEG a picture.
    Mjpeg,
    /// One H.264 access unit a picture, Annex B (start codes).
    H264,
}

/// What an opened camera delivers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CameraFormat {
    /// Encoding of the pixels.
    pub pixels: PixelFormat,
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Nominal pictures per second.
    pub fps: f64,
}

/// The pixels of one captured picture, borrowed from the camera.
#[derive(Clone, Copy, Debug)]
pub enum Pixels<'a> {
    /// Packed Y U Y V; a row takes `stride` bytes.
    Yuyv(Plane<'a>),
    /// Luma and interleaved chroma, both with as many bytes a row as the picture has columns (plus padding).
    Nv12 {
        /// Luma.
        y: Plane<'a>,
        /// U V U V …, half the rows of `y`.
        uv: Plane<'a>,
    },
    /// Three planes: ready for the encoder.
    I420(Picture<'a>),
    /// A whole JPEG.
    Mjpeg(&'a [u8]),
    /// A whole access unit in Annex B.
    H264(&'a [u8]),
}

/// One picture as it came from the camera, valid until the next call.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// The pixels.
    pub pixels: Pixels<'a>,
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// When the picture was taken.
    pub captured_at: Monotonic,
}

/// An opened camera. Dropping it stops the capture and releases the device.
pub trait Camera: Send {
    /// What it delivers.
    fn format(&self) -> CameraFormat;

    /// Waits for the next picture, at most `timeout`; `Ok(None)` when there was none by then. Pictures that nobody fetched
    /// in time are dropped by the camera, the oldest first.
    ///
    /// # Errors
    /// [`DeviceError::Unplugged`] when the device went away, [`DeviceError::Io`] when it stopped working. The camera is
    /// of no more use then.
    fn next(&mut self, timeout: Duration) -> Result<Option<Captured<'_>>, DeviceError>;
}

/// Opens a camera and starts capturing.
///
/// # Errors
/// Any [`DeviceError`]; `none`, and `auto` without a real camera, are [`DeviceError::NotFound`].
pub fn open(source: &CameraSource, wish: &CaptureWish) -> Result<Box<dyn Camera>, DeviceError> {
    let device = source.to_string();
    let none = |advice: &str| DeviceError::NotFound { device: "a camera".to_owned(), advice: advice.to_owned() };
    match source {
        CameraSource::Pattern(name) => Ok(Box::new(pattern::PatternCamera::open(&device, name, wish)?)),
        CameraSource::File(path) if is_h264(path) => Ok(Box::new(annexb::H264Camera::open(&device, path, wish)?)),
        CameraSource::File(path) => y4m::open(&device, path),
        CameraSource::V4l2(id) => Ok(Box::new(v4l2::V4l2Camera::open(&device, id, wish)?)),
        CameraSource::Auto => {
            let first = v4l2::node::list().into_iter().next();
            let first = first.ok_or_else(|| none("this machine has none; connect one, or set [camera] source"))?;
            open(&CameraSource::V4l2(first.id), wish)
        }
        CameraSource::None => Err(none("the configuration says none; set [camera] source")),
    }
}

/// How much of a file is read to learn its format.
const HEAD_BYTES: u64 = 64 << 10;

/// What a plain file delivers as a camera; nothing when it is not there, or none.
pub(super) fn file_format(path: &Path) -> Option<DeviceFormat> {
    let head = head(path, HEAD_BYTES)?;
    let format =
        |pixels: &str, width, height, fps| DeviceFormat::Video { pixel_format: pixels.to_owned(), width, height, fps };
    if is_h264(path) {
        let size = annexb::size_of(&head)?;
        // Such a file says no rate.
        return Some(format("H264", size.width & !1, size.height & !1, 0.0));
    }
    let y4m = y4m::format_of(&head)?;
    Some(format("YU12", y4m.width, y4m.height, y4m.fps))
}

fn is_h264(path: &Path) -> bool {
    path.extension().is_some_and(|end| ["h264", "264", "avc"].iter().any(|known| end.eq_ignore_ascii_case(known)))
}
