//! The error of a device name that does not parse.

/// A device name that the configuration does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no {kind}: use one of {allowed}")]
pub struct SourceError {
    /// The name as it was written.
    pub text: String,
    /// `camera`, `microphone` or `speaker`.
    pub kind: &'static str,
    /// The forms that exist.
    pub allowed: &'static str,
}
