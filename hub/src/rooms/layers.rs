//! Layers of simulcast tracks: which one a subscriber has a use for, which ones a publisher need not send, and what a
//! subscriber is told when its bandwidth does not carry a track.

use std::time::{Duration, Instant};

use livekit_protocol as proto;
use proto::signal_response::Message as Response;

use super::Rooms;
use super::participant::Publication;
use crate::sfu::{BEST, ParticipantKey, PeerId, TrackKey, TrackKind};

/// A layer that nobody takes is turned off after so long: turning it on again costs a key frame.
const UNUSED: Duration = Duration::from_secs(5);

/// What a publisher was told of the layers that are taken.
#[derive(Debug)]
pub struct Taken {
    /// The best one, 0 for none at all.
    best: u8,
    /// Since when less would do.
    less_since: Option<Instant>,
}

impl Default for Taken {
    /// Publishers send everything until they are told otherwise.
    fn default() -> Taken {
        Taken { best: BEST, less_since: None }
    }
}

impl Taken {
    /// Somebody takes `best`; true when the publisher is to be told.
    fn raise(&mut self, best: u8) -> bool {
        let raises = best > self.best;
        self.best = self.best.max(best);
        raises
    }

    /// `best` is all that anybody takes at present; true when the publisher is to be told.
    fn settle(&mut self, best: u8, now: Instant) -> bool {
        if best >= self.best {
            self.less_since = None;
            return self.raise(best);
        }
        let since = *self.less_since.get_or_insert(now);
        let lowers = now >= since + UNUSED;
        if lowers {
            *self = Taken { best, less_since: None };
        }
        lowers
    }
}

impl Rooms {
    /// A subscriber begins to take tracks, or better layers of them: their publishers are told at once.
    pub(super) fn raise_layers(&mut self, key: ParticipantKey) {
        for (track, _) in self.wanted(key) {
            let best = self.taken_by(key, track);
            let Some(publication) = self.simulcast(track) else { continue };
            if publication.taken.raise(best) {
                self.tell_taken(track);
            }
        }
    }

    /// Tells publishers which layers nobody takes for a while. To be called about every second.
    pub(super) fn settle_layers(&mut self, now: Instant) {
        let published = self.people.values().flat_map(|p| &p.published).filter(|p| p.announced && has_layers(p));
        for track in published.map(|p| p.key).collect::<Vec<_>>() {
            let Some(owner) = self.owners.get(&track).copied() else { continue };
            let others = self.room_members(owner).into_iter().filter(|member| *member != owner);
            let best = others.map(|member| self.taken_by(member, track)).max().unwrap_or(0);
            let Some(publication) = self.simulcast(track) else { continue };
            if publication.taken.settle(best, now) {
                self.tell_taken(track);
            }
        }
    }

    /// Best layer of a track that a member of its room has a use for, 0 for none.
    fn taken_by(&self, key: ParticipantKey, track: TrackKey) -> u8 {
        let Some(person) = self.people.get(&key).filter(|p| p.claims.can_subscribe) else { return 0 };
        let wanted = person.wishes.get(&track).copied().unwrap_or(person.auto_subscribe);
        let wish = person.shows.get(&track).copied().unwrap_or_default();
        if wanted && wish.shown { wish.best } else { 0 }
    }

    fn simulcast(&mut self, track: TrackKey) -> Option<&mut Publication> {
        let owner = self.people.get_mut(self.owners.get(&track)?)?;
        owner.published.iter_mut().find(|p| p.key == track && has_layers(p))
    }

