//! What is recorded: the codecs of a movie's tracks, and what their sample entries say about them.
//!
//! H.264 has its parameter sets in the sample entry and again in front of every key frame: a sender may change them at any
//! time, as browsers do with the network's bit rate, long after the header of a growing file was written.

use bytes::BufMut;

use super::boxes::{put, put_full, put_zeros};

/// Ticks of a video track's time a second.
pub(super) const VIDEO_RATE: u32 = 90_000;
/// Ticks of a sound track's time a second: Opus always counts 48 kHz.
pub(super) const AUDIO_RATE: u32 = 48_000;
/// Samples at 48 kHz that libopus looks ahead: the first ones that its decoder gives are no sound.
const PRE_SKIP: u16 = 312;

/// How pictures are encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoFormat {
    /// H.264.
    Avc {
        /// Sequence parameter set, a NAL unit.
        sps: Vec<u8>,
        /// Picture parameter set, a NAL unit.
        pps: Vec<u8>,
        /// Width in pixels.
        width: u16,
        /// Height in pixels.
        height: u16,
    },
    /// VP8.
    Vp8 {
        /// Width in pixels.
        width: u16,
        /// Height in pixels.
        height: u16,
    },
}

/// What an H.264 track's sample entry is called (ISO/IEC 14496-15 section 5.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AvcLabel {
    /// The sets in the entry serve the whole track. Every player knows it.
    Avc1,
    /// Those in front of a key frame replace them. QuickTime and Safari refuse it.
    Avc3,
}

impl AvcLabel {
    /// The four letters.
    pub(super) const fn letters(self) -> &'static [u8; 4] {
        match self {
            Self::Avc1 => b"avc1",
            Self::Avc3 => b"avc3",
        }
    }
}

impl VideoFormat {
    /// Whether a track of the one can hold pictures of the other.
    pub(super) const fn same_codec(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Avc { .. }, Self::Avc { .. }) | (Self::Vp8 { .. }, Self::Vp8 { .. }))
    }

    /// Width and height in pixels.
    pub(super) const fn size(&self) -> (u16, u16) {
        match self {
            Self::Avc { width, height, .. } | Self::Vp8 { width, height } => (*width, *height),
        }
    }

    /// Whether the sample entry of the one serves pictures of the other.
    pub(super) fn same_sets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Avc { sps, pps, .. }, Self::Avc { sps: other_sps, pps: other_pps, .. }) => {
                sps == other_sps && pps == other_pps
            }
            _ => self.same_codec(other),
        }
    }

    /// Appends the sample entry.
    pub(super) fn put_entry(&self, label: AvcLabel, out: &mut Vec<u8>) {
        match self {
            Self::Avc { sps, pps, .. } => put(out, label.letters(), |out| {
                self.put_visual(out);
                put(out, b"avcC", |out| put_avc_configuration(out, sps, pps));
            }),
            Self::Vp8 { .. } => put(out, b"vp08", |out| {
                self.put_visual(out);
                // "VP Codec ISO Media File Format Binding" section 4.
                put_full(out, b"vpcC", 1, 0, |out| {
                    out.put_slice(&[0, 0, 8 << 4 | 1 << 1, 2, 2, 2]); // 8 bits, 4:2:0, colours unspecified
                    out.put_u16(0);
                });
            }),
        }
    }

    /// A VisualSampleEntry, ISO/IEC 14496-12 section 12.1.3.
    fn put_visual(&self, out: &mut Vec<u8>) {
        let (width, height) = self.size();
        put_zeros(out, 6);
        out.put_u16(1); // data reference
        put_zeros(out, 16);
        out.put_u16(width);
        out.put_u16(height);
        out.put_u32(0x0048_0000); // 72 dpi
        out.put_u32(0x0048_0000);
        put_zeros(out, 4);
        out.put_u16(1); // one picture a sample
        put_zeros(out, 32);
        out.put_u16(0x0018); // colour, no alpha
        out.put_u16(0xffff);
    }
}

