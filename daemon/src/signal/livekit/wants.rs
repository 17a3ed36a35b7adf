//! What is to be received, and what the server was asked for: the difference is a subscription message.

use std::collections::{HashMap, HashSet};

use super::super::room::Room;
use super::layer::LayerWish;
use crate::rtc::MediaKind;

/// What is wanted of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Want {
    audio: bool,
    video: bool,
}

/// Subscriptions.
#[derive(Debug, Default)]
pub(super) struct Wants {
    streams: HashMap<String, Want>,
    /// Streams of which a layer is wished for.
    layers: HashMap<String, LayerWish>,
    /// Ids of tracks that were asked for.
    asked: HashSet<String>,
}

/// Tracks to subscribe to and to give up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) subscribe: Vec<String>,
    pub(super) give_up: Vec<String>,
}

impl Wants {
    /// Wants these kinds of a stream, and no others.
    pub(super) fn set(&mut self, stream_id: &str, audio: bool, video: bool) {
        self.streams.insert(stream_id.to_owned(), Want { audio, video });
    }

    /// Whether sound and pictures of a stream are wanted.
    pub(super) fn of(&self, stream_id: &str) -> (bool, bool) {
        self.streams.get(stream_id).map_or((false, false), |want| (want.audio, want.video))
    }

    /// Wishes for a layer of a stream; true when that is news for the server.
    pub(super) fn set_layer(&mut self, stream_id: &str, layer: LayerWish) -> bool {
        self.layers.insert(stream_id.to_owned(), layer).unwrap_or_default() != layer
    }

    /// The tracks of a stream that were asked for and have pictures, and the layer wished for.
    pub(super) fn layer(&self, stream_id: &str, room: &Room) -> (Vec<String>, LayerWish) {
        let tracks = room.tracks(stream_id).into_iter();
        let asked = tracks.filter(|track| track.kind == MediaKind::Video && self.asked.contains(&track.sid));
        (asked.map(|track| track.sid).collect(), self.layers.get(stream_id).copied().unwrap_or_default())
    }

    /// Streams of which the server must be told a layer: of the others it sends what it thinks best.
    pub(super) fn with_layers(&self) -> Vec<String> {
        let unusual = self.layers.iter().filter(|(_, layer)| **layer != LayerWish::default());
        unusual.map(|(stream_id, _)| stream_id.clone()).collect()
    }

    /// Wants nothing of a stream.
    pub(super) fn remove(&mut self, stream_id: &str) {
        self.streams.remove(stream_id);
        self.layers.remove(stream_id);
    }

    /// What to tell the server now.
    pub(super) fn difference(&mut self, room: &Room) -> Difference {
        let mut wanted = HashSet::new();
        for (stream_id, want) in &self.streams {
            let kinds = room.tracks(stream_id).into_iter().filter(|track| match track.kind {
                MediaKind::Audio => want.audio,
                MediaKind::Video => want.video,
            });
            wanted.extend(kinds.map(|track| track.sid));
        }
        let mut subscribe: Vec<String> = wanted.difference(&self.asked).cloned().collect();
        // A track that is gone needs no message.
        let given_up = self.asked.difference(&wanted).filter(|sid| room.track(sid).is_some());
        let mut give_up: Vec<String> = given_up.cloned().collect();
        subscribe.sort_unstable();
        give_up.sort_unstable();
        self.asked = wanted;
        Difference { subscribe, give_up }
    }

    /// Ids of tracks that were asked for, for a server that lost track of us.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livekit_protocol as proto;

    fn bell(tracks: &[(&str, proto::TrackType)]) -> proto::ParticipantInfo {
        let tracks = tracks.iter().map(|(sid, kind)| proto::TrackInfo {
            sid: (*sid).to_owned(),
            r#type: *kind as i32,
            name: "door".to_owned(),
            stream: "door".to_owned(),
            ..Default::default()
        });
        proto::ParticipantInfo {
            identity: "bell".to_owned(),
            state: proto::participant_info::State::Active as i32,
            tracks: tracks.collect(),
            ..Default::default()
        }
    }

    #[test]
    fn the_difference_is_told_once() {
        let mut room = Room::new("me");
        let mut wants = Wants::default();
        let (audio, video) = (("TR_A", proto::TrackType::Audio), ("TR_V", proto::TrackType::Video));
        let told = |subscribe: &[&str], give_up: &[&str]| Difference {
            subscribe: subscribe.iter().map(|sid| (*sid).to_owned()).collect(),
            give_up: give_up.iter().map(|sid| (*sid).to_owned()).collect(),
        };
        room.apply(&[bell(&[audio])]);
        assert_eq!(wants.difference(&room), told(&[], &[]), "nothing is received unasked");
        wants.set("door", true, true);
        assert_eq!(wants.difference(&room), told(&["TR_A"], &[]));
        assert_eq!(wants.difference(&room), told(&[], &[]));
        room.apply(&[bell(&[audio, video])]);
        assert_eq!(wants.difference(&room), told(&["TR_V"], &[]), "a track that appears later");
        wants.set("door", false, true);
        assert_eq!(wants.difference(&room), told(&[], &["TR_A"]));
        room.apply(&[bell(&[audio])]);
        assert_eq!(wants.difference(&room), told(&[], &[]), "it is gone anyway");
        room.apply(&[bell(&[audio, video])]);
        assert_eq!(wants.difference(&room), told(&["TR_V"], &[]), "and is asked for again");
        assert_eq!(wants.asked(), ["TR_V"]);
        assert_eq!(wants.of("door"), (false, true));
        assert!(!wants.set_layer("door", LayerWish::Best), "the server knows that without a word");
        assert!(wants.set_layer("door", LayerWish::Smallest));
        assert_eq!(wants.layer("door", &room), (vec!["TR_V".to_owned()], LayerWish::Smallest));
        assert_eq!(wants.with_layers(), ["door"]);
        wants.remove("door");
        assert_eq!(wants.of("door"), (false, false));
        assert_eq!(wants.difference(&room), told(&[], &["TR_V"]));
    }
}
