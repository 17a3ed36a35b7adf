//! What is known of the bandwidth towards each subscriber, and what follows for the layers that it gets.

use std::time::{Duration, Instant};

use str0m::bwe::{Bitrate, BweKind};
use str0m::stats::PeerStats;

use super::allocation::{Demand, allocate};
use super::driver::Driver;
use super::keyframes::Want;
use super::{Notice, TrackKey, TrackKind};

/// How often bandwidth is shared out anew without news of it: publishers' bit rates change.
const INTERVAL: Duration = Duration::from_millis(250);
/// An estimate that does not move for so long although there is padding towards more is one that the estimator holds, for up to a
/// minute: after several losses in a row its loss controller (libwebrtc's `LossBasedBweV2`) waits twice as long each time.
const HELD: Duration = Duration::from_secs(4);
/// From this share of lost packets on a link is taken for too narrow.
const LOSS: f32 = 0.02;

/// Bandwidth towards a subscriber in bit/s.
#[derive(Debug, Default)]
pub struct Estimate {
    /// The mean of three seconds; `None` as long as nothing is known.
    smooth: Option<u64>,
    /// The present one.
    newest: Option<u64>,
    /// When that changed.
    changed_at: Option<Instant>,
    /// Share of packets that were lost lately.
    loss: f32,
    /// When it was not believed.
    disbelieved_at: Option<Instant>,
}

impl Estimate {
    /// What may be sent. A link that got narrow must be answered before its queue is full, so the newest estimate
    /// counts when it is lower; more is believed only when it lasts.
    fn budget(&self) -> Option<u64> {
        let smooth = self.smooth?;
        Some(self.newest.map_or(smooth, |newest| newest.min(smooth)))
    }

    fn update(&mut self, newest: Option<u64>, now: Instant) {
        if self.newest != newest {
            (self.newest, self.changed_at) = (newest, Some(now));
        }
    }

    /// The estimate, if it is held while `padding` is sent and `sought` is to be found. Without padding no more is sent than what
    /// flows, and an estimate that is not put to the test has no reason to move.
    fn held(&self, (padding, sought): (u64, u64), now: Instant) -> Option<u64> {
        let is_held = padding > 0 && self.changed_at.is_some_and(|at| now >= at + HELD);
        self.newest.filter(|newest| is_held && *newest < sought)
    }

    /// The estimate up to now, if the new one, which fell, says nothing of the link: when more begins to flow than did, the estimator takes
    /// the burst of a key frame for too much and believes only in what arrived before. A link that carries no more loses packets.
    fn misjudged(&mut self, fallen: Option<u64>, now: Instant) -> Option<u64> {
        let (before, after) = (self.newest?, fallen?);
        let is_first = self.disbelieved_at.is_none_or(|at| now >= at + HELD);
        if after >= before - before / 4 || self.loss > LOSS || !is_first {
            return None;
        }
        self.disbelieved_at = Some(now);
        Some(before)
    }

    /// More is wished for: a step of its own, whose burst may be misjudged as well, however soon it comes after another.
    pub fn wish_rose(&mut self) {
        self.disbelieved_at = None;
    }
}

impl Driver {
    /// The bandwidth towards a subscriber was estimated.
    pub(super) fn estimated(&mut self, slot: usize, estimate: &BweKind, now: Instant) {
        let smooth = match estimate {
            BweKind::Twcc { estimate, can_probe: true } => Some(estimate.as_u64()),
            // Without reports nothing is known, and nothing is held back.
            BweKind::Twcc { .. } => None,
            BweKind::Remb { estimate, .. } => Some(estimate.as_u64()),
            _ => return,
        };
        if self.disbelieves(slot, smooth, now) {
            return;
        }
        let Some(peer) = &mut self.peers[slot] else { return };
        peer.estimate.smooth = smooth;
        self.allocate(slot, now);
    }

    /// The newest estimate, before it is smoothed.
    pub(super) fn estimated_now(&mut self, slot: usize, stats: &PeerStats, now: Instant) {
        let Some(peer) = &mut self.peers[slot] else { return };
        let newest = stats.bwe_tx.map(|estimate| estimate.as_u64());
        peer.estimate.loss = stats.egress_loss_fraction.unwrap_or(0.0);
        let before = peer.estimate.budget();
        if self.disbelieves(slot, newest, now) {
            return;
        }
        let Some(peer) = &mut self.peers[slot] else { return };
        peer.estimate.update(newest, now);
        if let Some(held) = peer.estimate.held(peer.sought, now) {
            log::debug!("{}: {held} bit/s are held, the estimate begins anew", peer.member.identity);
            peer.estimate.changed_at = Some(now);
            peer.rtc.bwe().reset(Bitrate::from(held));
        }
        if peer.estimate.budget() < before {
            self.allocate(slot, now);
        }
    }

