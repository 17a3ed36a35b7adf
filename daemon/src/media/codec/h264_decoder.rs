//! H.264 decoding with OpenH264.

use openh264::OpenH264API;
use openh264::decoder::{DecodeOptions, Decoder, DecoderConfig, Flush};
use openh264::formats::YUVSource;

use super::CodecError;
use crate::picture::{Picture, Plane};

/// A decoder without error concealment: it gives the picture as it was encoded, or an error.
pub struct H264Decoder {
    decoder: Decoder,
}

impl H264Decoder {
    /// A decoder that waits for a key frame.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn new() -> Result<Self, CodecError> {
        // Flushing would ask for pictures held back for reordering: real-time H.264 has none.
        let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        let decoder = Decoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(|error| CodecError::Create { codec: "H.264", reason: error.to_string() })?;
        Ok(Self { decoder })
    }

    /// Decodes one access unit in Annex B and lends its picture, if there is one, to `show`, straight from the decoder's planes.
    ///
    /// # Errors
    /// [`CodecError::Decode`]: the unit is damaged or refers to pictures that are missing. Go on with a key frame.
    pub fn decode(&mut self, access_unit: &[u8], show: impl FnOnce(&Picture<'_>)) -> Result<(), CodecError> {
        let decoded = self
            .decoder
            .decode_with_options(access_unit, DecodeOptions::new())
            .map_err(|error| CodecError::Decode { codec: "H.264", reason: error.to_string() })?;
        if let Some(yuv) = decoded {
            let (width, height) = yuv.dimensions();
            let (y, u, v) = yuv.strides();
            show(&Picture {
                width: width & !1,
                height: height & !1,
                y: Plane { data: yuv.y(), stride: y },
                u: Plane { data: yuv.u(), stride: u },
                v: Plane { data: yuv.v(), stride: v },
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_an_error_or_nothing_but_never_a_picture() {
        let mut decoder = H264Decoder::new().expect("decoder");
        let mut noise = vec![0, 0, 0, 1, 0x65];
        noise.extend((0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8));
        let result = decoder.decode(&noise, |_| panic!("a picture of noise"));
        assert!(result.is_err(), "a slice without parameter sets");
    }
}
