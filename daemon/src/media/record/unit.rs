//! Pictures as a movie holds them: what an encoder or a sender gave, brought into the form of a sample.

use super::format::VideoFormat;
use crate::devices::camera::sps;
use crate::media::rtp::h264::{AUD, IDR, PPS, SPS};

const TYPE: u8 = 0x1f;

/// An H.264 access unit, collected NAL unit by NAL unit.
#[derive(Clone, Debug, Default)]
pub struct AccessUnit {
    /// The units, each behind its length (ISO/IEC 14496-15 section 5.3.2).
    bytes: Vec<u8>,
    sps: Option<Vec<u8>>,
    pps: Option<Vec<u8>>,
    key: bool,
}

impl AccessUnit {
    /// Adds a NAL unit without its start code.
    pub fn push(&mut self, nal: &[u8]) {
        let Some(header) = nal.first() else { return };
        match header & TYPE {
            // Samples are delimited already.
            AUD => return,
            SPS => self.sps = Some(nal.to_vec()),
            PPS => self.pps = Some(nal.to_vec()),
            IDR => self.key = true,
            _ => {}
        }
        put_unit(&mut self.bytes, nal);
    }
}

fn put_unit(bytes: &mut Vec<u8>, nal: &[u8]) {
    // A picture is far below 4 GiB.
    bytes.extend((nal.len() as u32).to_be_bytes());
    bytes.extend(nal);
}

/// The parameter sets of a stream, kept for key frames that come without them.
#[derive(Debug, Default)]
pub(super) struct ParameterSets {
    sps: Vec<u8>,
    pps: Vec<u8>,
}

impl ParameterSets {
    /// The bytes of a sample; of a key frame its format, too, and its parameter sets in front. `None` for a key frame that
    /// nobody can decode.
    pub(super) fn complete(&mut self, unit: AccessUnit) -> Option<(Vec<u8>, Option<VideoFormat>)> {
        let has_both = unit.sps.is_some() && unit.pps.is_some();
        if let Some(sps) = unit.sps {
            self.sps = sps;
        }
        if let Some(pps) = unit.pps {
            self.pps = pps;
        }
        if !unit.key {
            return Some((unit.bytes, None));
        }
        let size = sps::size(&self.sps)?;
        if self.pps.is_empty() {
            return None;
        }
        let mut bytes = unit.bytes;
        if !has_both {
            let mut whole = Vec::with_capacity(bytes.len() + self.sps.len() + self.pps.len() + 8);
            put_unit(&mut whole, &self.sps);
            put_unit(&mut whole, &self.pps);
            whole.extend(bytes);
            bytes = whole;
        }
        let format = VideoFormat::Avc {
            sps: self.sps.clone(),
            pps: self.pps.clone(),
            width: u16::try_from(size.width).ok()?,
            height: u16::try_from(size.height).ok()?,
        };
        Some((bytes, Some(format)))
    }
}

/// The format of a VP8 frame that is a key frame, RFC 6386 section 9.1.
pub(super) fn vp8_format(frame: &[u8]) -> Option<VideoFormat> {
    let [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = frame else { return None };
    // The two highest bits of each say how to scale.
    let size = |low: &u8, high: &u8| u16::from_le_bytes([*low, *high]) & 0x3fff;
    (tag & 1 == 0).then(|| VideoFormat::Vp8 { width: size(w0, w1), height: size(h0, h1) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::media::codec::test_pictures::moving;
    use crate::media::codec::{H264Encoder, H264Settings};

    fn encoded(frames: u64) -> Vec<Vec<Vec<u8>>> {
        let settings = H264Settings { bits_per_second: 500_000, fps: 30.0, key_frame_period: 0 };
        let mut encoder = H264Encoder::new(settings).unwrap();
        (0..frames)
            .map(|frame| {
                let at = Monotonic::from_millis(1000 + frame * 33);
                let mut nals = Vec::new();
                let picture = moving(320, 240, frame);
                encoder.encode(&picture.picture(), at, false).unwrap().for_each_nal(|nal| nals.push(nal.to_vec()));
                nals
            })
            .collect()
    }

    fn unit(nals: &[Vec<u8>]) -> AccessUnit {
        let mut unit = AccessUnit::default();
        nals.iter().for_each(|nal| unit.push(nal));
        unit
    }

    #[test]
    fn a_key_frame_brings_its_format_and_the_others_none() {
        let frames = encoded(2);
        let mut sets = ParameterSets::default();
        let (bytes, format) = sets.complete(unit(&frames[0])).unwrap();
        assert_eq!(format.unwrap().size(), (320, 240));
        assert_eq!(bytes[..4], (frames[0][0].len() as u32).to_be_bytes());
        assert_eq!(bytes.len(), frames[0].iter().map(|nal| nal.len() + 4).sum::<usize>());
        let (_, format) = sets.complete(unit(&frames[1])).unwrap();
        assert_eq!(format, None);
    }

    #[test]
    fn a_key_frame_without_parameter_sets_gets_those_before_it() {
        let frames = encoded(1);
        let mut sets = ParameterSets::default();
        let whole = sets.complete(unit(&frames[0])).unwrap();
        let slices: Vec<Vec<u8>> = frames[0].iter().filter(|nal| nal[0] & TYPE == IDR).cloned().collect();
        assert_eq!(sets.complete(unit(&slices)).unwrap(), whole);
        assert!(ParameterSets::default().complete(unit(&slices)).is_none(), "nobody can decode it");
    }

    #[test]
    fn delimiters_are_left_out() {
        let mut unit = AccessUnit::default();
        unit.push(&[0x09, 0xf0]);
        unit.push(&[0x41, 1, 2]);
        assert_eq!(unit.bytes, [0, 0, 0, 3, 0x41, 1, 2]);
    }

    #[test]
    fn a_vp8_key_frame_tells_its_size() {
        let frame = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0xe0, 0x01, 0];
        assert_eq!(vp8_format(&frame), Some(VideoFormat::Vp8 { width: 640, height: 480 }));
        assert_eq!(vp8_format(&[0x11, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01, 0]), None);
        assert_eq!(vp8_format(&frame[..8]), None);
    }
}
