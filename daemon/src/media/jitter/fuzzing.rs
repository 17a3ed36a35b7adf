//! RTP payloads, for the targets in `fuzz/`.

use std::time::Duration;

use bytes::Bytes;

use super::video::{Next, VideoBuffer, VideoCodec, VideoPacket};
use super::voice::{VoiceBuffer, VoicePacket};
use crate::audio::{Channels, Frame};
use crate::clock::Monotonic;

/// Cuts `data` into packets: six bytes about each, then its payload.
fn packets(mut data: &[u8], mut each: impl FnMut([u8; 5], &[u8])) {
    while let Some((&[length, about @ ..], rest)) = data.split_first_chunk::<6>() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(length)));
        data = rest;
        each(about, payload);
    }
}

/// Pictures in packets that get lost, swapped and damaged. What comes out may be damaged, too, but it always comes to an end.
pub fn video_packets(data: &[u8]) {
    let (mut buffer, mut unit) = (VideoBuffer::new(), Vec::new());
    let mut now = Monotonic::from_millis(1_000);
    packets(data, |[flags, wait, jump, high, low], payload| {
        now = now + Duration::from_millis(u64::from(wait));
        let codec = if flags & 1 == 0 { VideoCodec::H264 } else { VideoCodec::Vp8 };
        buffer.insert(VideoPacket {
            arrived: now,
            sequence: u16::from(jump) | u16::from(flags & 4) << 10,
            timestamp: u32::from(u16::from_be_bytes([high, low])) * 3000,
            marker: flags & 2 != 0,
            codec,
            payload: Bytes::copy_from_slice(payload),
        });
        for round in 0.. {
            match buffer.next(now, Duration::from_millis(40), &mut unit) {
                Next::Frame(_) => assert!(!unit.is_empty()),
                Next::RequestKeyFrame => {}
                Next::Wait(_) => break,
            }
            assert!(round < 1000, "it does not come to rest");
        }
        if flags & 8 != 0 {
            buffer.decoder_failed();
        }
    });
}

/// Sound in packets that get lost, swapped and damaged, decoded.
pub fn voice_packets(data: &[u8]) {
    let Ok(mut buffer) = VoiceBuffer::new() else { return };
    let mut frame = Frame::silent(Channels::Mono);
    let mut now = Monotonic::from_millis(1_000);
    packets(data, |[_, wait, far, high, low], payload| {
        buffer.insert(VoicePacket {
            arrived: now,
            timestamp: u32::from_be_bytes([0, far & 0x0f, high, low]),
            payload: Bytes::copy_from_slice(payload),
        });
        for _ in 0..wait % 8 {
            now = now + Duration::from_millis(10);
            let _ = buffer.pull(now, &mut frame);
        }
    });
}
