//! Published tracks: where each comes from and to whom it goes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use str0m::media::{Mid, Rid};

use super::arrivals::{Arrivals, Arrived};
use super::dependency_descriptor::Dependencies;
use super::keyframes::KeyFrames;
use super::layers::Layer;
use super::loudness::Loudness;
use super::red::Recovery;
use super::silence::GONE;
use super::{TrackKey, TrackKind};

/// An encoding that was silent for so long is not counted on (a publisher turns encodings off without a word).
const SILENT: Duration = Duration::from_secs(1);
/// Bit rates are measured over so long.
const MEASURED: Duration = Duration::from_secs(1);

/// One encoding of a track: the only one, or one of a simulcast.
#[derive(Debug)]
pub struct Encoding {
    /// Simulcast name, `None` for a track with one encoding.
    pub rid: Option<Rid>,
    /// Its SSRC.
    pub ssrc: u32,
    /// Requests for its key frames.
    pub key_frames: KeyFrames,
    /// What of it went on to those who take no redundancy.
    pub recovery: Recovery,
    /// What its Dependency Descriptors told.
    pub dependencies: Dependencies,
    arrivals: Arrivals,
    heard: Instant,
    rate: Rate,
    /// Its spatial layers from the smallest on, when it has several.
    spatial: Vec<Spatial>,
}

/// One of several spatial layers of an encoding.
#[derive(Debug)]
struct Spatial {
    heard: Instant,
    rate: Rate,
}

impl Encoding {
    fn layer(&self) -> Layer {
        Layer { ssrc: self.ssrc, rank: rank(self.rid) }
    }

    fn flows(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) < SILENT
    }

    /// Rank and bit rate of what can be had of it; of a spatial layer with all below it.
    fn rates(&self, now: Instant) -> Vec<(u8, u64)> {
        if !self.flows(now) {
            return Vec::new();
        }
        if self.spatial.is_empty() {
            return vec![(rank(self.rid), self.rate.current(now))];
        }
        let flowing = (1..).zip(&self.spatial).filter(|(_, s)| now.saturating_duration_since(s.heard) < SILENT);
        flowing
            .scan(0, |sum, (rank, layer)| {
                *sum += layer.rate.current(now);
                Some((rank, *sum))
            })
            .collect()
    }

    /// A packet of a spatial layer came; `layers` is how many there are, if that was told.
    fn hear_spatial(&mut self, layer: u8, layers: Option<u8>, bytes: usize, now: Instant) {
        let needed = usize::from(layers.unwrap_or(0).max(layer + 1));
        if needed < 2 && self.spatial.is_empty() {
            return;
        }
        while self.spatial.len() < needed {
            // Those that do not flow are not counted on.
            let heard = now.checked_sub(SILENT).unwrap_or(now);
            self.spatial.push(Spatial { heard, rate: Rate::new(now) });
        }
        let layer = &mut self.spatial[usize::from(layer)];
        layer.heard = now;
        layer.rate.add(bytes, now);
    }
}

/// Bit rate of an encoding.
#[derive(Debug)]
struct Rate {
    since: Instant,
    bytes: u64,
    /// Of the last full measurement, 0 before there is one.
    bits_per_second: u64,
    /// Of the one before that.
    before: Option<u64>,
}

impl Rate {
    fn new(now: Instant) -> Rate {
        Rate { since: now, bytes: 0, bits_per_second: 0, before: None }
    }

    fn add(&mut self, bytes: usize, now: Instant) {
        self.bytes += bytes as u64;
        let passed = now.saturating_duration_since(self.since);
        if passed >= MEASURED {
            self.before = Some(self.bits_per_second).filter(|before| *before > 0);
            self.bits_per_second = self.bytes * 8_000 / (passed.as_millis() as u64).max(1);
            (self.since, self.bytes) = (now, 0);
        }
    }

    /// The lower one of the last two full measurements, because a key frame fills one of them, or what the first one shows so far.
    fn current(&self, now: Instant) -> u64 {
        if self.bits_per_second > 0 {
            return self.before.map_or(self.bits_per_second, |before| before.min(self.bits_per_second));
        }
        let passed = now.saturating_duration_since(self.since).max(MEASURED / 4);
        self.bytes * 8_000 / (passed.as_millis() as u64).max(1)
    }
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
    /// How loud it is (sound only).
    pub loudness: Loudness,
    /// What of that was told.
    pub told_loudness: u8,
    encodings: Vec<Encoding>,
    /// A key frame is wanted then, of whatever encoding there is.
    wanted_at: Option<Instant>,
}

impl Track {
    fn new(publisher: usize, mid: Mid, kind: TrackKind) -> Track {
        Track {
            publisher,
            mid,
            kind,
            subscribers: Vec::new(),
            loudness: Loudness::default(),
            told_loudness: 0,
            encodings: Vec::new(),
            wanted_at: None,
        }
    }

