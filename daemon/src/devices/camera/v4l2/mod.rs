//! The camera `v4l2:ID`: a V4L2 capture device.

mod choice;
pub(in crate::devices) mod node;
mod stream;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use v4l::Device;
use v4l::video::Capture;
use v4l::video::capture::Parameters;

use self::choice::{SUPPORTED, choose};
use self::stream::{Filled, PixelLayout, Stream, capability, set_format};
use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::camera::{Camera, CameraFormat, CaptureWish, Captured, PixelFormat, Pixels};
use crate::devices::holders::holder_or_another;
use crate::devices::registry::{DeviceFormat, DeviceState};
use crate::picture::{Picture, Plane};

/// Damaged pictures and refused reads in a row after which the camera has failed.
const PATIENCE: u32 = 60;

/// The camera itself.
pub(super) struct V4l2Camera {
    device: String,
    path: PathBuf,
    format: CameraFormat,
    layout: PixelLayout,
    stream: Stream,
    /// The buffer whose picture was handed out last.
    held: Option<Filled>,
    pace: Pace,
    failures: u32,
}

impl V4l2Camera {
    /// Opens the camera that `id` names, in the mode that meets the wish most cheaply.
    pub(super) fn open(device: &str, id: &str, wish: &CaptureWish) -> Result<Self, DeviceError> {
        let path = node::find(id).ok_or_else(|| not_found(device))?;
        let failed = |action| {
            let path = path.clone();
            move |error: io::Error| from_io(device, &path, action, error)
        };
        let camera = Device::with_path(&path).map_err(failed("opening it"))?;
        let unsupported = |reason: String| DeviceError::UnsupportedFormat { device: device.to_owned(), reason };
        let said = capability(&camera.handle()).map_err(|_| unsupported("it is no video device".to_owned()))?;
        if !node::captures(&said) {
            return Err(unsupported(format!("{} ({}) does not capture video", path.display(), said.card)));
        }
        let mode = choose(&node::modes(&camera, wish.width, wish.height), wish)
            .ok_or_else(|| unsupported("it offers none of YU12, NV12, YUYV and MJPG".to_owned()))?;
        let layout =
            set_format(&camera.handle(), mode.fourcc, mode.width, mode.height).map_err(failed("setting its format"))?;
        let pixels = SUPPORTED.iter().find(|(fourcc, _)| *fourcc == layout.fourcc).map(|(_, pixels)| *pixels);
        let pixels = pixels
            .ok_or_else(|| unsupported(format!("it delivers {} instead", String::from_utf8_lossy(&layout.fourcc))))?;
        let fps = set_rate(&camera, wish.fps, mode.fps);
        let stream = Stream::start(camera.handle()).map_err(failed("starting the capture"))?;
        let delivered = if fps > 0.0 { fps.min(f64::from(wish.fps)) } else { f64::from(wish.fps) };
        let format = CameraFormat { pixels, width: layout.width & !1, height: layout.height & !1, fps: delivered };
        log::info!(
            "{device}: {}x{} {} at {fps:.2} pictures a second",
            layout.width,
            layout.height,
            String::from_utf8_lossy(&layout.fourcc)
        );
        let pace = Pace::new(fps, wish.fps);
        Ok(Self { device: device.to_owned(), path, format, layout, stream, held: None, pace, failures: 0 })
    }

    fn failed(&self, action: &'static str, error: io::Error) -> DeviceError {
        from_io(&self.device, &self.path, action, error)
    }

