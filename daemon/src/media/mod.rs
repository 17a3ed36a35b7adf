//! The two pipelines. Send: capture, convert, encode, packetize. Receive: buffer, decode, show; mix, play.
//!
//! Every stage runs in a plain, named thread that sleeps until there is something to do, and ends within 200 ms after its handle
//! is dropped. Buffers are pooled and bounded; where one is full the older picture goes and a counter says so.
//! What decides (jitter buffers, mixer, synchronisation) is logic without threads or clocks of its own.

pub mod camera;
pub mod codec;
mod event;
pub mod jitter;
pub mod microphone;
pub mod playback;
pub mod receive;
pub mod rtp;
pub mod send;
pub mod sync;

pub use event::{FirstFrame, MediaEvent, MediaEvents};
