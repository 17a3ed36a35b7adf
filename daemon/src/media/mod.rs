//! The two pipelines. Send: capture, convert, encode, packetize. Receive: buffer, decode, show; mix, play.
//!
//! Every stage runs in a plain, named thread that sleeps until there is something to do, and ends within 200 ms after its handle
//! is dropped. Buffers are pooled and bounded; where one is full the older picture goes and a counter says so.
//! What decides (jitter buffers, mixer, synchronisation) is logic without threads or clocks of its own.

pub mod camera;
pub mod codec;
pub mod convert;
mod event;
pub mod jitter;
pub mod meter;
pub mod microphone;
pub mod mixer;
pub mod playback;
pub mod receive;
pub mod record;
pub mod rtp;
pub mod scale;
pub mod send;
pub mod snapshot;
pub mod sync;

pub use event::{FirstFrame, MediaEvent, MediaEvents};

use std::thread::JoinHandle;

/// Starts a media thread; the name shows in `top -H` and in crash reports.
fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        // Codecs need more than musl's default and far less than glibc's.
        .stack_size(1 << 20)
        .spawn(run)
        .expect("the system has room for a thread")
}

/// Waits for a thread that was told to end, unless that is the thread that asks.
fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread
        && thread.thread().id() != std::thread::current().id()
        && thread.join().is_err()
    {
        log::error!("a media thread panicked");
    }
}