    /// Takes all filled buffers and keeps the newest good one.
    fn take_newest(&mut self) -> Result<Option<Filled>, DeviceError> {
        let mut newest: Option<Filled> = None;
        loop {
            match self.stream.take() {
                Ok(Some(filled)) => {
                    let short = self.pixels(&filled).is_none();
                    let back = if filled.damaged || short {
                        self.failures += 1;
                        Some(filled)
                    } else {
                        self.failures = 0;
                        newest.replace(filled)
                    };
                    if let Some(back) = back {
                        self.stream.queue(back.index).map_err(|error| self.failed("giving a buffer back", error))?;
                    }
                }
                Ok(None) => break,
                // Such a read may be lost and the next one good; a camera that is gone stays that way.
                Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) && self.failures < PATIENCE => {
                    self.failures += 1;
                    std::thread::sleep(Duration::from_millis(10));
                    break;
                }
                Err(error) => return Err(self.failed("reading it", error)),
            }
        }
        if self.failures >= PATIENCE && newest.is_none() {
            let damaged = io::Error::new(io::ErrorKind::InvalidData, "it delivers damaged pictures only");
            return Err(self.failed("reading it", damaged));
        }
        Ok(newest)
    }

    /// The picture in a buffer; nothing when it is too short.
    fn pixels(&self, filled: &Filled) -> Option<Pixels<'_>> {
        pixels_of(self.stream.bytes(filled), self.format.pixels, &self.layout)
    }
}

impl Camera for V4l2Camera {
    fn format(&self) -> CameraFormat {
        self.format
    }

    fn next(&mut self, timeout: Duration) -> Result<Option<Captured<'_>>, DeviceError> {
        let limit = Monotonic::now() + timeout;
        if let Some(held) = self.held.take() {
            self.stream.queue(held.index).map_err(|error| self.failed("giving a buffer back", error))?;
        }
        let (filled, captured_at) = loop {
            if !self.stream.wait(limit.since(Monotonic::now())).map_err(|error| self.failed("waiting for it", error))? {
                if !self.path.exists() {
                    return Err(DeviceError::Unplugged { device: self.device.clone() });
                }
                return Ok(None);
            }
            if let Some(filled) = self.take_newest()? {
                let now = Monotonic::now();
                // A driver that stamps by another clock, or nonsense, is not believed.
                let recent = |taken: &Monotonic| *taken <= now && now.since(*taken) < Duration::from_secs(1);
                let taken = filled.taken.filter(recent).unwrap_or(now);
                if self.pace.wants(taken) {
                    break (filled, taken);
                }
                self.stream.queue(filled.index).map_err(|error| self.failed("giving a buffer back", error))?;
            }
            if Monotonic::now() >= limit {
                return Ok(None);
            }
        };
        self.held = Some(filled);
        let (width, height) = (self.format.width, self.format.height);
        Ok(self.pixels(&filled).map(|pixels| Captured { pixels, width, height, captured_at }))
    }
}

fn not_found(device: &str) -> DeviceError {
    let all: Vec<String> = node::list().into_iter().map(|node| format!("v4l2:{} ({})", node.id, node.name)).collect();
    let advice = if all.is_empty() {
        "this machine has no camera; connect one, or choose a simulated one".to_owned()
    } else {
        format!("the cameras are {}", all.join(", "))
    };
    DeviceError::NotFound { device: device.to_owned(), advice }
}

/// What the system's answer means for a camera.
fn from_io(device: &str, path: &Path, action: &'static str, error: io::Error) -> DeviceError {
    let name = device.to_owned();
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::BUSY) => DeviceError::Busy { device: name, owner: holder_or_another(|target| target == path) },
        Some(Errno::NODEV | Errno::NXIO) => DeviceError::Unplugged { device: name },
        // A driver that was taken away answers with anything; that the node is gone tells.
        _ if !path.exists() => DeviceError::Unplugged { device: name },
        _ => DeviceError::from_io(device, action, error),
    }
}

/// Asks for a rate and returns what the camera will do; 0 when it does not say. It may not support any choice.
fn set_rate(camera: &Device, wish: u32, highest: f64) -> f64 {
    let rate = |parameters: &Parameters| match parameters.interval.numerator {
        0 => 0.0,
        numerator => f64::from(parameters.interval.denominator) / f64::from(numerator),
    };
    match camera.set_params(&Parameters::with_fps(wish)) {
        Ok(parameters) if rate(&parameters) > 0.0 => rate(&parameters),
        _ => camera.params().map_or(highest, |parameters| rate(&parameters)),
    }
}

