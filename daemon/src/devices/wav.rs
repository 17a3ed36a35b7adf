//! WAV files: finding the samples in one, and writing the header of one.

use std::io::{self, Read, Seek, SeekFrom};

/// Bytes of a header that [`header`] writes.
pub(super) const HEADER_BYTES: usize = 44;
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xfffe;

/// How a sample is stored, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    U8,
    S16,
    S24,
    S32,
    F32,
}

impl Encoding {
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
        }
    }

    /// One sample on the scale of 16 bits. `bytes` has the encoding's length.
    pub(super) fn sample(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::U8, &[a]) => (f32::from(a) - 128.0) * 256.0,
            (Self::S16, &[a, b]) => f32::from(i16::from_le_bytes([a, b])),
            (Self::S24, &[a, b, c]) => i32::from_le_bytes([0, a, b, c]) as f32 / 65536.0,
            (Self::S32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]) as f32 / 65536.0,
            (Self::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]) * 32768.0,
            _ => 0.0,
        }
    }
}

/// Where the samples of a file are, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Samples {
    pub(super) encoding: Encoding,
    pub(super) rate: u32,
    pub(super) channels: usize,
    /// Offset of the first sample.
    pub(super) start: u64,
    /// Length in bytes, whole frames only.
    pub(super) length: u64,
}

/// Reads the chunks of a RIFF WAVE file up to its samples.
pub(super) fn find_samples(file: &mut (impl Read + Seek)) -> Result<Samples, String> {
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends before its samples begin".to_owned(),
        _ => format!("it cannot be read: {error}"),
    };
    let mut riff = [0; 12];
    file.read_exact(&mut riff).map_err(|_| "it is no WAV file: its RIFF header is missing")?;
    if &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
        return Err("it is no WAV file: its RIFF header is missing".to_owned());
    }
    let mut format = None;
    loop {
        let mut chunk = [0; 8];
        file.read_exact(&mut chunk).map_err(io)?;
        let size = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        match &chunk[..4] {
            b"fmt " if (16..=1024).contains(&size) => {
                let mut body = vec![0; size.next_multiple_of(2) as usize];
                file.read_exact(&mut body).map_err(io)?;
                format = Some(parse_format(&body)?);
            }
            b"data" => {
                let (encoding, channels, rate) = format.ok_or("its samples come before their description")?;
                let start = file.stream_position().map_err(io)?;
                // A size of 0 or of all ones is what a writer leaves that never came to its end.
                let rest = file.seek(SeekFrom::End(0)).map_err(io)?.saturating_sub(start);
                let length = if size == 0 || size == u32::MAX { rest } else { rest.min(u64::from(size)) };
                let length = length - length % (encoding.bytes() * channels) as u64;
                if length == 0 {
                    return Err("it has no samples".to_owned());
                }
                return Ok(Samples { encoding, rate, channels, start, length });
            }
            _ => {
                // Chunks begin at even offsets.
                file.seek_relative(i64::from(size) + i64::from(size % 2)).map_err(io)?;
            }
        }
    }
}

fn parse_format(body: &[u8]) -> Result<(Encoding, usize, u32), String> {
    let u16_at = |at: usize| u16::from_le_bytes([body[at], body[at + 1]]);
    let rate = u32::from_le_bytes([body[4], body[5], body[6], body[7]]);
    let (mut kind, channels, bits) = (u16_at(0), u16_at(2), u16_at(14));
    if kind == EXTENSIBLE && body.len() >= 26 {
        kind = u16_at(24);
    }
    let encoding = match (kind, bits) {
        (PCM, 8) => Encoding::U8,
        (PCM, 16) => Encoding::S16,
        (PCM, 24) => Encoding::S24,
        (PCM, 32) => Encoding::S32,
        (FLOAT, 32) => Encoding::F32,
        _ => return Err(format!("its samples are of kind {kind} with {bits} bits: convert it to 16-bit PCM")),
    };
    if !(1..=32).contains(&channels) || !(1_000..=384_000).contains(&rate) {
        return Err(format!("it has {channels} channels at {rate} Hz: convert it to 48000 Hz, mono or stereo"));
    }
    Ok((encoding, usize::from(channels), rate))
}

