//! Lip synchronisation: sound and picture of one stream appear together.

/// What the sound and the picture of one stream know about each other. Make one for each player and give it to both.
#[derive(Clone, Debug, Default)]
pub struct LipSync {}

impl LipSync {
    /// Nothing is known yet; nothing is delayed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}
