//! H.264 encoding with OpenH264.

#![allow(unsafe_code)] // what the crate's safe interface cannot do: change the bit rate, keep quiet, give the units without copying

use std::ffi::c_int;

use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, EncodedBitStream, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile,
    RateControlMode, UsageType,
};
use openh264::formats::YUVSource;
use openh264_sys2::{
    ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_MAX_BITRATE, ENCODER_OPTION_TRACE_LEVEL, SBitrateInfo,
    SPATIAL_LAYER_ALL, WELS_LOG_QUIET,
};

use super::CodecError;
use crate::clock::Monotonic;
use crate::picture::Picture;

/// How to encode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct H264Settings {
    /// Bits per second.
    pub bits_per_second: u32,
    /// Pictures per second that will come, which the rate control divides the bits by.
    pub fps: f32,
    /// Pictures from one unasked key frame to the next; 0 = only the first one. Key frames cost quality, and who needs one asks.
    pub key_frame_period: u32,
}

/// An encoder of constrained baseline H.264 (what `42e01f` announces): one slice, one reference, SPS and PPS before every key frame.
pub struct H264Encoder {
    encoder: Encoder,
    bits_per_second: u32,
    /// The library takes a new bit rate only once it is initialised, which the first picture does.
    started: bool,
    wanted: u32,
}

impl H264Encoder {
    /// An encoder for pictures of any size; the first one is a key frame.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn new(settings: H264Settings) -> Result<Self, CodecError> {
        // Low complexity is the front of quality per CPU here. A second thread does nothing for one slice. Frame skipping would
        // tear holes that look like loss, and scene change detection would add key frames that nobody needs.
        let config = EncoderConfig::new()
            .bitrate(BitRate::from_bps(settings.bits_per_second))
            .max_frame_rate(FrameRate::from_hz(settings.fps))
            .usage_type(UsageType::CameraVideoRealTime)
            .rate_control_mode(RateControlMode::Bitrate)
            .complexity(Complexity::Low)
            .num_threads(1)
            .skip_frames(false)
            .scene_change_detect(false)
            .profile(Profile::Baseline)
            .intra_frame_period(IntraFramePeriod::from_num_frames(settings.key_frame_period));
        let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(|error| CodecError::Create { codec: "H.264", reason: error.to_string() })?;
        // Else the library warns on stderr, each time, that frames are not skipped; the crate silences it only after that.
        let mut quiet = WELS_LOG_QUIET;
        // SAFETY: the option takes a pointer to a c_int, which outlives the call, and may be set before the initialisation.
        unsafe { encoder.raw_api().set_option(ENCODER_OPTION_TRACE_LEVEL, (&raw mut quiet).cast()) };
        let rate = settings.bits_per_second;
        Ok(Self { encoder, bits_per_second: rate, started: false, wanted: rate })
    }

    /// Encodes one picture. `key` makes it a key frame. The result borrows the library's own buffer.
    ///
    /// # Errors
    /// [`CodecError::Encode`], for example for a picture over 3840x2160.
    pub fn encode(
        &mut self,
        picture: &Picture<'_>,
        captured_at: Monotonic,
        key: bool,
    ) -> Result<EncodedPicture<'_>, CodecError> {
        if self.started && self.wanted != self.bits_per_second {
            self.apply_bit_rate();
        }
        if self.started && key {
            self.encoder.force_intra_frame();
        }
        self.started = true;
        let time = openh264::Timestamp::from_millis(captured_at.as_millis());
        let stream = self
            .encoder
            .encode_at(&Planes(picture), time)
            .map_err(|error| CodecError::Encode { codec: "H.264", reason: error.to_string() })?;
        Ok(EncodedPicture { stream })
    }

    /// Changes the bit rate from the next picture on, without a key frame.
    pub const fn set_bit_rate(&mut self, bits_per_second: u32) {
        self.wanted = bits_per_second;
    }

    fn apply_bit_rate(&mut self) {
        let mut rate =
            SBitrateInfo { iLayer: SPATIAL_LAYER_ALL, iBitrate: c_int::try_from(self.wanted).unwrap_or(c_int::MAX) };
        // The target may never be above the maximum, so the order depends on the direction.
        let order: [ENCODER_OPTION; 2] = if self.wanted > self.bits_per_second {
            [ENCODER_OPTION_MAX_BITRATE, ENCODER_OPTION_BITRATE]
        } else {
            [ENCODER_OPTION_BITRATE, ENCODER_OPTION_MAX_BITRATE]
        };
        for option in order {
            // SAFETY: both options take a pointer to an SBitrateInfo, which outlives the call; the encoder is initialised.
            let result = unsafe { self.encoder.raw_api().set_option(option, (&raw mut rate).cast()) };
            if result != 0 {
                log::warn!("the H.264 encoder did not take {} bit/s (option {option}: {result})", self.wanted);
            }
        }
        self.bits_per_second = self.wanted;
    }
}

/// One encoded picture, in the encoder's own buffer.
pub struct EncodedPicture<'a> {
    stream: EncodedBitStream<'a>,
}

