//! What players count.

use std::time::Duration;

use crate::rtc;

/// Counters of a played video; rates are for the reader to compute from two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VideoPlayStatistics {
    /// Codec of the packets; `None` before the first one.
    pub codec: Option<rtc::Mime>,
    /// `openh264`, `libvpx`, or empty before the first picture.
    pub decoder: &'static str,
    /// Pictures whose last packet arrived.
    pub arrived: u64,
    /// Pictures that left the jitter buffer, whole and in order.
    pub received: u64,
    /// Pictures decoded.
    pub decoded: u64,
    /// Pictures given to a view, or decoded for none.
    pub shown: u64,
    /// Pictures that were withheld because they, or what they refer to, did not arrive whole or could not be decoded.
    pub withheld: u64,
    /// Key frames that were asked for.
    pub key_frame_requests: u64,
    /// Times without a picture for over 500 ms, after the first one.
    pub breaks: u64,
    /// Time of all breaks together.
    pub break_time: Duration,
    /// Time since the first picture.
    pub playing: Duration,
    /// Time the decoder took, in sum.
    pub decode_time: Duration,
    /// Time from a picture's first packet until it left the buffer, mean of the last pictures.
    pub buffer_delay: Duration,
    /// Width in pixels; 0 before the first picture.
    pub width: u32,
    /// Height in pixels; 0 before the first picture.
    pub height: u32,
    /// How much later the picture appears than the sound of the same moment, in ms (below 0: earlier). `None` until it is known.
    pub av_offset_ms: Option<i32>,
    /// Time from a capture at the publisher until it is shown here, mean of the last readings; `None` when the publisher does not say when it
    /// captured, or the clocks of both are not related.
    pub end_to_end: Option<Duration>,
    /// What the connection counted.
    pub rtp: rtc::ReceiverStatistics,
}

/// Counters of a played voice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AudioPlayStatistics {
    /// Packets received.
    pub received: u64,
    /// Packets that left the jitter buffer.
    pub taken: u64,
    /// Packets decoded.
    pub decoded: u64,
    /// Packets that came too late to be played.
    pub late: u64,
    /// Samples repaired by forward error correction.
    pub repaired: u64,
    /// Samples guessed because nothing arrived.
    pub concealed: u64,
    /// Samples inserted or left out to adapt the delay.
    pub adjusted: u64,
    /// Samples played in all.
    pub played: u64,
    /// Times that the sound stopped for want of packets, after the first one.
    pub breaks: u64,
    /// Time of all breaks together.
    pub break_time: Duration,
    /// Time since the first sound.
    pub playing: Duration,
    /// Time that decoding, repairing and guessing took, in sum.
    pub decode_time: Duration,
    /// Sound that waits to be played now.
    pub buffer_delay: Duration,
    /// Delay that the buffer aims at.
    pub target_delay: Duration,
    /// Time from a capture at the publisher until it is heard here, mean of the last readings; `None` when the publisher does not say when it
    /// captured, or the clocks of both are not related.
    pub end_to_end: Option<Duration>,
    /// What the connection counted.
    pub rtp: rtc::ReceiverStatistics,
}
