//! Jitter buffers: logic that is handed packets and the time, and says what to decode next.

mod delay;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod sequence;
pub mod stretch;
pub mod video;
#[cfg(test)]
mod video_tests;
pub mod voice;
#[cfg(test)]
mod voice_tests;
