//! The camera `file:PATH.y4m`: uncompressed pictures from a file, looped in real time, or from a FIFO, as they come.
//!
//! A file's pictures come at the rate of its header. A FIFO's writer sets the pace: only the newest complete picture counts,
//! and it was taken when it was read. When the writer goes away the camera waits for the next one.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use crate::clock::Monotonic;
use crate::devices::DeviceError;
use crate::devices::camera::{Camera, CameraFormat, Captured, PixelFormat, Pixels};
use crate::devices::pace::{Cadence, sleep_until};
use crate::devices::simulated::still_there;
use crate::picture::{Picture, Plane};

const LONGEST_LINE: u64 = 4096;
/// How long opening waits for somebody to write a header to a FIFO.
const FIFO_PATIENCE: Duration = Duration::from_secs(3);
/// How often a FIFO without a writer is looked at: its poll does not wait.
const FIFO_NAP: Duration = Duration::from_millis(20);
/// Frames that are passed over for a newer one at a time, so that a writer faster than its reader cannot keep it busy.
const FIFO_SKIP: u32 = 8;

/// What a Y4M header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    width: usize,
    height: usize,
    /// Numerator and denominator of the rate.
    rate: (u32, u32),
}

impl Header {
    fn parse(line: &str) -> Result<Self, String> {
        let fields = line.strip_prefix("YUV4MPEG2").ok_or("it does not begin with YUV4MPEG2, so it is no Y4M")?;
        let (mut width, mut height, mut rate) = (0, 0, (30, 1));
        for field in fields.split_ascii_whitespace() {
            let (key, value) = field.split_at_checked(1).unwrap_or((field, ""));
            let number = || value.parse::<usize>().map_err(|_| format!("its header has a bad field {field}"));
            match key {
                "W" => width = number()?,
                "H" => height = number()?,
                "F" => rate = Self::parse_rate(value).ok_or_else(|| format!("its header has a bad rate {field}"))?,
                "C" if !matches!(value, "420" | "420jpeg" | "420mpeg2" | "420paldv") => {
                    return Err(format!("its pixels are {value}: convert it to 8-bit 4:2:0 (C420jpeg)"));
                }
                _ => {}
            }
        }
        let sides = 2..=8192;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(format!("its size is {width}x{height}: each side must be 2 to 8192"));
        }
        Ok(Self { width, height, rate })
    }

    /// `0:0` and the like stand for an unknown rate.
    fn parse_rate(value: &str) -> Option<(u32, u32)> {
        let (numerator, denominator) = value.split_once(':')?;
        let rate: (u32, u32) = (numerator.parse().ok()?, denominator.parse().ok()?);
        match rate {
            (0, _) | (_, 0) => Some((30, 1)),
            (numerator, denominator) if u64::from(numerator) <= 240 * u64::from(denominator) => Some(rate),
            _ => None,
        }
    }

    const fn luma(&self) -> usize {
        self.width * self.height
    }

    const fn chroma_width(&self) -> usize {
        self.width.div_ceil(2)
    }

    const fn frame_bytes(&self) -> usize {
        self.luma() + 2 * self.chroma_width() * self.height.div_ceil(2)
    }

    fn format(&self) -> CameraFormat {
        CameraFormat {
            pixels: PixelFormat::I420,
            width: (self.width & !1) as u32,
            height: (self.height & !1) as u32,
            fps: f64::from(self.rate.0) / f64::from(self.rate.1),
        }
    }

    /// The picture in `pixels`; an odd last row or column is left out.
    fn picture<'a>(&self, pixels: &'a [u8]) -> Picture<'a> {
        let (y, chroma) = pixels.split_at(self.luma());
        let (u, v) = chroma.split_at(chroma.len() / 2);
        let stride = self.chroma_width();
        Picture {
            width: self.width & !1,
            height: self.height & !1,
            y: Plane { data: y, stride: self.width },
            u: Plane { data: u, stride },
            v: Plane { data: v, stride },
        }
    }

    fn captured<'a>(&self, pixels: &'a [u8], captured_at: Monotonic) -> Captured<'a> {
        let picture = self.picture(pixels);
        Captured {
            width: picture.width as u32,
            height: picture.height as u32,
            pixels: Pixels::I420(picture),
            captured_at,
        }
    }
}