    #[allow(deprecated)] // Older clients read the qualities without a codec.
    fn tell_taken(&mut self, track: TrackKey) {
        let Some(owner) = self.owners.get(&track).copied() else { return };
        let Some(publication) = self.simulcast(track) else { return };
        let best = i32::from(publication.taken.best);
        let qualities = [proto::VideoQuality::Low, proto::VideoQuality::Medium, proto::VideoQuality::High];
        let subscribed_qualities: Vec<_> = qualities
            .into_iter()
            .map(|quality| proto::SubscribedQuality { quality: quality as i32, enabled: (quality as i32) < best })
            .collect();
        let update = proto::SubscribedQualityUpdate {
            track_sid: publication.info.sid.clone(),
            subscribed_codecs: vec![proto::SubscribedCodec {
                codec: publication.codec.to_ascii_lowercase(),
                qualities: subscribed_qualities.clone(),
            }],
            subscribed_qualities,
        };
        self.send(owner, Response::SubscribedQualityUpdate(update));
    }

    /// The bandwidth towards a subscriber does not carry a track, or carries it again.
    pub(super) fn stream_state(&mut self, peer: PeerId, track: TrackKey, paused: bool) {
        let Some(owner) = self.owners.get(&track).and_then(|owner| self.people.get(owner)) else { return };
        let Some(publication) = owner.published.iter().find(|p| p.key == track) else { return };
        let state = if paused { proto::StreamState::Paused } else { proto::StreamState::Active };
        let info = proto::StreamStateInfo {
            participant_sid: owner.sid.clone(),
            track_sid: publication.info.sid.clone(),
            state: state as i32,
        };
        let update = proto::StreamStateUpdate { stream_states: vec![info] };
        self.send(peer.participant, Response::StreamStateUpdate(update));
    }
}

#[allow(deprecated)] // Written for clients that read it only, as everywhere.
fn has_layers(publication: &Publication) -> bool {
    publication.kind() == TrackKind::Video && publication.info.layers.len() > 1
}

/// The best layer that a subscriber has a use for: 1, 2 or 3. It gives the size at which it shows the picture, or a
/// quality.
#[allow(deprecated)] // Older clients fill these fields only.
pub(super) fn best_use(settings: &proto::UpdateTrackSettings, info: &proto::TrackInfo) -> u8 {
    let rank = |quality: i32| match proto::VideoQuality::try_from(quality) {
        Ok(proto::VideoQuality::Low) => 1,
        Ok(proto::VideoQuality::Medium) => 2,
        _ => BEST,
    };
    if settings.width == 0 || settings.height == 0 {
        return rank(settings.quality);
    }
    let enough = |l: &&proto::VideoLayer| l.width >= settings.width || l.height >= settings.height;
    info.layers.iter().filter(enough).map(|layer| rank(layer.quality)).min().unwrap_or(BEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(deprecated)]
    fn the_shown_size_or_the_quality_decides_the_layer() {
        let layer = |quality: i32, width, height| proto::VideoLayer { quality, width, height, ..Default::default() };
        let layers = vec![layer(0, 320, 180), layer(1, 640, 360), layer(2, 1280, 720)];
        let info = proto::TrackInfo { layers, ..Default::default() };
        let cases = [((0, 0, 0), 1), ((1, 0, 0), 2), ((2, 0, 0), 3), ((2, 200, 112), 1), ((0, 321, 181), 2)];
        let more = [((0, 1280, 720), 3), ((0, 3840, 2160), 3)];
        for ((quality, width, height), expected) in cases.into_iter().chain(more) {
            let settings = proto::UpdateTrackSettings { quality, width, height, ..Default::default() };
            assert_eq!(best_use(&settings, &info), expected, "{quality} {width}x{height}");
        }
    }

    #[test]
    fn better_layers_are_turned_on_at_once_and_off_after_a_while() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut taken = Taken::default();
        assert!(!taken.settle(1, at(0)));
        assert!(!taken.settle(3, at(3)), "somebody takes the best again before it was turned off");
        assert!(!taken.settle(1, at(4)));
        assert!(!taken.settle(1, at(8)));
        assert!(taken.settle(1, at(9)));
        assert!(!taken.settle(1, at(20)), "told once");
        assert!(taken.raise(2));
        assert!(!taken.raise(1));
    }
}
