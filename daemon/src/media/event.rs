//! News of a pipeline.

use std::sync::Arc;

use crate::devices::DeviceError;

/// Something happened for the first time in a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FirstFrame {
    /// The microphone gave its first sound to a sender.
    AudioCaptured,
    /// The camera gave its first picture to a sender.
    VideoCaptured,
    /// The first sound was handed to the network.
    AudioSent,
    /// The first picture was handed to the network.
    VideoSent,
    /// The first packet of sound arrived.
    AudioReceived,
    /// The first packet of video arrived.
    VideoReceived,
    /// The first picture was decoded and shown (counted as shown also without a view).
    VideoRendered,
}

/// News of a capture, a sender or a player.
#[derive(Debug)]
pub enum MediaEvent {
    /// Something happened for the first time.
    FirstFrame(FirstFrame),
    /// The size of the decoded pictures changed; also told for the first one.
    SizeChanged {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// No picture was shown for over 500 ms although there was video before (`true`), or pictures are shown again (`false`).
    VideoBreak(bool),
    /// Sound that was being played stopped coming (`true`), or is back (`false`).
    AudioBreak(bool),
    /// The camera is open and has given no picture for a while; the next one ends that.
    CameraSilent(DeviceError),
    /// The camera gives pictures again.
    CameraBack,
    /// A device stopped working. Its pipeline waits for another device, or to be dropped.
    DeviceFailed(DeviceError),
}

/// Called with news on a media thread: put it away and return, never block, and drop no pipeline in there.
pub type MediaEvents = Arc<dyn Fn(MediaEvent) + Send + Sync>;
