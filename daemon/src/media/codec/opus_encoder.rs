//! Opus encoding (RFC 6716): mono for voice, stereo for whatever has two sides.

use opus::{Application, Bitrate, Encoder};

use super::CodecError;
use crate::audio::{Channels, SAMPLE_RATE};

/// Samples of one packet and channel: 20 ms, RFC 7587's default.
pub const PACKET_SAMPLES: usize = 960;

/// How to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusSettings {
    /// Bits per second, 6000 to 510000.
    pub bits_per_second: u32,
    /// Channels of the sound.
    pub channels: Channels,
}

/// An encoder with in-band forward error correction.
pub struct OpusEncoder {
    encoder: Encoder,
    expected_loss: i32,
}

impl OpusEncoder {
    /// An encoder.
    ///
    /// # Errors
    /// [`CodecError::Create`].
    pub fn new(settings: OpusSettings) -> Result<Self, CodecError> {
        let make = || -> opus::Result<Encoder> {
            let (channels, application) = match settings.channels {
                Channels::Mono => (opus::Channels::Mono, Application::Voip),
                // Who asks for two sides wants them as they are, not what a voice needs of them.
                Channels::Stereo => (opus::Channels::Stereo, Application::Audio),
            };
            let mut encoder = Encoder::new(SAMPLE_RATE, channels, application)?;
            encoder.set_bitrate(bitrate(settings.bits_per_second))?;
            // Half of the full search costs two thirds of its time; the difference is not heard in voice.
            encoder.set_complexity(5)?;
            encoder.set_inband_fec(true)?;
            encoder.set_packet_loss_perc(0)?;
            Ok(encoder)
        };
        let encoder = make().map_err(|error| CodecError::Create { codec: "Opus", reason: error.to_string() })?;
        Ok(Self { encoder, expected_loss: 0 })
    }

    /// Encodes 20 ms ([`PACKET_SAMPLES`] of each channel, in turn) into `packet` and returns the length; 1500 bytes of room are always
    /// enough.
    ///
    /// # Errors
    /// [`CodecError::Encode`].
    pub fn encode(&mut self, samples: &[i16], packet: &mut [u8]) -> Result<usize, CodecError> {
        self.encoder
            .encode(samples, packet)
            .map_err(|error| CodecError::Encode { codec: "Opus", reason: error.to_string() })
    }

    /// Changes the bit rate.
    pub fn set_bit_rate(&mut self, bits_per_second: u32) {
        if let Err(error) = self.encoder.set_bitrate(bitrate(bits_per_second)) {
            log::warn!("the Opus encoder did not take {bits_per_second} bit/s: {error}");
        }
    }

    /// Tells how much is lost on the way, 0 to 1. The encoder repeats more of each packet in the next one when more is lost, and
    /// spends nothing on it when nothing is.
    pub fn set_expected_loss(&mut self, fraction: f32) {
        // Steps of 5 %, so that small changes of a report do not change the sound.
        let percent = ((fraction.clamp(0.0, 0.3) * 100.0 / 5.0).ceil() * 5.0) as i32;
        if percent != self.expected_loss {
            self.expected_loss = percent;
            if let Err(error) = self.encoder.set_packet_loss_perc(percent) {
                log::warn!("the Opus encoder did not take {percent} % loss: {error}");
            }
        }
    }
}

fn bitrate(bits_per_second: u32) -> Bitrate {
    Bitrate::Bits(i32::try_from(bits_per_second.clamp(6_000, 510_000)).unwrap_or(i32::MAX))
}