impl EncodedPicture<'_> {
    /// Whether decoding can start with this picture (IDR, RFC 6184 §1.3).
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.stream.frame_type() == FrameType::IDR
    }

    /// Calls `each` with every NAL unit, without its start code, in order.
    pub fn for_each_nal<'s>(&'s self, mut each: impl FnMut(&'s [u8])) {
        // The library's layers are read directly: the crate's accessor would sum up the lengths again for every unit.
        let info = self.stream.raw_info();
        for layer in info.sLayerInfo.iter().take(usize::try_from(info.iLayerNum).unwrap_or(0)) {
            let mut start = 0;
            for index in 0..usize::try_from(layer.iNalCount).unwrap_or(0) {
                // SAFETY: the library filled `iNalCount` lengths, and the units of a layer lie one after the other in its
                // bitstream buffer; both stay as they are until the next call of the encoder, which `self` borrows.
                let nal = unsafe {
                    let length = usize::try_from(*layer.pNalLengthInByte.add(index)).unwrap_or(0);
                    let nal = std::slice::from_raw_parts(layer.pBsBuf.add(start), length);
                    start += length;
                    nal
                };
                each(without_start_code(nal));
            }
        }
    }
}

fn without_start_code(nal: &[u8]) -> &[u8] {
    match nal {
        [0, 0, 0, 1, unit @ ..] | [0, 0, 1, unit @ ..] => unit,
        unit => unit,
    }
}

/// The daemon's picture as the crate wants to see it.
struct Planes<'a>(&'a Picture<'a>);

impl YUVSource for Planes<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.0.width, self.0.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.0.y.stride, self.0.u.stride, self.0.v.stride)
    }

    fn y(&self) -> &[u8] {
        self.0.y.data
    }

    fn u(&self) -> &[u8] {
        self.0.u.data
    }

    fn v(&self) -> &[u8] {
        self.0.v.data
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::media::codec::H264Decoder;
    use crate::media::codec::test_pictures::{moving, psnr};

    const SETTINGS: H264Settings = H264Settings { bits_per_second: 800_000, fps: 30.0, key_frame_period: 0 };

    fn annex_b(picture: &EncodedPicture<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        picture.for_each_nal(|nal| {
            bytes.extend([0, 0, 0, 1]);
            bytes.extend(nal);
        });
        bytes
    }

    fn at(frame: u64) -> Monotonic {
        Monotonic::from_nanos(1_000_000_000 + frame * 33_333_333)
    }

    #[test]
    fn pictures_survive_encoding_and_decoding() {
        let mut encoder = H264Encoder::new(SETTINGS).expect("encoder");
        let mut decoder = H264Decoder::new().expect("decoder");
        for frame in 0..30 {
            let source = moving(640, 480, frame);
            let encoded = annex_b(&encoder.encode(&source.picture(), at(frame), false).expect("encoded"));
            let mut shown = false;
            decoder
                .decode(&encoded, |decoded| {
                    shown = true;
                    let quality = psnr(&source.picture(), decoded);
                    assert!(quality > 33.0, "frame {frame}: {quality:.1} dB");
                })
                .expect("decoded");
            assert!(shown, "frame {frame} came out at once");
        }
    }

    #[test]
    fn key_frames_come_first_and_on_request_only_and_carry_their_parameter_sets() {
        let mut encoder = H264Encoder::new(SETTINGS).expect("encoder");
        for frame in 0..40 {
            // A hard cut at 20 must not make a key frame by itself.
            let source = moving(320, 240, if frame < 20 { frame } else { frame + 5000 });
            let encoded = encoder.encode(&source.picture(), at(frame), frame == 30).expect("encoded");
            let mut types = Vec::new();
            encoded.for_each_nal(|nal| types.push(nal[0] & 31));
            let key = frame == 0 || frame == 30;
            assert_eq!(encoded.is_key(), key, "frame {frame}");
            assert_eq!(types, if key { vec![7, 8, 5] } else { vec![1] }, "frame {frame}");
        }
    }

    #[test]
    fn the_period_makes_key_frames_when_it_is_set() {
        let mut encoder = H264Encoder::new(H264Settings { key_frame_period: 10, ..SETTINGS }).expect("encoder");
        let keys: Vec<u64> = (0..31)
            .filter(|&frame| {
                encoder.encode(&moving(320, 240, frame).picture(), at(frame), false).expect("encoded").is_key()
            })
            .collect();
        assert_eq!(keys, [0, 10, 20, 30]);
    }

    #[test]
    fn the_bit_rate_changes_while_encoding() {
        let mut encoder = H264Encoder::new(SETTINGS).expect("encoder");
        let mut rates = Vec::new();
        for (section, rate) in [800_000, 200_000, 1_600_000].into_iter().enumerate() {
            encoder.set_bit_rate(rate);
            let mut bytes = 0;
            for frame in 0..90 {
                let frame = section as u64 * 90 + frame;
                let encoded = encoder.encode(&moving(640, 480, frame).picture(), at(frame), false).expect("encoded");
                if frame % 90 >= 30 {
                    bytes += annex_b(&encoded).len();
                }
                assert!(frame == 0 || !encoded.is_key(), "a new rate needs no key frame");
            }
            rates.push(bytes as f64 * 8.0 / 2.0);
        }
        assert!((600_000.0..1_000_000.0).contains(&rates[0]), "{rates:?}");
        assert!(rates[1] < 300_000.0, "{rates:?}");
        assert!(rates[2] > rates[0] * 1.4, "{rates:?}");
    }

    #[test]
    fn time_goes_on_between_pictures() {
        assert_eq!(at(3).since(at(0)), Duration::from_nanos(99_999_999));
    }
}
