//! Cameras, microphones and speakers: real ones (V4L2, ALSA) and simulated ones (`pattern`, `tone`, `file`).
//!
//! Whoever opens a device owns it and drives it from a thread of its own: [`camera::Camera::next`],
//! [`microphone::Microphone::read`] and [`speaker::Speaker::write`] block at the device's own pace. Dropping it releases
//! the hardware. Nothing here runs, wakes up or holds a descriptor while no device is open.

pub mod camera;
mod cards;
mod descriptor;
mod error;
mod holders;
pub mod microphone;
mod mixer;
mod pace;
pub mod registry;
mod simulated;
mod source_error;
pub mod speaker;
pub mod watch;
mod wav;

pub use error::DeviceError;
pub use source_error::SourceError;

/// A number that depends on a name and nothing else (FNV-1a), by which simulated devices differ.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
