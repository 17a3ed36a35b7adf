//! The one sound format inside the daemon: 48 kHz, mono, signed 16 bit.
//!
//! Voice is mono and Opus runs at 48 kHz, so devices convert at their edge and nothing between them has to.

/// Samples per second.
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples of one device frame: 10 ms, the period that capture, playback and the mixer work in.
pub const FRAME_SAMPLES: usize = 480;
/// One device frame.
pub type Frame = [i16; FRAME_SAMPLES];