/// An AVCDecoderConfigurationRecord, ISO/IEC 14496-15 section 5.3.3.1.
fn put_avc_configuration(out: &mut Vec<u8>, sps: &[u8], pps: &[u8]) {
    let byte = |at: usize| sps.get(at).copied().unwrap_or(0);
    out.put_u8(1);
    out.put_slice(&[byte(1), byte(2), byte(3)]); // profile, its constraints, level
    out.put_u8(0xfc | 3); // lengths of four bytes
    out.put_u8(0xe0 | 1);
    out.put_u16(u16::try_from(sps.len()).unwrap_or(0));
    out.put_slice(sps);
    out.put_u8(1);
    out.put_u16(u16::try_from(pps.len()).unwrap_or(0));
    out.put_slice(pps);
    if matches!(byte(1), 100 | 110 | 122 | 144) {
        out.put_slice(&[0xfc | 1, 0xf8, 0xf8, 0]); // 4:2:0, 8 bits, no extensions
    }
}

/// Appends the sample entry of an Opus track, "Encapsulation of Opus in ISO Base Media File Format" section 4.3.
pub(super) fn put_opus_entry(out: &mut Vec<u8>, channels: u8) {
    put(out, b"Opus", |out| {
        put_zeros(out, 6);
        out.put_u16(1); // data reference
        put_zeros(out, 8);
        out.put_u16(u16::from(channels));
        out.put_u16(16);
        put_zeros(out, 4);
        out.put_u32(AUDIO_RATE << 16);
        put(out, b"dOps", |out| {
            out.put_u8(0);
            out.put_u8(channels);
            out.put_u16(PRE_SKIP);
            out.put_u32(AUDIO_RATE);
            out.put_i16(0); // gain
            out.put_u8(0); // mono or stereo
        });
    });
}

#[cfg(test)]
mod tests {
    use super::super::boxes::list;
    use super::*;

    #[test]
    fn an_avc_entry_carries_size_and_parameter_sets() {
        let format = VideoFormat::Avc { sps: vec![0x67, 66, 0xc0, 31, 9], pps: vec![0x68, 7], width: 640, height: 480 };
        let mut out = Vec::new();
        format.put_entry(AvcLabel::Avc1, &mut out);
        let (name, inside) = list(&out)[0];
        assert_eq!(&name, b"avc1");
        assert_eq!(inside[24..28], [0x02, 0x80, 0x01, 0xe0]);
        let (name, record) = list(&inside[78..])[0];
        assert_eq!(&name, b"avcC");
        assert_eq!(record, [1, 66, 0xc0, 31, 0xff, 0xe1, 0, 5, 0x67, 66, 0xc0, 31, 9, 1, 0, 2, 0x68, 7]);
    }

    #[test]
    fn a_high_profile_says_its_chroma_and_depth() {
        let mut out = Vec::new();
        put_avc_configuration(&mut out, &[0x67, 100, 0, 31], &[0x68]);
        assert!(out.ends_with(&[0x68, 0xfd, 0xf8, 0xf8, 0]), "{out:x?}");
    }

    #[test]
    fn vp8_and_opus_have_their_configuration_boxes() {
        let mut out = Vec::new();
        VideoFormat::Vp8 { width: 320, height: 240 }.put_entry(AvcLabel::Avc1, &mut out);
        assert_eq!(list(&list(&out)[0].1[78..]), [(*b"vpcC", &[1, 0, 0, 0, 0, 0, 0x82, 2, 2, 2, 0, 0][..])]);
        let mut out = Vec::new();
        put_opus_entry(&mut out, 1);
        let inside = list(&out)[0].1;
        assert_eq!(inside[24..28], [0xbb, 0x80, 0, 0], "48000.0");
        assert_eq!(list(&inside[28..]), [(*b"dOps", &[0, 1, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0][..])]);
    }
}