/// The header of a file with `bytes` bytes of 16-bit samples of so many channels at `rate` Hz.
pub(super) fn header(rate: u32, channels: u8, bytes: u32) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&(bytes + 36).to_le_bytes());
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16] = 16;
    header[20] = PCM as u8;
    header[22] = channels;
    header[24..28].copy_from_slice(&rate.to_le_bytes());
    header[28..32].copy_from_slice(&(rate * 2 * u32::from(channels)).to_le_bytes());
    header[32] = 2 * channels;
    header[34] = 16;
    header[36..40].copy_from_slice(b"data");
    header[40..].copy_from_slice(&bytes.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn file(
        kind: u16,
        channels: u16,
        rate: u32,
        bits: u16,
        extra: &[u8],
        data: &[u8],
        data_size: u32,
    ) -> Cursor<Vec<u8>> {
        let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
        bytes.extend(b"LIST\x03\0\0\0abc\0");
        bytes.extend(b"fmt ");
        bytes.extend((16 + extra.len() as u32).to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(channels.to_le_bytes());
        bytes.extend(rate.to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend(bits.to_le_bytes());
        bytes.extend(extra);
        bytes.extend(b"data");
        bytes.extend(data_size.to_le_bytes());
        bytes.extend(data);
        Cursor::new(bytes)
    }

    #[test]
    fn samples_are_found_behind_other_chunks() {
        let found = find_samples(&mut file(1, 2, 44_100, 16, &[], &[0; 11], 11)).unwrap();
        let start = 12 + 12 + 24 + 8;
        assert_eq!(found, Samples { encoding: Encoding::S16, rate: 44_100, channels: 2, start, length: 8 });
        // An unfinished file: its size was never written.
        assert_eq!(find_samples(&mut file(1, 1, 48_000, 16, &[], &[0; 10], u32::MAX)).unwrap().length, 10);
        assert_eq!(find_samples(&mut file(1, 1, 48_000, 16, &[], &[0; 10], 0)).unwrap().length, 10);
        let mut extra = vec![22, 0, 16, 0, 4, 0, 0, 0];
        extra.extend(3_u16.to_le_bytes());
        extra.extend([0; 14]);
        assert_eq!(
            find_samples(&mut file(EXTENSIBLE, 1, 48_000, 32, &extra, &[0; 8], 8)).unwrap().encoding,
            Encoding::F32
        );
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_a_reason() {
        for (mut bytes, reason) in [
            (Cursor::new(b"hello".to_vec()), "no WAV"),
            (Cursor::new(b"RIFF\0\0\0\0AVI \0\0\0\0".to_vec()), "no WAV"),
            (Cursor::new(b"RIFF\0\0\0\0WAVE".to_vec()), "ends before"),
            (Cursor::new(b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd".to_vec()), "before their description"),
            (file(1, 1, 48_000, 16, &[], &[], 0), "no samples"),
            (file(6, 1, 8_000, 8, &[], &[0; 8], 8), "kind 6 with 8 bits"),
            (file(1, 0, 48_000, 16, &[], &[0; 8], 8), "0 channels"),
        ] {
            let error = find_samples(&mut bytes).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    /// Found by the property below: making the size even overflowed.
    #[test]
    fn a_chunk_of_the_largest_size_is_passed_over() {
        let bytes = b"RIFF\0\0\0\0WAVELIST\xff\xff\xff\xffabc".to_vec();
        assert!(find_samples(&mut Cursor::new(bytes)).unwrap_err().contains("ends before"));
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(
            chunks in proptest::collection::vec(
                (
                    prop_oneof![Just(*b"fmt "), Just(*b"data"), Just(*b"LIST"), any::<[u8; 4]>()],
                    prop_oneof![0_u32..64, Just(u32::MAX), any::<u32>()],
                    proptest::collection::vec(any::<u8>(), 0..64),
                ),
                0..6,
            ),
        ) {
            let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
            for (name, size, body) in chunks {
                bytes.extend(name);
                bytes.extend(size.to_le_bytes());
                bytes.extend(body);
            }
            let whole = bytes.len() as u64;
            if let Ok(found) = find_samples(&mut Cursor::new(bytes)) {
                prop_assert!(found.length > 0 && found.start + found.length <= whole);
                prop_assert_eq!(found.length % (found.encoding.bytes() * found.channels) as u64, 0);
            }
        }
    }

    #[test]
    fn every_encoding_comes_to_the_same_scale() {
        for (encoding, bytes) in [
            (Encoding::U8, &[192][..]),
            (Encoding::S16, &[0, 0x40]),
            (Encoding::S24, &[0, 0, 0x40]),
            (Encoding::S32, &[0, 0, 0, 0x40]),
            (Encoding::F32, &0.5_f32.to_le_bytes()),
        ] {
            assert_eq!(bytes.len(), encoding.bytes());
            assert_eq!(encoding.sample(bytes), 16384.0, "{encoding:?}");
        }
        assert_eq!(Encoding::S24.sample(&[0, 0, 0x80]), -32768.0);
    }

    #[test]
    fn a_written_header_reads_back() {
        for channels in [1_u8, 2] {
            let mut bytes = header(48_000, channels, 8).to_vec();
            assert_eq!(bytes[28..32], (96_000 * u32::from(channels)).to_le_bytes(), "bytes a second");
            assert_eq!(bytes[32], 2 * channels, "bytes of a sample of each channel");
            bytes.extend([1; 8]);
            let found = find_samples(&mut Cursor::new(bytes)).unwrap();
            let channels = usize::from(channels);
            assert_eq!(found, Samples { encoding: Encoding::S16, rate: 48_000, channels, start: 44, length: 8 });
        }
    }
}
