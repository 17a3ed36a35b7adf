//! Published tracks: where each comes from and to whom it goes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use str0m::media::{Mid, Rid};

use super::keyframes::KeyFrames;
use super::{TrackKey, TrackKind};

/// An encoding that was silent for so long is not counted on (a publisher turns encodings off without a word).
const SILENT: Duration = Duration::from_secs(1);

/// One encoding of a track: the only one, or one of a simulcast.
#[derive(Debug)]
pub struct Encoding {
    /// Simulcast name, `None` for a track with one encoding.
    pub rid: Option<Rid>,
    /// Its SSRC.
    pub ssrc: u32,
    /// Requests for its key frames.
    pub key_frames: KeyFrames,
    heard: Instant,
}

/// A published track.
#[derive(Debug)]
pub struct Track {
    /// Slot of the publishing peer.
    pub publisher: usize,
    /// Section of the publishing peer.
    pub mid: Mid,
    /// Sound or pictures.
    pub kind: TrackKind,
    /// Slots of the peers that it is delivered to.
    pub subscribers: Vec<usize>,
    encodings: Vec<Encoding>,
    /// Index of the encoding that is forwarded.
    chosen: usize,
    /// A key frame is wanted then, of whatever encoding there is.
    wanted_at: Option<Instant>,
}

/// What to do with a packet of an encoding.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Forward it.
    Forward,
    /// Another encoding is being forwarded.
    Drop,
    /// It is better than the one that is forwarded: ask for its key frame, to change over there.
    WantKeyFrame,
}

impl Track {
    fn new(publisher: usize, mid: Mid, kind: TrackKind) -> Track {
        Track { publisher, mid, kind, subscribers: Vec::new(), encodings: Vec::new(), chosen: 0, wanted_at: None }
    }

    /// Judges a packet of encoding `ssrc`/`rid`; `key_frame` says whether it begins a key frame.
    pub fn judge(&mut self, ssrc: u32, rid: Option<Rid>, key_frame: bool, now: Instant) -> Verdict {
        let index = match self.encodings.iter().position(|e| e.ssrc == ssrc) {
            Some(index) => index,
            None => self.learn(ssrc, rid, now),
        };
        let encoding = &mut self.encodings[index];
        encoding.heard = now;
        if key_frame {
            encoding.key_frames.passed();
        }
        if index == self.chosen {
            return Verdict::Forward;
        }
        let current = &self.encodings[self.chosen];
        let better = rank(self.encodings[index].rid) > rank(current.rid);
        if !better && now - current.heard < SILENT {
            return Verdict::Drop;
        }
        if key_frame {
            self.chosen = index;
            return Verdict::Forward;
        }
        Verdict::WantKeyFrame
    }

    fn learn(&mut self, ssrc: u32, rid: Option<Rid>, now: Instant) -> usize {
        let mut fresh = Encoding { rid, ssrc, key_frames: KeyFrames::default(), heard: now };
        if let Some(at) = self.wanted_at.take() {
            fresh.key_frames.want_at(at);
        }
        // The same encoding under another SSRC (a restarted sender) takes the old one's place.
        match self.encodings.iter().position(|e| e.rid == rid) {
            Some(index) => {
                self.encodings[index] = fresh;
                index
            }
            None => {
                self.encodings.push(fresh);
                self.encodings.len() - 1
            }
        }
    }

    /// The encoding that is forwarded, once anything was heard.
    pub fn current(&mut self) -> Option<&mut Encoding> {
        self.encodings.get_mut(self.chosen)
    }

    /// Somebody begins to receive the track at `at` and needs a key frame from then on.
    pub fn want_at(&mut self, at: Instant) {
        match self.current() {
            Some(encoding) => encoding.key_frames.want_at(at),
            None => self.wanted_at = Some(self.wanted_at.map_or(at, |wanted| wanted.max(at))),
        }
    }

    /// An encoding by its SSRC.
    pub fn encoding(&mut self, ssrc: u32) -> Option<&mut Encoding> {
        self.encodings.iter_mut().find(|e| e.ssrc == ssrc)
    }

    /// Earliest time at which a held-back key frame request is due.
    pub fn due(&self) -> Option<Instant> {
        self.encodings.iter().filter_map(|e| e.key_frames.due()).min()
    }

    /// SSRCs of the encodings whose held-back request is due now.
    pub fn take_due(&mut self, now: Instant) -> Vec<u32> {
        self.encodings.iter_mut().filter_map(|e| e.key_frames.take_due(now).then_some(e.ssrc)).collect()
    }
}