    /// Whether an estimate is one that a step up misled. What was known stays then, and the estimator begins anew from it.
    fn disbelieves(&mut self, slot: usize, estimate: Option<u64>, now: Instant) -> bool {
        let Some(peer) = &mut self.peers[slot] else { return false };
        if !peer.deliveries.iter().any(|delivery| delivery.grant.is_settling(now)) {
            return false;
        }
        let Some(believed) = peer.estimate.misjudged(estimate, now) else { return false };
        log::debug!("{}: {estimate:?} bit/s are not believed, the estimate begins anew", peer.member.identity);
        peer.rtc.bwe().reset(Bitrate::from(believed));
        self.changed.push(slot);
        true
    }

    /// Shares out all subscribers' bandwidth when it is time.
    pub(super) fn allocate_due(&mut self, now: Instant) {
        if self.next_allocation.is_none_or(|at| at > now) {
            return;
        }
        self.next_allocation = None;
        for slot in 0..self.peers.len() {
            self.allocate(slot, now);
        }
    }

    /// Shares one subscriber's bandwidth among the tracks that it gets.
    pub(super) fn allocate(&mut self, slot: usize, now: Instant) {
        let Some(peer) = self.peers.get_mut(slot).and_then(Option::as_mut) else { return };
        let Some(budget) = peer.estimate.budget() else { return };
        let (mut fixed, mut everything) = (0, 0);
        let mut demands = Vec::new();
        let mut pictures = Vec::new();
        for (index, delivery) in peer.deliveries.iter().enumerate().filter(|(_, d)| d.wish.shown) {
            let Some(track) = self.tracks.get_mut(delivery.track) else { continue };
            let layers = track.rates(delivery.wish.best, now);
            match track.kind {
                _ if layers.is_empty() => {}
                TrackKind::Audio => fixed += layers[0].1,
                // It cannot be made smaller, and not every client copes with a pause: the publisher is to adapt.
                TrackKind::Video if layers[0].0 == 0 => fixed += layers[0].1,
                TrackKind::Video => {
                    let granted = (!delivery.grant.paused()).then_some(delivery.grant.rank());
                    let is_settling = delivery.grant.is_settling(now);
                    demands.push(Demand { priority: delivery.wish.priority, layers, granted, is_settling });
                    everything += track.rates(u8::MAX, now).last().map_or(0, |(_, rate)| *rate);
                    pictures.push((index, delivery.flowing(track)));
                }
            }
        }
        if demands.is_empty() {
            return;
        }
        let shared = allocate(budget, fixed, &demands);
        let id = peer.id;
        let (mut news, mut fallen) = (Vec::new(), Vec::new());
        for (((index, flowing), rank), demand) in pictures.into_iter().zip(shared.ranks).zip(&demands) {
            // The best that there is now is no limit to what may come.
            let best = demand.layers.last().is_some_and(|(best, _)| Some(*best) == rank);
            let delivery = &mut peer.deliveries[index];
            let before = (delivery.grant.rank(), delivery.grant.paused());
            let offered = if best { Some(u8::MAX) } else { rank };
            // A wish for more than flows is not yet more than the link carries.
            if let Some(limit) = offered.filter(|offered| !before.1 && flowing.is_none_or(|rank| rank <= *offered)) {
                delivery.grant.limit(limit);
            }
            // What a link carries whose queue is to run empty is not known yet.
            let is_draining = delivery.grant.is_draining(now);
            delivery.grant.update(offered.map(|rank| if is_draining { rank.min(before.0) } else { rank }), now);
            let (rank, paused) = (delivery.grant.rank(), delivery.grant.paused());
            if before != (rank, paused) {
                let identity = &peer.member.identity;
                let state = if paused { " (paused)" } else { "" };
                log::debug!("{identity}: layer {rank}{state} of {} at {budget} bit/s", delivery.track);
            }
            if rank < before.0 && !paused {
                fallen.push(delivery.track);
            }
            if before.1 != paused {
                news.push(Notice::StreamState { peer: id, track: delivery.track, paused });
            }
        }
        // Padding up to the next step shows whether the link carries it, and goes on until that step flows: the estimator takes the burst
        // of its key frame for too much, and then believes in what arrived just before. A burst of padding is no better, so that it
        // begins with what is believed. What is sought follows the publishers' rates coarsely: each increase makes the estimator probe.
        let is_draining = peer.deliveries.iter().any(|delivery| delivery.grant.is_draining(now));
        let is_rising = peer.deliveries.iter().any(|delivery| delivery.grant.is_rising(now));
        let padding = match shared.next {
            _ if is_draining => 0,
            None if is_rising && budget >= shared.best => shared.best,
            next => next.unwrap_or(0),
        };
        // The estimator probes for twice of what is sought, and believes in no more than that. For whoever wishes for less now and for more
        // later, what is known of the link is kept.
        let known = budget.min(fixed + everything + everything / 4);
        let sought = (padding.min(budget), shared.best.max(padding).max(known / 2));
        let near = |old: u64, new: u64| old.abs_diff(new) <= old / 8;
        if !near(peer.sought.0, sought.0) || !near(peer.sought.1, sought.1) {
            peer.sought = sought;
            peer.rtc.bwe().set_bitrate(Bitrate::from(sought.0), Bitrate::from(sought.1));
            self.changed.push(slot);
        }
        self.next_allocation.get_or_insert(now + INTERVAL);
        news.into_iter().for_each(|notice| self.notify(notice));
        fallen.into_iter().for_each(|track| self.fall(slot, track, now));
    }