/// The planes in a buffer of the driver; nothing when it is shorter than a picture.
fn pixels_of<'a>(bytes: &'a [u8], format: PixelFormat, layout: &PixelLayout) -> Option<Pixels<'a>> {
    let (width, height) = ((layout.width & !1) as usize, (layout.height & !1) as usize);
    let rows = layout.height as usize;
    // Some drivers leave the stride out.
    let stride = |least: usize| (layout.stride as usize).max(least);
    match format {
        PixelFormat::Yuyv => {
            let stride = stride(2 * width);
            (bytes.len() >= stride * (height - 1) + 2 * width).then_some(Pixels::Yuyv(Plane { data: bytes, stride }))
        }
        PixelFormat::Nv12 => {
            let stride = stride(width);
            let (y, uv) = bytes.split_at_checked(stride * rows)?;
            let whole = uv.len() >= stride * (height / 2 - 1) + width;
            whole.then_some(Pixels::Nv12 { y: Plane { data: y, stride }, uv: Plane { data: uv, stride } })
        }
        PixelFormat::I420 => {
            let stride = stride(width);
            let (y, chroma) = bytes.split_at_checked(stride * rows)?;
            let (u, v) = chroma.split_at_checked(stride / 2 * rows.div_ceil(2))?;
            let half = stride / 2;
            (v.len() >= half * (height / 2 - 1) + width / 2).then_some(Pixels::I420(Picture {
                width,
                height,
                y: Plane { data: y, stride },
                u: Plane { data: u, stride: half },
                v: Plane { data: v, stride: half },
            }))
        }
        // Start of image, end of image: a JPEG that was cut off would only show half a picture.
        PixelFormat::Mjpeg => {
            let end = bytes.iter().rposition(|&byte| byte != 0)? + 1;
            let jpeg = &bytes[..end];
            (jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9])).then_some(Pixels::Mjpeg(jpeg))
        }
        PixelFormat::H264 => None,
    }
}

/// Lets through as many pictures as were wished for, of a camera that only comes faster.
#[derive(Debug)]
struct Pace {
    period: Option<Duration>,
    due: Monotonic,
}

impl Pace {
    fn new(delivered: f64, wish: u32) -> Self {
        let faster = delivered > f64::from(wish) * 1.2;
        let period = faster.then(|| Duration::from_secs(1) / wish.max(1));
        Self { period, due: Monotonic::default() }
    }

    fn wants(&mut self, taken: Monotonic) -> bool {
        let Some(period) = self.period else { return true };
        // A quarter of a period forgives the camera's own jitter.
        if taken + period / 4 < self.due {
            return false;
        }
        // After a gap it starts anew, without a burst.
        let late = taken.since(self.due) > 2 * period;
        self.due = if late { taken + period } else { self.due + period };
        true
    }
}

