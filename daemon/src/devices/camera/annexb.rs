//! The camera `file:PATH.h264`: H.264 in Annex B, looped, one access unit a picture.
//!
//! Such a file holds no times, so its pictures come at the rate that is wished for.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::camera::sps::{self, Size};
use crate::devices::camera::{Camera, CameraFormat, CaptureWish, Captured, PixelFormat, Pixels};
use crate::devices::pace::{Cadence, sleep_until};
use crate::devices::simulated::still_there;

/// The file is kept in memory, so there is a limit.
const LARGEST_FILE: u64 = 256 << 20;

/// Types of NAL units (H.264 table 7-1).
const SLICE: u8 = 1;
const SLICE_IDR: u8 = 5;
const SPS: u8 = 7;

/// The NAL units of a stream: from each start code to the next, start code included.
fn units(stream: &[u8]) -> Vec<Range<usize>> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 <= stream.len() {
        match stream[at..at + 3] {
            [0, 0, 1] => {
                // A start code may have one zero more in front.
                starts.push(if at > 0 && stream[at - 1] == 0 { at - 1 } else { at });
                at += 3;
            }
            [_, _, byte] if byte > 1 => at += 3,
            _ => at += 1,
        }
    }
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// The header byte and what follows it.
fn body(unit: &[u8]) -> &[u8] {
    let zeros = unit.iter().take_while(|&&byte| byte == 0).count();
    unit.get(zeros + 1..).unwrap_or_default()
}

/// The access units of a stream (H.264 section 7.4.1.2.3): one begins with the first unit after a picture's last slice that is no
/// further slice of it.
fn access_units(stream: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut picture_seen = true;
    for unit in units(stream) {
        let body = body(&stream[unit.clone()]);
        let Some(header) = body.first() else {
            // A start code alone begins nothing.
            if let Some(last) = found.last_mut() {
                last.end = unit.end;
            }
            continue;
        };
        let kind = header & 0x1f;
        let slice = matches!(kind, SLICE..=SLICE_IDR);
        // first_mb_in_slice is 0, coded as a single one bit.
        let first_slice = slice && body.get(1).is_some_and(|byte| byte & 0x80 != 0);
        // Delimiters, parameter sets, SEI and the reserved types 14 to 18 come before the slices of their picture.
        let leads = matches!(kind, 6..=9 | 14..=18);
        if picture_seen && (leads || first_slice) {
            found.push(unit.clone());
            picture_seen = false;
        } else if let Some(last) = found.last_mut() {
            last.end = unit.end;
        }
        picture_seen |= slice;
    }
    found
}

/// The size of the pictures of a stream, by its beginning; nothing when that has no sequence parameter set.
pub(super) fn size_of(head: &[u8]) -> Option<Size> {
    let mut bodies = units(head).into_iter().map(|unit| body(&head[unit]));
    sps::size(bodies.find(|body| body.first().is_some_and(|header| header & 0x1f == SPS))?)
}

/// The camera itself.
pub(super) struct H264Camera {
    device: String,
    file: File,
    stream: Vec<u8>,
    units: Vec<Range<usize>>,
    next: usize,
    size: Size,
    fps: u32,
    cadence: Cadence,
}

impl H264Camera {
    pub(super) fn open(device: &str, path: &Path, wish: &CaptureWish) -> Result<Self, DeviceError> {
        let failed = |source| DeviceError::from_io(device, "opening it", source);
        let unsupported =
            |reason: &str| DeviceError::UnsupportedFormat { device: device.to_owned(), reason: reason.to_owned() };
        let mut file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() > LARGEST_FILE {
            return Err(unsupported("it is larger than 256 MiB: cut it"));
        }
        if !(1..=240).contains(&wish.fps) {
            return Err(unsupported("it is played at 1 to 240 pictures a second"));
        }
        let mut stream = Vec::new();
        file.read_to_end(&mut stream).map_err(failed)?;
        let size = size_of(&stream)
            .ok_or_else(|| unsupported("it has no usable sequence parameter set, so it is no H.264 in Annex B"))?;
        let units = access_units(&stream);
        if units.is_empty() {
            return Err(unsupported("it has no picture"));
        }
        let cadence = Cadence::new(Monotonic::now(), wish.fps, 1);
        Ok(Self { device: device.to_owned(), file, stream, units, next: 0, size, fps: wish.fps, cadence })
    }
}

impl Camera for H264Camera {
    fn format(&self) -> CameraFormat {
        CameraFormat {
            pixels: PixelFormat::H264,
            width: self.size.width & !1,
            height: self.size.height & !1,
            fps: f64::from(self.fps),
        }
    }