    /// A subscriber is to go on with a smaller layer. Its key frame is asked for before its next packet comes.
    fn fall(&mut self, slot: usize, key: TrackKey, now: Instant) {
        let Some(peer) = self.peers.get_mut(slot).and_then(Option::as_mut) else { return };
        let Some(delivery) = peer.deliveries.iter().find(|d| d.track == key) else { return };
        let Some(track) = self.tracks.get_mut(key) else { return };
        let Some(target) = track.target(delivery.best(), now) else { return };
        let ceiling = delivery.grant.ceiling().max(target.rank);
        let is_spatial = delivery.spatial.current().is_some();
        let flowing = delivery.flowing(track);
        // Layers of one stream lean on each other: what the full queue lost of the small ones breaks all that follows, up to a key frame.
        let most = if is_spatial { target.rank } else { ceiling };
        let is_cut = flowing.is_some_and(|rank| rank > most);
        if is_spatial && !is_cut {
            return;
        }
        if is_cut {
            peer.cut_layer(key);
        }
        let publisher = track.publisher;
        if flowing != Some(target.rank)
            && track.encoding(target.ssrc).is_some_and(|encoding| encoding.key_frames.want(Want::Repair, now))
        {
            self.ask_for_key_frame(publisher, target.ssrc);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fall_counts_at_once_and_a_rise_when_it_lasts() {
        let cases = [
            (None, Some(1), None),
            (Some(900), None, Some(900)),
            (Some(900), Some(300), Some(300)),
            (Some(900), Some(2_000), Some(900)),
        ];
        for (smooth, newest, expected) in cases {
            let estimate = Estimate { smooth, newest, ..Estimate::default() };
            assert_eq!(estimate.budget(), expected, "{smooth:?} {newest:?}");
        }
    }

    #[test]
    fn an_estimate_that_falls_for_no_loss_is_not_believed_at_first() {
        let start = Instant::now();
        let mut estimate = Estimate::default();
        estimate.update(Some(1_000), start);
        // (ms, estimate, loss, disbelieved)
        let steps: &[(u64, u64, f32, bool)] = &[
            (0, 800, 0.0, false),
            (100, 400, 0.05, false),
            (200, 400, 0.0, true),
            (300, 400, 0.0, false),
            (4_200, 400, 0.01, true),
        ];
        for (ms, newest, loss, expected) in steps {
            let now = start + Duration::from_millis(*ms);
            estimate.loss = *loss;
            assert_eq!(estimate.misjudged(Some(*newest), now), expected.then_some(1_000), "at {ms} ms");
        }
        let now = start + Duration::from_millis(4_300);
        assert_eq!(estimate.misjudged(Some(400), now), None);
        estimate.wish_rose();
        assert_eq!(estimate.misjudged(Some(400), now), Some(1_000), "another step");
        assert_eq!(estimate.misjudged(Some(400), now), None);
    }

    #[test]
    fn an_estimate_that_does_not_move_while_more_is_sought_is_held() {
        let start = Instant::now();
        let mut estimate = Estimate::default();
        assert_eq!(estimate.held((900, 2_000), start + HELD), None, "nothing was estimated");
        // (ms, estimate, padding and sought, held)
        let steps: &[(u64, u64, (u64, u64), bool)] = &[
            (0, 900, (900, 2_000), false),
            (3_000, 900, (900, 2_000), false),
            (3_900, 901, (900, 2_000), false),
            (7_800, 901, (900, 2_000), false),
            (7_900, 901, (900, 901), false),
            (7_900, 901, (0, 2_000), false),
            (7_900, 901, (900, 2_000), true),
            (8_000, 1_000, (900, 2_000), false),
        ];
        for (ms, newest, sought, expected) in steps {
            let now = start + Duration::from_millis(*ms);
            estimate.update(Some(*newest), now);
            assert_eq!(estimate.held(*sought, now), expected.then_some(*newest), "at {ms} ms");
        }
    }
}