/// What the registry tells about a camera: its formats, and whether it can be opened; busy when a driver says so that lets
/// in one program only.
pub(in crate::devices) fn describe(node: &node::Node) -> (Vec<DeviceFormat>, DeviceState) {
    let camera = match Device::with_path(&node.path) {
        Ok(camera) => camera,
        Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
            return (Vec::new(), DeviceState::Busy);
        }
        Err(_) => return (Vec::new(), DeviceState::Unplugged),
    };
    let format = |mode: choice::Mode| DeviceFormat::Video {
        pixel_format: String::from_utf8_lossy(&mode.fourcc).into_owned(),
        width: mode.width,
        height: mode.height,
        fps: mode.fps,
    };
    (node::modes(&camera, 1280, 720).into_iter().map(format).collect(), DeviceState::Available)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faster_camera_is_thinned_out_to_the_wish() {
        let mut pace = Pace::new(60.0, 15);
        let start = Monotonic::from_millis(50_000);
        let times = (0..600_u32).map(|index| start + Duration::from_secs(1) * index / 60);
        let passed: Vec<Monotonic> = times.filter(|time| pace.wants(*time)).collect();
        assert!((150..=151).contains(&passed.len()), "ten seconds of it: {}", passed.len());
        assert!(passed.windows(2).all(|pair| pair[1].since(pair[0]) < Duration::from_millis(70)));
        let mut same = Pace::new(30.0, 30);
        assert!((0..100).all(|index| same.wants(start + Duration::from_millis(index))));
        let mut unknown = Pace::new(0.0, 30);
        assert!(unknown.wants(start) && unknown.wants(start));
        // A pause is followed by one picture, not by many.
        assert!(pace.wants(start + Duration::from_secs(60)));
        assert!(!pace.wants(start + Duration::from_secs(60) + Duration::from_millis(16)));
    }

    #[test]
    fn planes_lie_where_the_stride_puts_them() {
        let layout = |stride| PixelLayout { fourcc: *b"....", width: 4, height: 2, stride };
        let bytes: Vec<u8> = (0..32).collect();
        let Some(Pixels::I420(picture)) = pixels_of(&bytes, PixelFormat::I420, &layout(8)) else { panic!("no I420") };
        assert_eq!(
            (picture.y.row(1, 4), picture.u.row(0, 2), picture.v.row(0, 2)),
            (&bytes[8..12], &bytes[16..18], &bytes[20..22])
        );
        let Some(Pixels::Nv12 { uv, .. }) = pixels_of(&bytes, PixelFormat::Nv12, &layout(0)) else { panic!("no NV12") };
        assert_eq!((uv.stride, uv.row(0, 4)), (4, &bytes[8..12]));
        let Some(Pixels::Yuyv(plane)) = pixels_of(&bytes, PixelFormat::Yuyv, &layout(10)) else { panic!("no YUYV") };
        assert_eq!(plane.row(1, 8), &bytes[10..18]);
    }

    #[test]
    fn pictures_that_are_cut_off_are_none() {
        let layout = PixelLayout { fourcc: *b"....", width: 4, height: 2, stride: 0 };
        for (format, least) in [(PixelFormat::I420, 12), (PixelFormat::Nv12, 12), (PixelFormat::Yuyv, 16)] {
            assert!(pixels_of(&vec![1; least], format, &layout).is_some(), "{format:?}");
            assert!(pixels_of(&vec![1; least - 1], format, &layout).is_none(), "{format:?}");
            assert!(pixels_of(&[], format, &layout).is_none(), "{format:?}");
        }
        let jpeg = [0xff, 0xd8, 1, 2, 3, 0xff, 0xd9, 0, 0];
        let Some(Pixels::Mjpeg(whole)) = pixels_of(&jpeg, PixelFormat::Mjpeg, &layout) else { panic!("no JPEG") };
        assert_eq!(whole.len(), 7, "without the padding");
        for cut in [&jpeg[..6], &jpeg[1..], &[]] {
            assert!(pixels_of(cut, PixelFormat::Mjpeg, &layout).is_none());
        }
    }

    #[test]
    fn what_the_system_says_is_put_into_words() {
        let existing = Path::new("/dev/null");
        let error = |errno: Errno, path| from_io("v4l2:x", path, "reading it", errno.into()).code();
        assert_eq!(error(Errno::BUSY, existing), 1_006_005);
        assert_eq!(error(Errno::NODEV, existing), 1_006_006);
        assert_eq!(error(Errno::INVAL, existing), 1_006_001);
        assert_eq!(error(Errno::INVAL, Path::new("/dev/video-gone")), 1_006_006);
        assert_eq!(error(Errno::ACCESS, existing), 1_006_003);
    }

    #[test]
    fn a_camera_that_is_not_there_is_named() {
        let wish = CaptureWish { width: 640, height: 480, fps: 30 };
        let error = V4l2Camera::open("v4l2:nowhere", "nowhere", &wish).map(drop).unwrap_err();
        assert_eq!(error.code(), 1_006_002);
        assert!(error.to_string().contains("v4l2:nowhere"), "{error}");
        let error = V4l2Camera::open("v4l2:/dev/null", "/dev/null", &wish).map(drop).unwrap_err();
        assert!(error.to_string().contains("no video device"), "{error}");
    }
}