    /// Registers a packet of encoding `ssrc`/`rid` with `bytes` of payload; `key_frame` says whether it begins a key
    /// frame. Returns the layer that it belongs to.
    pub fn hear(&mut self, ssrc: u32, rid: Option<Rid>, key_frame: bool, bytes: usize, now: Instant) -> Layer {
        let index = match self.encodings.iter().position(|e| e.ssrc == ssrc) {
            Some(index) => index,
            None => self.learn(ssrc, rid, now),
        };
        let encoding = &mut self.encodings[index];
        encoding.heard = now;
        encoding.rate.add(bytes, now);
        if key_frame {
            encoding.key_frames.passed();
        }
        encoding.layer()
    }

    fn learn(&mut self, ssrc: u32, rid: Option<Rid>, now: Instant) -> usize {
        let rate = Rate::new(now);
        let (key_frames, arrivals) = (KeyFrames::default(), Arrivals::default());
        let (recovery, dependencies) = (Recovery::default(), Dependencies::default());
        let spatial = Vec::new();
        let mut fresh = Encoding { rid, ssrc, key_frames, recovery, dependencies, arrivals, heard: now, rate, spatial };
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

    /// The layer for somebody who may have `limit` at best: the best that flows, or the smallest when all are better.
    pub fn target(&self, limit: u8, now: Instant) -> Option<Layer> {
        let layer = |e: &Encoding, rank| Layer { ssrc: e.ssrc, rank };
        let flowing =
            || self.encodings.iter().flat_map(|e| e.rates(now).into_iter().map(move |(rank, _)| layer(e, rank)));
        let allowed = flowing().filter(|layer| layer.rank <= limit).max_by_key(|layer| layer.rank);
        allowed.or_else(|| flowing().min_by_key(|layer| layer.rank)).or_else(|| Some(self.encodings.last()?.layer()))
    }

    /// Rank and bit rate of each layer that flows and is not better than `limit`, ascending; at least the smallest.
    pub fn rates(&self, limit: u8, now: Instant) -> Vec<(u8, u64)> {
        let mut rates: Vec<(u8, u64)> = self.encodings.iter().flat_map(|e| e.rates(now)).collect();
        rates.sort_unstable();
        let kept = rates.iter().filter(|(rank, _)| *rank <= limit).count();
        rates.truncate(kept.max(1));
        rates
    }

    /// Somebody who may have `limit` at best begins to receive the track at `at` and needs a key frame from then on.
    pub fn want_at(&mut self, limit: u8, at: Instant, now: Instant) {
        let target = self.target(limit, now);
        match target.and_then(|layer| self.encoding(layer.ssrc)) {
            Some(encoding) => encoding.key_frames.want_at(at),
            None => self.wanted_at = Some(self.wanted_at.map_or(at, |wanted| wanted.max(at))),
        }
    }

    /// Whether a packet of encoding `ssrc` ends a gap in which more was lost than its publisher can send again.
    pub fn lost(&mut self, ssrc: u32, sequence: u64, now: Instant) -> bool {
        self.encoding(ssrc).is_some_and(|encoding| now >= encoding.heard + GONE && encoding.arrivals.misses(sequence))
    }

    /// A packet of encoding `ssrc`, heard before, came for the first time; `sequence` does not wrap.
    pub fn count(&mut self, ssrc: u32, sequence: u64) {
        if let Some(encoding) = self.encoding(ssrc) {
            encoding.arrivals.hear(sequence);
        }
    }

    /// The layer that the encoding `ssrc` is.
    pub fn layer(&self, ssrc: u32) -> Option<Layer> {
        self.encodings.iter().find(|e| e.ssrc == ssrc).map(Encoding::layer)
    }

    /// How many layers better than the encoding `ssrc`, or its spatial layer `spatial`, flow and are not better than `limit`.
    pub fn layers_above(&self, ssrc: u32, spatial: Option<u8>, limit: u8, now: Instant) -> u8 {
        let rank = spatial.map(rank_of_spatial);
        let Some(current) = rank.or_else(|| self.layer(ssrc).map(|layer| layer.rank)) else { return 0 };
        let rates = self.encodings.iter().flat_map(|e| e.rates(now));
        rates.filter(|(rank, _)| *rank > current && *rank <= limit).count() as u8
    }

    /// A packet of encoding `ssrc`, heard before, belongs to a spatial layer; `layers` is how many there are, if that was told.
    /// Whether the encoding has several.
    pub fn hear_spatial(&mut self, ssrc: u32, layer: u8, layers: Option<u8>, bytes: usize, now: Instant) -> bool {
        let Some(encoding) = self.encoding(ssrc) else { return false };
        encoding.hear_spatial(layer, layers, bytes, now);
        !encoding.spatial.is_empty()
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

/// Order of spatial layers among the layers that a subscriber may wish for.
pub fn rank_of_spatial(layer: u8) -> u8 {
    layer.saturating_add(1)
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

    /// Tracks of sound.
    pub fn sounds(&mut self) -> impl Iterator<Item = (TrackKey, &mut Track)> {
        self.all.iter_mut().filter(|(_, track)| track.kind == TrackKind::Audio).map(|(key, track)| (*key, track))
    }

    /// How many packets came of each track since the last call.
    pub fn take_arrivals(&mut self) -> HashMap<TrackKey, Arrived> {
        let arrived = |track: &mut Track| {
            track.encodings.iter_mut().map(|e| e.arrivals.take()).fold(Arrived::default(), Arrived::and)
        };
        self.all.iter_mut().map(|(key, track)| (*key, arrived(track))).collect()
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
    fn the_target_is_the_best_allowed_layer_that_flows() {
        let now = Instant::now();
        let mut track = track();
        for (ssrc, rid) in [(1, "q"), (2, "h"), (3, "f")] {
            track.hear(ssrc, Some(Rid::from(rid)), false, 1_000, now);
        }
        let target = |track: &Track, limit, at| track.target(limit, at).map(|layer| layer.ssrc);
        assert_eq!(target(&track, u8::MAX, now), Some(3));
        assert_eq!(target(&track, 2, now), Some(2));
        assert_eq!(target(&track, 0, now), Some(1), "the smallest is always allowed");
        let later = now + SILENT;
        track.hear(1, Some(Rid::from("q")), false, 1_000, later);
        assert_eq!(target(&track, u8::MAX, later), Some(1), "the better ones fell silent");
        assert_eq!(track.rates(3, later), [(1, 16_000)]);
    }

    #[test]
    fn what_was_sent_for_longer_than_it_is_kept_is_lost() {
        let start = Instant::now();
        for (what, sequence, after, lost) in [
            ("the line was gone", 40, GONE, true),
            ("it can be sent again", 40, GONE - Duration::from_millis(1), false),
            ("its publisher paused", 11, GONE, false),
            ("its publisher began anew", 60_000, GONE, false),
        ] {
            let mut track = track();
            assert!(!track.lost(1, 10, start), "the first one");
            track.hear(1, None, true, 1_000, start);
            track.count(1, 10);
            assert_eq!(track.lost(1, sequence, start + after), lost, "{what}");
        }
    }

    #[test]
    fn layers_that_flow_and_are_wanted_are_missed() {
        let now = Instant::now();
        let mut track = track();
        for (ssrc, rid) in [(1, "q"), (2, "h"), (3, "f")] {
            track.hear(ssrc, Some(Rid::from(rid)), false, 1_000, now);
        }
        for (ssrc, limit, expected) in [(1, 3, 2), (1, 2, 1), (1, 1, 0), (3, 3, 0), (9, 3, 0)] {
            assert_eq!(track.layers_above(ssrc, None, limit, now), expected, "{ssrc} of {limit}");
        }
        assert_eq!(track.layers_above(1, None, 3, now + SILENT), 0, "its publisher does not send them");
    }

    #[test]
    fn a_spatial_layer_costs_what_is_below_it_as_well() {
        let now = Instant::now();
        let mut track = track();
        track.hear(7, None, true, 1_000, now);
        assert!(!track.hear_spatial(7, 0, Some(1), 1_000, now), "one layer is none to choose from");
        assert!(track.hear_spatial(7, 0, Some(3), 1_000, now));
        track.hear_spatial(7, 1, None, 2_000, now);
        // Measured over the first 250 ms.
        assert_eq!(track.rates(u8::MAX, now), [(1, 32_000), (2, 96_000)], "the third does not flow");
        track.hear_spatial(7, 2, None, 4_000, now);
        assert_eq!(track.rates(u8::MAX, now).last(), Some(&(3, 224_000)));
        assert_eq!(track.target(2, now), Some(Layer { ssrc: 7, rank: 2 }));
        assert_eq!(track.layers_above(7, Some(0), 3, now), 2);
        assert_eq!(track.layers_above(7, Some(u8::MAX), 3, now), 0);
    }

    #[test]
    fn a_key_frame_makes_a_layer_no_dearer() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        let mut after = |ms: u64, bytes| {
            let now = start + Duration::from_millis(ms);
            rate.add(bytes, now);
            rate.current(now)
        };
        assert_eq!(after(500, 5_000), 80_000, "what came so far");
        assert_eq!(after(1_000, 5_000), 80_000);
        assert_eq!(after(2_000, 100_000), 80_000, "with a key frame");
        assert_eq!(after(3_000, 20_000), 160_000);
        assert_eq!(after(4_000, 20_000), 160_000, "twice as much lasts");
        assert_eq!(after(5_000, 10_000), 80_000);
    }

    #[test]
    fn a_restarted_sender_takes_the_place_of_the_old_one() {
        let now = Instant::now();
        let mut track = track();
        track.hear(1, None, false, 1, now);
        track.hear(9, None, false, 1, now);
        assert_eq!(track.target(u8::MAX, now), Some(Layer { ssrc: 9, rank: 0 }));
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
