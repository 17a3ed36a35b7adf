//! Tells who speaks and how good connections are, when it is time.

use std::collections::HashMap;
use std::time::Instant;

use super::arrivals::Arrived;
use super::driver::Driver;
use super::peer::Peer;
use super::quality::{Rating, Window};
use super::tracks::Tracks;
use super::{Notice, ParticipantKey, TrackKey, TrackKind, loudness, quality};

/// Score of a connection from which nothing comes.
const SILENT: f64 = 0.0;
/// Score of a connection on which nothing goes wrong.
const BEST: f64 = 100.0;

impl Driver {
    /// Tells which tracks became louder or quieter.
    pub(super) fn tell_loudness(&mut self, now: Instant) {
        if self.next_loudness.is_none_or(|at| at > now) {
            return;
        }
        let (mut news, mut goes_on) = (Vec::new(), false);
        for (key, track) in self.tracks.sounds() {
            let step = track.loudness.step(now);
            goes_on |= track.loudness.is_fresh(now);
            if std::mem::replace(&mut track.told_loudness, step) != step {
                news.push((key, step));
            }
        }
        // The next packet of sound begins it again.
        self.next_loudness = goes_on.then(|| now + loudness::INTERVAL);
        if !news.is_empty() {
            self.notify(Notice::Loudness(news));
        }
    }

    /// Rates all participants' connections; one with two is as good as the worse of them.
    pub(super) fn rate(&mut self, now: Instant) {
        if self.next_rating.is_none_or(|at| at > now) {
            return;
        }
        let arrived = self.tracks.take_arrivals();
        let mut scores: HashMap<ParticipantKey, f64> = HashMap::new();
        for peer in self.peers.iter_mut().flatten().filter(|peer| peer.connected) {
            let score = if peer.silent { SILENT } else { score(peer, &mut self.tracks, &arrived, now) };
            let worst = scores.entry(peer.id.participant).or_insert(BEST);
            *worst = worst.min(score);
        }
        self.rated.retain(|participant, _| scores.contains_key(participant));
        self.next_rating = (!scores.is_empty()).then(|| now + quality::INTERVAL);
        for (participant, score) in scores {
            let rating = Rating::of(score);
            if self.rated.insert(participant, rating.level) != Some(rating.level) {
                self.notify(Notice::Rated(participant, rating));
            }
        }
    }
}

/// Score of the worst track that a peer publishes or gets.
fn score(peer: &mut Peer, tracks: &mut Tracks, arrived: &HashMap<TrackKey, Arrived>, now: Instant) -> f64 {
    let (publishing, deliveries) = (&peer.publishing, &peer.deliveries);
    let has = |key: &TrackKey| publishing.iter().any(|(_, k)| k == key) || deliveries.iter().any(|d| d.track == *key);
    peer.scores.retain(|key, _| has(key));
    let mut worst = BEST;
    for (mid, key) in &peer.publishing {
        let Some(track) = tracks.get_mut(*key) else { continue };
        let Arrived { expected, lost } = arrived.get(key).copied().unwrap_or_default();
        let window = Window { expected, lost, delay: peer.reports.wait(*mid, track.kind), ..Window::default() };
        worst = worst.min(peer.scores.entry(*key).or_default().update(track.kind, &window));
    }
    for delivery in &peer.deliveries {
        let Some(track) = tracks.get_mut(delivery.track) else { continue };
        let sent = peer.reports.take_sent(delivery.mid, track.kind);
        // Its publisher's losses are passed on as gaps: they are not this link's.
        let before = arrived.get(&delivery.track).map_or(0, |arrived| arrived.lost);
        let (pictures, wish) = (track.kind == TrackKind::Video, &delivery.wish);
        let current = delivery.selection.current().filter(|_| pictures && wish.shown);
        let window = Window {
            expected: sent.packets,
            lost: sent.lost.saturating_sub(before),
            delay: sent.delay,
            missing_layers: current
                .map_or(0, |ssrc| track.layers_above(ssrc, delivery.spatial.current(), wish.best, now)),
            paused: pictures && wish.shown && delivery.grant.paused(),
        };
        worst = worst.min(peer.scores.entry(delivery.track).or_default().update(track.kind, &window));
    }
    worst
}