    fn next(&mut self, timeout: Duration) -> Result<Option<Captured<'_>>, DeviceError> {
        let (due, limit) = (self.cadence.deadline(), Monotonic::now() + timeout);
        sleep_until(due.min(limit));
        if due > limit {
            return Ok(None);
        }
        still_there(&self.device, &self.file)?;
        let now = Monotonic::now();
        // None is left out however late it is: the following ones are built on it.
        self.cadence.advance(now);
        let unit = self.units[self.next].clone();
        self.next = (self.next + 1) % self.units.len();
        Ok(Some(Captured {
            pixels: Pixels::H264(&self.stream[unit]),
            width: self.size.width & !1,
            height: self.size.height & !1,
            captured_at: now,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use openh264::OpenH264API;
    use openh264::encoder::{Encoder, EncoderConfig};
    use openh264::formats::YUVSource;
    use proptest::prelude::*;

    use super::*;
    use crate::picture::PictureBuffer;

    struct Source<'a>(&'a PictureBuffer);

    impl YUVSource for Source<'_> {
        fn dimensions(&self) -> (usize, usize) {
            (self.0.width(), self.0.height())
        }
        fn strides(&self) -> (usize, usize, usize) {
            (self.0.width(), self.0.width() / 2, self.0.width() / 2)
        }
        fn y(&self) -> &[u8] {
            self.0.picture().y.data
        }
        fn u(&self) -> &[u8] {
            self.0.picture().u.data
        }
        fn v(&self) -> &[u8] {
            self.0.picture().v.data
        }
    }

    /// A stream of `count` pictures, and each picture's own bytes.
    fn encode(width: usize, height: usize, count: u8) -> Vec<Vec<u8>> {
        let config = EncoderConfig::new().max_slice_len(1000);
        let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).unwrap();
        let mut picture = PictureBuffer::new(width, height);
        (0..count)
            .map(|number| {
                for (index, byte) in picture.bytes_mut().iter_mut().enumerate() {
                    *byte = ((index * 31) >> (number % 5)) as u8 ^ number;
                }
                encoder.encode(&Source(&picture)).unwrap().to_vec()
            })
            .collect()
    }

    #[test]
    fn a_start_code_alone_belongs_to_what_is_before_it() {
        let stream = [0, 0, 1, 0x67, 0, 0, 1, 1, 0, 0, 1, 0, 0, 1, 0x67];
        assert_eq!(access_units(&stream), [0..11, 11..15]);
    }

    proptest! {
        /// Whatever a file holds: the access units follow each other, and nothing between them is left out.
        #[test]
        fn any_stream_is_cut_without_gaps(
            stream in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0x65), Just(0x67), any::<u8>()], 0..400),
        ) {
            let found = access_units(&stream);
            for pair in found.windows(2) {
                prop_assert_eq!(pair[0].end, pair[1].start);
            }
            for unit in &found {
                prop_assert!(unit.start < unit.end && unit.end <= stream.len());
            }
            for unit in units(&stream) {
                prop_assert!(body(&stream[unit.clone()]).len() < unit.len());
            }
        }
    }

    #[test]
    fn a_real_stream_is_cut_into_its_pictures() {
        let pictures = encode(150, 100, 6);
        let stream = pictures.concat();
        assert!(units(&stream).len() > 12, "several slices a picture");
        let found: Vec<&[u8]> = access_units(&stream).into_iter().map(|unit| &stream[unit]).collect();
        assert_eq!(found, pictures.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    #[test]
    fn delimiters_and_short_start_codes_are_understood() {
        let stream = [
            &[0, 0, 0, 1, 9, 0xf0][..],
            &[0, 0, 0, 1, 0x67, 1, 2],
            &[0, 0, 1, 0x68, 3],
            &[0, 0, 1, 0x65, 0x88, 4],
            &[0, 0, 1, 0x65, 0x40, 5],
            &[0, 0, 0, 1, 9, 0xf0],
            &[0, 0, 1, 0x41, 0x9a],
            &[0, 0, 1, 0x41, 0x9b],
        ];
        let expected = [stream[..5].concat(), stream[5..7].concat(), stream[7].to_vec()];
        let stream = stream.concat();
        let found: Vec<&[u8]> = access_units(&stream).into_iter().map(|unit| &stream[unit]).collect();
        assert_eq!(found, expected);
        assert!(access_units(b"no start code here").is_empty());
    }

    #[test]
    fn a_file_is_looped_at_the_wished_rate_and_says_its_size() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let pictures = encode(150, 100, 3);
        fs::write(file.path(), pictures.concat()).unwrap();
        let wish = CaptureWish { width: 1, height: 1, fps: 100 };
        let mut camera = H264Camera::open("file:x.h264", file.path(), &wish).unwrap();
        let expected = CameraFormat { pixels: PixelFormat::H264, width: 150, height: 100, fps: 100.0 };
        assert_eq!(camera.format(), expected);
        for number in 0..7 {
            let captured = camera.next(Duration::from_secs(1)).unwrap().unwrap();
            let Pixels::H264(unit) = captured.pixels else { panic!("not H.264") };
            assert_eq!(unit, pictures[number % 3]);
        }
        assert!(camera.next(Duration::ZERO).unwrap().is_none());
        fs::write(file.path(), b"\0\0\x01\x65nothing").unwrap();
        let error = H264Camera::open("file:x.h264", file.path(), &wish).map(drop).unwrap_err();
        assert!(error.to_string().contains("sequence parameter set"), "{error}");
    }
}
