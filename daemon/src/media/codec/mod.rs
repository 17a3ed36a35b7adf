//! The codecs, one file each: what goes in and out are the daemon's own pictures and frames of sound.

mod h264_decoder;
mod h264_encoder;
mod opus_decoder;
mod opus_encoder;
#[cfg(test)]
pub(crate) mod test_pictures;
mod vp8_decoder;

pub use h264_decoder::H264Decoder;
pub use h264_encoder::{EncodedPicture, H264Encoder, H264Settings};
pub use opus_decoder::OpusDecoder;
pub use opus_encoder::{OpusEncoder, OpusSettings, PACKET_SAMPLES};
pub use vp8_decoder::Vp8Decoder;

use thiserror::Error;

/// A codec's failure. None of them ends a stream: an encoder goes on with the next picture, a decoder with the next key frame.
#[derive(Debug, Error)]
pub enum CodecError {
    /// The library could not make a codec: no memory, or a size that it cannot handle.
    #[error("no {codec} codec for this: {reason}")]
    Create {
        /// Which codec.
        codec: &'static str,
        /// The library's answer.
        reason: String,
    },
    /// The library did not encode.
    #[error("{codec} encoder: {reason}")]
    Encode {
        /// Which codec.
        codec: &'static str,
        /// The library's answer.
        reason: String,
    },
    /// The library did not decode: damaged data, or pictures that it refers to are missing.
    #[error("{codec} decoder: {reason}")]
    Decode {
        /// Which codec.
        codec: &'static str,
        /// The library's answer.
        reason: String,
    },
}
