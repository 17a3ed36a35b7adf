//! A packet of a published track, as it goes to its subscribers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::format::Codec;
use str0m::media::Pt;
use str0m::rtp::{ExtensionValues, RtpPacket};

use super::extensions::DependencyDescriptor;
use super::red::Sound;

/// What subscribers get of a packet; sequence number, timestamp and payload type are the publisher's still.
#[derive(Debug, Clone)]
pub struct Packet {
    /// SSRC of its encoding.
    pub source: u32,
    /// The publisher's payload type.
    pub payload_type: Pt,
    /// Sequence number, extended beyond 16 bits.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// Header extensions that are passed on.
    pub extensions: ExtensionValues,
    /// When its content was made, on our clock.
    pub made_at: Instant,
    /// The payload, which all subscribers share.
    pub payload: Arc<[u8]>,
}

impl Packet {
    /// A packet of `codec` as it came.
    pub fn new(packet: &RtpPacket, codec: Codec, made_at: Instant) -> Packet {
        let from = &packet.header.ext_vals;
        let mut extensions = ExtensionValues {
            audio_level: from.audio_level,
            voice_activity: from.voice_activity,
            video_orientation: from.video_orientation,
            // Of the publisher's clock and what that is ahead of ours: as true for the receiver as for us.
            abs_capture_time: from.abs_capture_time,
            ..Default::default()
        };
        // Other codecs have descriptors of their own, which the hub keeps in order. A receiver would believe this one and not those.
        if let Some(descriptor) = DependencyDescriptor::of(from).filter(|_| codec == Codec::Av1) {
            extensions.user_values.set_arc(descriptor);
        }
        Packet {
            source: *packet.header.ssrc,
            payload_type: packet.header.payload_type,
            sequence: *packet.seq_no,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            extensions,
            made_at,
            payload: Arc::clone(&packet.payload),
        }
    }

    /// The packet of `payload_type` that carried `sound` before this one repeated it, or that carries what this one is
    /// about. Of what is repeated the header is not known.
    pub fn unpacked(&self, sound: &Sound<'_>, payload_type: Pt, rate: u32) -> Packet {
        let own = sound.age == 0;
        let age = Duration::from_micros(u64::from(sound.age) * 1_000_000 / u64::from(rate.max(1)));
        Packet {
            source: self.source,
            payload_type,
            sequence: sound.sequence,
            timestamp: self.timestamp.wrapping_sub(sound.age),
            marker: own && self.marker,
            extensions: if own { self.extensions.clone() } else { ExtensionValues::default() },
            made_at: self.made_at.checked_sub(age).unwrap_or(self.made_at),
            payload: sound.payload.into(),
        }
    }
}