/// Opens a Y4M file or a FIFO that gives Y4M.
pub(super) fn open(device: &str, path: &Path) -> Result<Box<dyn Camera>, DeviceError> {
    let failed = |source| DeviceError::from_io(device, "opening it", source);
    if std::fs::metadata(path).map_err(failed)?.file_type().is_fifo() {
        let fifo =
            File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path).map_err(failed)?;
        return Ok(Box::new(FifoCamera::open(device, fifo)?));
    }
    Ok(Box::new(FileCamera::open(device, File::open(path).map_err(failed)?)?))
}

fn unsupported(device: &str, reason: impl Into<String>) -> DeviceError {
    DeviceError::UnsupportedFormat { device: device.to_owned(), reason: reason.into() }
}

/// What a Y4M file delivers; nothing when it is none.
pub(super) fn format_of(head: &[u8]) -> Option<CameraFormat> {
    let line = head.split(|byte| *byte == b'\n').next()?;
    Header::parse(std::str::from_utf8(line).ok()?.trim_end()).ok().map(|header| header.format())
}

/// A file, looped.
struct FileCamera {
    device: String,
    file: BufReader<File>,
    header: Header,
    first_frame: u64,
    pixels: Vec<u8>,
    cadence: Cadence,
}

impl FileCamera {
    fn open(device: &str, file: File) -> Result<Self, DeviceError> {
        let mut file = BufReader::with_capacity(64 * 1024, file);
        let mut line = String::new();
        let read = file.by_ref().take(LONGEST_LINE).read_line(&mut line);
        if read.is_err() || !line.ends_with('\n') {
            return Err(unsupported(device, "it has no Y4M header"));
        }
        let header = Header::parse(line.trim_end()).map_err(|reason| unsupported(device, reason))?;
        let mut camera = Self {
            device: device.to_owned(),
            file,
            header,
            first_frame: line.len() as u64,
            pixels: vec![0; header.frame_bytes()],
            cadence: Cadence::new(Monotonic::now(), header.rate.0, header.rate.1),
        };
        if !camera.read_frame()? {
            return Err(unsupported(device, "it has no complete picture"));
        }
        camera.rewind()?;
        Ok(camera)
    }

    fn failed(&self, source: io::Error) -> DeviceError {
        DeviceError::from_io(&self.device, "reading it", source)
    }

    fn rewind(&mut self) -> Result<(), DeviceError> {
        self.file.seek(SeekFrom::Start(self.first_frame)).map_err(|source| self.failed(source)).map(drop)
    }

    /// Reads the next picture; false at the end of the file, which a cut-off last picture is as well.
    fn read_frame(&mut self) -> Result<bool, DeviceError> {
        let mut line = Vec::new();
        self.file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(|source| self.failed(source))?;
        if line.is_empty() {
            return Ok(false);
        }
        if !line.starts_with(b"FRAME") {
            return Err(unsupported(&self.device, "a picture does not begin with FRAME"));
        }
        match self.file.read_exact(&mut self.pixels) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }
}

impl Camera for FileCamera {
    fn format(&self) -> CameraFormat {
        self.header.format()
    }

    fn next(&mut self, timeout: Duration) -> Result<Option<Captured<'_>>, DeviceError> {
        let (due, limit) = (self.cadence.deadline(), Monotonic::now() + timeout);
        sleep_until(due.min(limit));
        if due > limit {
            return Ok(None);
        }
        still_there(&self.device, self.file.get_ref())?;
        let now = Monotonic::now();
        self.cadence.advance(now);
        if !self.read_frame()? {
            self.rewind()?;
            if !self.read_frame()? {
                return Err(unsupported(&self.device, "it became empty while it was played"));
            }
        }
        Ok(Some(self.header.captured(&self.pixels, now)))
    }
}

/// A FIFO, read as it comes.
struct FifoCamera {
    device: String,
    fifo: File,
    header: Header,
    /// What was read of the next frame: its line, then its pixels.
    line: Vec<u8>,
    pixels: Vec<u8>,
    filled: usize,
    newest: Vec<u8>,
}

/// How far reading got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// A whole frame is in `pixels`.
    Frame,
    /// Nothing more to read for now.
    Empty,
    /// No writer holds the FIFO.
    NoWriter,
}

