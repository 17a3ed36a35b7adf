//! YUV4MPEG2 ("Y4M"), the 4:2:0 kind: a header line, then for each frame a line `FRAME…` and the three planes.

use std::io::{self, BufRead, ErrorKind, Read, Write};

/// Size and rate of a Y4M stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels, even.
    pub width: usize,
    /// Height in pixels, even.
    pub height: usize,
    /// Frames per second: numerator and denominator.
    pub rate: (u32, u32),
}

/// The line before each frame.
pub const FRAME: &[u8] = b"FRAME\n";

impl Header {
    /// Bytes of one I420 frame.
    #[must_use]
    pub const fn frame_size(&self) -> usize {
        self.width * self.height * 3 / 2
    }

    /// The header line.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { width, height, rate: (frames, seconds) } = self;
        format!("YUV4MPEG2 W{width} H{height} F{frames}:{seconds} Ip A1:1 C420jpeg\n")
    }

    /// Reads a header line.
    ///
    /// # Errors
    /// `InvalidData` when it is not Y4M, not 4:2:0 or has an odd size.
    pub fn read(input: &mut impl BufRead) -> io::Result<Self> {
        let mut line = String::new();
        input.take(512).read_line(&mut line)?;
        Self::parse(line.trim_end()).ok_or_else(|| invalid(&format!("not a 4:2:0 Y4M header: {:?}", line.trim_end())))
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (mut width, mut height, mut rate) = (0, 0, (30, 1));
        if words.next() != Some("YUV4MPEG2") {
            return None;
        }
        for word in words.filter(|word| !word.is_empty()) {
            let (tag, value) = word.split_at(1);
            match tag {
                "W" => width = value.parse().ok()?,
                "H" => height = value.parse().ok()?,
                "F" => {
                    let (frames, seconds) = value.split_once(':')?;
                    rate = (frames.parse().ok()?, seconds.parse().ok()?);
                }
                "C" if !value.starts_with("420") => return None,
                _ => {}
            }
        }
        (width > 0 && height > 0 && width % 2 == 0 && height % 2 == 0).then_some(Self { width, height, rate })
    }
}

/// Writes a Y4M stream.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(mut output: W, header: &Header) -> io::Result<Self> {
        output.write_all(header.line().as_bytes())?;
        Ok(Self { output })
    }

    /// Writes one frame: the bytes of its three planes, in one go with the line before it.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write(&mut self, planes: &[&[u8]]) -> io::Result<()> {
        self.output.write_all(FRAME)?;
        for plane in planes {
            self.output.write_all(plane)?;
        }
        self.output.flush()
    }
}

/// Reads a Y4M stream.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// Those of the input, and `InvalidData` (see [`Header::read`]).
    pub fn new(mut input: R) -> io::Result<Self> {
        let header = Header::read(&mut input)?;
        Ok(Self { input, header })
    }

    /// Size and rate.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the next frame into `frame`, which takes its size; false at the end of the stream.
    ///
    /// # Errors
    /// Those of the input, and `InvalidData` where no frame begins.
    pub fn read(&mut self, frame: &mut Vec<u8>) -> io::Result<bool> {
        let mut line = Vec::with_capacity(64);
        (&mut self.input).take(256).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(false);
        }
        if !line.starts_with(b"FRAME") || !line.ends_with(b"\n") {
            return Err(invalid("a frame does not begin with FRAME"));
        }
        frame.resize(self.header.frame_size(), 0);
        match self.input.read_exact(frame) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            other => other.map(|()| true),
        }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let header = Header { width: 4, height: 2, rate: (30, 1) };
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, &header).expect("writes to memory");
        writer.write(&[&[1; 8], &[2; 2], &[3; 2]]).expect("writes to memory");
        writer.write(&[&[4; 12]]).expect("writes to memory");
        let mut reader = Reader::new(bytes.as_slice()).expect("a header");
        assert_eq!(*reader.header(), header);
        let mut frame = Vec::new();
        assert!(reader.read(&mut frame).expect("a frame"));
        assert_eq!(frame, [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 3]);
        assert!(reader.read(&mut frame).expect("a frame"));
        assert!(!reader.read(&mut frame).expect("the end"));
    }

    #[test]
    fn other_streams_are_refused() {
        for line in ["RIFF", "YUV4MPEG2 W4 H2 C444", "YUV4MPEG2 W3 H2", "YUV4MPEG2 H2", "YUV4MPEG2 W4 H2 F30"] {
            assert!(Header::parse(line).is_none(), "{line}");
        }
    }
}
