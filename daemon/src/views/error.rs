//! What can go wrong with a view.

use std::io;

/// Why a view cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// No view has this number.
    #[error("there is no view {id}: create one first, or use the number that its creation returned")]
    NotFound {
        /// The number asked for.
        id: u64,
    },
    /// The view is not a texture.
    #[error("view {id} is not a texture: only one made by CreateTextureRenderer can be opened or resized")]
    NotATexture {
        /// The number asked for.
        id: u64,
    },
    /// More views than a user interface can need: one forgets to destroy them.
    #[error("{limit} views exist: destroy those that are not needed any more")]
    TooMany {
        /// How many there can be.
        limit: usize,
    },
    /// A pipe whose descriptor only reads.
    #[error("the descriptor is not open for writing: give the other end of the pipe")]
    NotWritable,
    /// A size that no texture can have.
    #[error("a texture cannot be {width}x{height}: each side is 1 to 8192 pixels")]
    Size {
        /// Width asked for.
        width: u32,
        /// Height asked for.
        height: u32,
    },
    /// The system refused something.
    #[error("{action} failed: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl ViewError {
    /// The public error code of this failure.
    #[must_use]
    pub const fn code(&self) -> i32 {
        match self {
            Self::NotFound { .. }
            | Self::NotATexture { .. }
            | Self::TooMany { .. }
            | Self::NotWritable
            | Self::Size { .. } => 1_000_017,
            Self::Io { .. } => 1_000_099,
        }
    }

    pub(super) fn io(action: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Io { action, source: errno.into() }
    }
}
