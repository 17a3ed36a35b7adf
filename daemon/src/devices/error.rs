//! What can go wrong with a device, in words that say what to do.

use std::io;

/// Why a device cannot be opened or stopped working. `device` is the source string it was asked for by
/// (`v4l2:usb-046d_C270-video-index0`, `alsa:plughw:2,0`, `file:/tmp/clip.y4m` …).
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No such device, file or node, or `auto` found no real one.
    #[error("{device} is not there: {advice}")]
    NotFound {
        /// The source as it was asked for.
        device: String,
        /// What to do about it.
        advice: String,
    },
    /// Another program holds it.
    #[error("{device} is in use by {owner}: stop that program, or choose another device")]
    Busy {
        /// The source as it was asked for.
        device: String,
        /// The program and its process id (`arecord (4711)`), or `another program` when it belongs to somebody else.
        owner: String,
    },
    /// The daemon's user may not open it.
    #[error(
        "{device} may not be opened: give the service's user access to it (groups video and audio for hardware, \
         read permission for a file)"
    )]
    PermissionDenied {
        /// The source as it was asked for.
        device: String,
    },
    /// It went away while it was used.
    #[error("{device} was unplugged: plug it in again, or choose another device")]
    Unplugged {
        /// The source as it was asked for.
        device: String,
    },
    /// It is there, but what it delivers cannot be used.
    #[error("{device} cannot be used: {reason}")]
    UnsupportedFormat {
        /// The source as it was asked for.
        device: String,
        /// Which format, size or header, and what would work.
        reason: String,
    },
    /// It is open and works, but no picture comes.
    #[error("{device} gives no pictures: check its cable and its settings, or choose another device")]
    NoPictures {
        /// The source as it was asked for.
        device: String,
    },
    /// The system refused something else.
    #[error("{device} failed while {action}: {source}")]
    Io {
        /// The source as it was asked for.
        device: String,
        /// What was being done, as in "starting the capture".
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl DeviceError {
    /// The public error code (1006xxx) of this failure.
    #[must_use]
    pub const fn code(&self) -> i32 {
        match self {
            Self::UnsupportedFormat { .. } | Self::Io { .. } => 1_006_001,
            Self::NotFound { .. } => 1_006_002,
            Self::PermissionDenied { .. } => 1_006_003,
            Self::NoPictures { .. } => 1_006_004,
            Self::Busy { .. } => 1_006_005,
            Self::Unplugged { .. } => 1_006_006,
        }
    }

    /// The source string of the device it is about.
    #[must_use]
    pub fn device(&self) -> &str {
        match self {
            Self::NotFound { device, .. }
            | Self::Busy { device, .. }
            | Self::PermissionDenied { device }
            | Self::Unplugged { device }
            | Self::NoPictures { device }
            | Self::UnsupportedFormat { device, .. }
            | Self::Io { device, .. } => device,
        }
    }

    /// Sorts what the system says about opening or reading a file into the kinds above.
    pub(super) fn from_io(device: &str, action: &'static str, source: io::Error) -> Self {
        let device = device.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { device, advice: "check the path".to_owned() },
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { device },
            _ => Self::Io { device, action, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_becomes_a_kind_with_its_public_code() {
        let cases = [
            (io::ErrorKind::NotFound, 1_006_002),
            (io::ErrorKind::PermissionDenied, 1_006_003),
            (io::ErrorKind::BrokenPipe, 1_006_001),
        ];
        for (kind, code) in cases {
            let error = DeviceError::from_io("file:/x.y4m", "opening it", io::Error::from(kind));
            assert_eq!(error.code(), code, "{kind:?}");
            assert_eq!(error.device(), "file:/x.y4m");
            assert!(error.to_string().starts_with("file:/x.y4m "), "{error}");
        }
    }
}