impl FifoCamera {
    fn open(device: &str, fifo: File) -> Result<Self, DeviceError> {
        let none = Header { width: 0, height: 0, rate: (30, 1) };
        let mut camera = Self {
            device: device.to_owned(),
            fifo,
            header: none,
            line: Vec::new(),
            pixels: Vec::new(),
            filled: 0,
            newest: Vec::new(),
        };
        let limit = Monotonic::now() + FIFO_PATIENCE;
        while camera.header == none {
            camera.line.clear();
            if !camera.read_line(limit)? {
                return Err(DeviceError::NotFound {
                    device: camera.device,
                    advice: "nobody writes to the FIFO: start the program that feeds it".to_owned(),
                });
            }
            camera.take_header()?;
        }
        Ok(camera)
    }

    fn take_header(&mut self) -> Result<(), DeviceError> {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        let header = Header::parse(line.trim_end()).map_err(|reason| unsupported(&self.device, reason))?;
        self.header = header;
        self.line.clear();
        self.filled = 0;
        self.pixels.resize(header.frame_bytes(), 0);
        self.newest.resize(header.frame_bytes(), 0);
        Ok(())
    }

    /// Waits until there is something to read.
    fn wait(&self, limit: Monotonic) -> Result<bool, DeviceError> {
        let left = limit.since(Monotonic::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut ready = [PollFd::new(&self.fifo, PollFlags::IN)];
        match poll(&mut ready, Some(&timeout)) {
            // A hang-up alone means that the last writer left; it stays that way until the next one comes.
            Ok(_) => Ok(ready[0].revents().contains(PollFlags::IN)),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(self.failed(errno.into())),
        }
    }

    fn failed(&self, source: io::Error) -> DeviceError {
        DeviceError::from_io(&self.device, "reading the FIFO", source)
    }

    /// Reads one byte of the line or as much of the pixels as there is. Zero bytes mean no writer, nothing means no data.
    fn read(&mut self, pixels: bool) -> Result<Option<usize>, DeviceError> {
        let mut byte = [0];
        let read = self.fifo.read(if pixels { &mut self.pixels[self.filled..] } else { &mut byte });
        match read {
            Ok(count) if pixels => self.filled += count,
            Ok(count) => self.line.extend(&byte[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(None);
            }
            Err(error) => return Err(self.failed(error)),
        }
        if self.line.len() > LONGEST_LINE as usize {
            return Err(unsupported(&self.device, "it does not give Y4M"));
        }
        read.map(Some).map_err(|source| self.failed(source))
    }

    /// Reads a whole line before `limit`; false when there was none.
    fn read_line(&mut self, limit: Monotonic) -> Result<bool, DeviceError> {
        while !self.line.ends_with(b"\n") {
            let read = self.read(false)?;
            if read == Some(1) {
                continue;
            }
            if Monotonic::now() >= limit {
                return Ok(false);
            }
            if read.is_none() {
                self.wait(limit)?;
            } else {
                self.line.clear();
                sleep_until((Monotonic::now() + FIFO_NAP).min(limit));
            }
        }
        Ok(true)
    }

    /// Reads what there is, to the end of the next frame at most.
    fn advance(&mut self) -> Result<Progress, DeviceError> {
        loop {
            let line_done = self.line.ends_with(b"\n");
            if line_done && !self.line.starts_with(b"FRAME") {
                // A new writer begins with a header of its own.
                self.take_header()?;
                continue;
            }
            if line_done && self.filled == self.pixels.len() {
                std::mem::swap(&mut self.pixels, &mut self.newest);
                self.line.clear();
                self.filled = 0;
                return Ok(Progress::Frame);
            }
            match self.read(line_done)? {
                None => return Ok(Progress::Empty),
                Some(0) => {
                    // The writer left; half a frame of it is worth nothing.
                    self.line.clear();
                    self.filled = 0;
                    return Ok(Progress::NoWriter);
                }
                Some(_) => {}
            }
        }
    }
}

impl Camera for FifoCamera {
    fn format(&self) -> CameraFormat {
        self.header.format()
    }

    fn next(&mut self, timeout: Duration) -> Result<Option<Captured<'_>>, DeviceError> {
        still_there(&self.device, &self.fifo)?;
        let limit = Monotonic::now() + timeout;
        let mut taken = None;
        let mut skipped = 0;
        while skipped < FIFO_SKIP {
            match self.advance()? {
                // There may be a newer one behind it.
                Progress::Frame => {
                    taken = Some(Monotonic::now());
                    skipped += 1;
                }
                _ if taken.is_some() => break,
                _ if Monotonic::now() >= limit => return Ok(None),
                Progress::Empty => {
                    self.wait(limit)?;
                }
                Progress::NoWriter => sleep_until((Monotonic::now() + FIFO_NAP).min(limit)),
            }
        }
        Ok(taken.map(|taken| self.header.captured(&self.newest, taken)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::bar;
    use crate::picture::PictureBuffer;

    const HEADER: &[u8] = b"YUV4MPEG2 W160 H120 F50:1 Ip A1:1 C420jpeg\n";

    proptest! {
        #[test]
        fn no_header_makes_it_panic(fields in proptest::collection::vec("[WHFICAX]?[0-9:a-zé-]{0,22}", 0..8), any in ".*") {
            let _ = Header::parse(&any);
            if let Ok(header) = Header::parse(&format!("YUV4MPEG2 {}", fields.join(" "))) {
                let pixels = vec![0; header.frame_bytes().min(1 << 20)];
                if pixels.len() == header.frame_bytes() {
                    let picture = header.picture(&pixels);
                    prop_assert!(picture.width.is_multiple_of(2) && picture.height.is_multiple_of(2));
                }
                prop_assert!(header.format().fps > 0.0 && header.format().fps <= 240.0);
            }
        }

        #[test]
        fn a_written_header_is_read_back(width in 2_usize..=8192, height in 2_usize..=8192, fps in 1_u32..=240) {
            let header = Header::parse(&format!("YUV4MPEG2 W{width} H{height} F{fps}:1 C420jpeg"));
            prop_assert_eq!(header, Ok(Header { width, height, rate: (fps, 1) }));
        }
    }

    fn frame(counter: u16, width: usize, height: usize) -> Vec<u8> {
        let mut picture = PictureBuffer::new(width, height);
        bar::draw(picture.planes_mut(), width, counter, Monotonic::from_millis(0));
        [b"FRAME\n", picture.bytes()].concat()
    }

    fn clip(directory: &TempDir, counters: std::ops::Range<u16>) -> PathBuf {
        let path = directory.path().join("clip.y4m");
        let frames = counters.flat_map(|counter| frame(counter, 160, 120));
        std::fs::write(&path, HEADER.iter().copied().chain(frames).collect::<Vec<_>>()).unwrap();
        path
    }

    fn counter_of(captured: &Captured<'_>) -> u16 {
        let Pixels::I420(picture) = captured.pixels else { panic!("not I420") };
        bar::read(picture.y.data, picture.width, picture.y.stride).expect("an intact bar").0
    }

    #[test]
    fn headers_are_understood_or_refused_with_a_reason() {
        let good = Header { width: 640, height: 480, rate: (30000, 1001) };
        assert_eq!(Header::parse("YUV4MPEG2 W640 H480 F30000:1001 Ip A1:1 C420mpeg2 XYSCSS=420MPEG2"), Ok(good));
        assert_eq!(Header::parse("YUV4MPEG2 W2 H2").unwrap().rate, (30, 1), "no rate, and no colour: 4:2:0");
        assert_eq!(Header::parse("YUV4MPEG2 W2 H2 F0:0").unwrap().rate, (30, 1));
        let odd = Header { width: 5, height: 3, rate: (30, 1) };
        assert_eq!((odd.frame_bytes(), odd.format().width, odd.format().height), (15 + 2 * 6, 4, 2));
        for (line, reason) in [
            ("RIFF", "no Y4M"),
            ("YUV4MPEG2 W640", "640x0"),
            ("YUV4MPEG2 Wx H480", "Wx"),
            ("YUV4MPEG2 W640 H480 C444", "convert it to 8-bit 4:2:0"),
            ("YUV4MPEG2 W640 H480 C420p10", "420p10"),
            ("YUV4MPEG2 W640 H480 F1000:1", "F1000:1"),
            ("YUV4MPEG2 W99999 H480", "99999x480"),
        ] {
            let error = Header::parse(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn a_file_is_looped_in_real_time() {
        let directory = TempDir::new().unwrap();
        let mut camera = open("file:clip", &clip(&directory, 10..14)).unwrap();
        assert_eq!(camera.format(), CameraFormat { pixels: PixelFormat::I420, width: 160, height: 120, fps: 50.0 });
        let mut seen = Vec::new();
        let begin = Monotonic::now();
        for _ in 0..10 {
            let captured = camera.next(Duration::from_secs(1)).unwrap().unwrap();
            seen.push(counter_of(&captured));
        }
        assert_eq!(seen, [10, 11, 12, 13, 10, 11, 12, 13, 10, 11]);
        assert!(Monotonic::now().since(begin) >= Duration::from_millis(170), "9 periods of 20 ms");
        assert!(camera.next(Duration::ZERO).unwrap().is_none());
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("bad.y4m");
        for (bytes, reason) in [
            (&b""[..], "no Y4M header"),
            (b"hello\n", "no Y4M"),
            (HEADER, "no complete picture"),
            (b"YUV4MPEG2 W160 H120\nFRAME\nshort", "no complete picture"),
            (b"YUV4MPEG2 W160 H120\nNOISE\n", "FRAME"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = open("file:bad", &path).map(drop).unwrap_err();
            assert!(error.to_string().contains(reason) && error.code() == 1_006_001, "{error}");
        }
        let error = open("file:none", &directory.path().join("none.y4m")).map(drop).unwrap_err();
        assert_eq!(error.code(), 1_006_002, "{error}");
    }

    fn fifo(directory: &TempDir) -> PathBuf {
        let path = directory.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        path
    }

    #[test]
    fn a_fifo_gives_every_picture_as_it_comes_and_the_next_writer_may_differ() {
        let directory = TempDir::new().unwrap();
        let path = fifo(&directory);
        let (ask, asked) = std::sync::mpsc::channel::<()>();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || {
                let mut out = File::options().write(true).open(&path).unwrap();
                out.write_all(HEADER).unwrap();
                for counter in 0..10 {
                    out.write_all(&frame(counter, 160, 120)).unwrap();
                    asked.recv().unwrap();
                }
                // Half a picture, then gone.
                out.write_all(&frame(99, 160, 120)[..5_000]).unwrap();
                drop(out);
                asked.recv().unwrap();
                let mut out = File::options().write(true).open(&path).unwrap();
                out.write_all(b"YUV4MPEG2 W80 H64 F5:1\n").unwrap();
                out.write_all(&frame(500, 80, 64)).unwrap();
                asked.recv().unwrap();
            }
        });
        let mut camera = open("file:fifo", &path).unwrap();
        for expected in 0..10 {
            let before = Monotonic::now();
            let captured = camera.next(Duration::from_secs(5)).unwrap().expect("a picture");
            assert_eq!((counter_of(&captured), captured.width), (expected, 160));
            assert!(captured.captured_at >= before, "it was taken when it was read");
            ask.send(()).unwrap();
        }
        assert!(camera.next(Duration::from_millis(50)).unwrap().is_none(), "the writer is gone");
        ask.send(()).unwrap();
        let captured = camera.next(Duration::from_secs(5)).unwrap().expect("a picture of the next writer");
        assert_eq!((counter_of(&captured), captured.width, captured.height), (500, 80, 64));
        ask.send(()).unwrap();
        writer.join().unwrap();
    }

    #[test]
    fn of_several_waiting_pictures_the_newest_counts() {
        let directory = TempDir::new().unwrap();
        let path = fifo(&directory);
        let both = File::options().read(true).write(true).open(&path).unwrap();
        (&both).write_all(b"YUV4MPEG2 W64 H48 F30:1\n").unwrap();
        let mut camera = open("file:fifo", &path).unwrap();
        for counter in 0..4 {
            (&both).write_all(&frame(counter, 64, 48)).unwrap();
        }
        assert_eq!(counter_of(&camera.next(Duration::from_secs(1)).unwrap().unwrap()), 3);
        assert!(camera.next(Duration::ZERO).unwrap().is_none());
    }
}