/// Order of simulcast encodings by their conventional names: LiveKit's SDKs send `q`, `h` and `f`; others count.
fn rank(rid: Option<Rid>) -> u8 {
    match rid.as_deref() {
        Some("f") | Some("2") | Some("hi") => 3,
        Some("h") | Some("1") | Some("mid") => 2,
        Some("q") | Some("0") | Some("lo") => 1,
        _ => 0,
    }
}

/// All tracks of the hub.
#[derive(Debug, Default)]
pub struct Tracks {
    all: HashMap<TrackKey, Track>,
}

impl Tracks {
    /// The track with this key.
    pub fn get_mut(&mut self, key: TrackKey) -> Option<&mut Track> {
        self.all.get_mut(&key)
    }

    /// Registers where a track comes from; who wants it already is kept.
    pub fn publish(&mut self, key: TrackKey, publisher: usize, mid: Mid, kind: TrackKind) {
        let track = self.all.entry(key).or_insert_with(|| Track::new(publisher, mid, kind));
        (track.publisher, track.mid, track.kind) = (publisher, mid, kind);
    }

    /// Forgets a track.
    pub fn unpublish(&mut self, key: TrackKey) {
        self.all.remove(&key);
    }

    /// Makes `subscriber` receive exactly the tracks `wanted`; those that are gone are left out.
    pub fn set_subscriptions(&mut self, subscriber: usize, wanted: &[TrackKey]) {
        for (key, track) in &mut self.all {
            let has = track.subscribers.contains(&subscriber);
            match (has, wanted.contains(key)) {
                (false, true) => track.subscribers.push(subscriber),
                (true, false) => track.subscribers.retain(|s| *s != subscriber),
                _ => {}
            }
        }
    }

    /// Removes a peer with everything that it published and subscribed to.
    pub fn remove_peer(&mut self, slot: usize) {
        self.all.retain(|_, track| track.publisher != slot);
        for track in self.all.values_mut() {
            track.subscribers.retain(|s| *s != slot);
        }
    }

    /// Earliest time at which a held-back key frame request is due.
    pub fn due(&self) -> Option<Instant> {
        self.all.values().filter_map(Track::due).min()
    }

    /// Publishing slots and SSRCs whose held-back key frame request is due now.
    pub fn take_due(&mut self, now: Instant) -> Vec<(usize, u32)> {
        let due = |track: &mut Track| {
            let slot = track.publisher;
            track.take_due(now).into_iter().map(move |ssrc| (slot, ssrc))
        };
        self.all.values_mut().flat_map(due).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track() -> Track {
        Track::new(0, Mid::from("0"), TrackKind::Video)
    }

    #[test]
    fn a_single_encoding_is_forwarded_from_its_first_packet() {
        let now = Instant::now();
        let mut track = track();
        assert_eq!(track.judge(1, None, false, now), Verdict::Forward);
        assert_eq!(track.judge(9, None, false, now), Verdict::Forward, "the sender restarted with another SSRC");
    }

    #[test]
    fn of_a_simulcast_the_best_that_flows_is_forwarded_changing_at_key_frames() {
        let now = Instant::now();
        let (q, f) = (Some(Rid::from("q")), Some(Rid::from("f")));
        let mut track = track();
        assert_eq!(track.judge(1, q, true, now), Verdict::Forward);
        assert_eq!(track.judge(3, f, false, now), Verdict::WantKeyFrame);
        assert_eq!(track.judge(1, q, false, now), Verdict::Forward, "the old one goes on until then");
        assert_eq!(track.judge(3, f, true, now), Verdict::Forward);
        assert_eq!(track.judge(1, q, true, now), Verdict::Drop);
        let later = now + SILENT;
        assert_eq!(track.judge(1, q, false, later), Verdict::WantKeyFrame, "the better one fell silent");
        assert_eq!(track.judge(1, q, true, later), Verdict::Forward);
    }

    #[test]
    fn a_peer_that_leaves_takes_its_tracks_and_subscriptions() {
        let mut tracks = Tracks::default();
        tracks.publish(10, 0, Mid::from("0"), TrackKind::Audio);
        tracks.publish(11, 1, Mid::from("0"), TrackKind::Audio);
        tracks.set_subscriptions(1, &[10, 12]);
        tracks.set_subscriptions(0, &[11]);
        assert_eq!(tracks.get_mut(10).expect("there").subscribers, [1]);
        tracks.remove_peer(0);
        assert!(tracks.get_mut(10).is_none());
        assert!(tracks.get_mut(11).expect("still there").subscribers.is_empty());
    }
}
