//! What is known of the bandwidth towards each subscriber, and what follows for the layers that it gets.

use std::time::{Duration, Instant};

use str0m::bwe::{Bitrate, BweKind};

use super::allocation::{Demand, allocate};
use super::driver::Driver;
use super::keyframes::Want;
use super::layers::Layer;
use super::tracks::rank_of_spatial;
use super::{Notice, TrackKey, TrackKind};

/// How often bandwidth is shared out anew without news of it: publishers' bit rates change.
const INTERVAL: Duration = Duration::from_millis(250);
/// An estimate that does not move for so long although as much is sent as it allows is one that the estimator holds, for up to a
/// minute: after several losses in a row its loss controller (libwebrtc's `LossBasedBweV2`) waits twice as long each time.
const HELD: Duration = Duration::from_secs(4);

/// Bandwidth towards a subscriber in bit/s.
#[derive(Debug, Default)]
pub struct Estimate {
    /// The mean of three seconds; `None` as long as nothing is known.
    smooth: Option<u64>,
    /// The present one.
    newest: Option<u64>,
    /// When that changed.
    changed_at: Option<Instant>,
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

    /// The estimate, if it is held while `sought` is to be sent, padding included.
    fn held(&self, sought: u64, now: Instant) -> Option<u64> {
        let is_held = self.changed_at.is_some_and(|at| now >= at + HELD);
        self.newest.filter(|newest| is_held && *newest < sought)
    }
}

impl Driver {
    /// The bandwidth towards a subscriber was estimated.
    pub(super) fn estimated(&mut self, slot: usize, estimate: &BweKind, now: Instant) {
        let Some(peer) = &mut self.peers[slot] else { return };
        peer.estimate.smooth = match estimate {
            BweKind::Twcc { estimate, can_probe: true } => Some(estimate.as_u64()),
            // Without reports nothing is known, and nothing is held back.
            BweKind::Twcc { .. } => None,
            BweKind::Remb { estimate, .. } => Some(estimate.as_u64()),
            _ => return,
        };
        self.allocate(slot, now);
    }

    /// The newest estimate, before it is smoothed.
    pub(super) fn estimated_now(&mut self, slot: usize, newest: Option<Bitrate>, now: Instant) {
        let Some(peer) = &mut self.peers[slot] else { return };
        let before = peer.estimate.budget();
        peer.estimate.update(newest.map(|estimate| estimate.as_u64()), now);
        if let Some(held) = peer.estimate.held(peer.sought.1, now) {
            log::debug!("{}: {held} bit/s are held, the estimate begins anew", peer.member.identity);
            peer.estimate.changed_at = Some(now);
            peer.rtc.bwe().reset(Bitrate::from(held));
        }
        if peer.estimate.budget() < before {
            self.allocate(slot, now);
        }
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
        let mut fixed = 0;
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
                    pictures.push(index);
                }
            }
        }
        if demands.is_empty() {
            return;
        }
        let shared = allocate(budget, fixed, &demands);
        let id = peer.id;
        let (mut news, mut fallen) = (Vec::new(), Vec::new());
        for ((index, rank), demand) in pictures.into_iter().zip(shared.ranks).zip(&demands) {
            // The best that there is now is no limit to what may come.
            let best = demand.layers.last().is_some_and(|(best, _)| Some(*best) == rank);
            let delivery = &mut peer.deliveries[index];
            let before = (delivery.grant.rank(), delivery.grant.paused());
            let offered = if best { Some(u8::MAX) } else { rank };
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
        let sought = (padding.min(budget), shared.best.max(padding));
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
        let spatial = delivery.spatial.current();
        let current = match spatial {
            Some(layer) => Some(Layer { ssrc: target.ssrc, rank: rank_of_spatial(layer) }),
            None => delivery.selection.current().and_then(|ssrc| track.layer(ssrc)),
        };
        // Layers of one stream lean on each other: what the full queue lost of the small ones breaks all that follows, up to a key frame.
        let most = if spatial.is_some() { target.rank } else { ceiling };
        let is_cut = current.is_some_and(|layer| layer.rank > most);
        if spatial.is_some() && !is_cut {
            return;
        }
        if is_cut {
            peer.cut_layer(key);
        }
        let publisher = track.publisher;
        if current != Some(target)
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
            let estimate = Estimate { smooth, newest, changed_at: None };
            assert_eq!(estimate.budget(), expected, "{smooth:?} {newest:?}");
        }
    }

    #[test]
    fn an_estimate_that_does_not_move_while_more_is_sought_is_held() {
        let start = Instant::now();
        let mut estimate = Estimate::default();
        assert_eq!(estimate.held(2_000, start + HELD), None, "nothing was estimated");
        // (ms, estimate, sought, held)
        let steps: &[(u64, u64, u64, bool)] = &[
            (0, 900, 2_000, false),
            (3_000, 900, 2_000, false),
            (3_900, 901, 2_000, false),
            (7_800, 901, 2_000, false),
            (7_900, 901, 901, false),
            (7_900, 901, 2_000, true),
            (8_000, 1_000, 2_000, false),
        ];
        for (ms, newest, sought, expected) in steps {
            let now = start + Duration::from_millis(*ms);
            estimate.update(Some(*newest), now);
            assert_eq!(estimate.held(*sought, now), expected.then_some(*newest), "at {ms} ms");
        }
    }
}
