//! Which layer of a stream with several the server is asked for.

use livekit_protocol as proto;

/// A wish for a layer. The server decides by it and by the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayerWish {
    /// The best that the network carries.
    #[default]
    Best,
    /// The smallest.
    Smallest,
    /// The best, before other streams when the network carries little.
    BestFirst,
}

impl LayerWish {
    /// The message that tells it of these tracks.
    pub(super) fn settings(self, track_sids: Vec<String>) -> proto::UpdateTrackSettings {
        let quality = match self {
            Self::Best | Self::BestFirst => proto::VideoQuality::High,
            Self::Smallest => proto::VideoQuality::Low,
        };
        // 1 is the highest priority, 0 none in particular.
        let priority = u32::from(self == Self::BestFirst);
        proto::UpdateTrackSettings { track_sids, quality: quality as i32, priority, ..Default::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wish_has_its_quality_and_priority() {
        let cases = [(LayerWish::Best, 2, 0), (LayerWish::Smallest, 0, 0), (LayerWish::BestFirst, 2, 1)];
        for (wish, quality, priority) in cases {
            let settings = wish.settings(vec!["TR_V".to_owned()]);
            assert_eq!((settings.quality, settings.priority), (quality, priority), "{wish:?}");
            assert!(!settings.disabled);
        }
    }
}
