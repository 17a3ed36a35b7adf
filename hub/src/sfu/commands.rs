//! What the signalling asks of the media thread.

use std::sync::Arc;
use std::time::Instant;

use str0m::media::Mid;

use super::channels::ChannelKind;
use super::driver::{Driver, guarded};
use super::keyframes::Want;
use super::peer::{Peer, PeerError};
use super::{Command, Member, Notice, PeerId, TrackKey, TrackKind, Use};
use crate::sdp;

impl Driver {
    /// Carries out a command.
    pub(super) fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Open(id, member) => self.open(id, member, now),
            Command::Offer { peer, id, sdp, uses } => {
                let sdp = self.offer(peer, &sdp, &uses, now).map_err(|e| e.to_string());
                self.notify(Notice::Answer { peer, id, sdp });
                if let Some(slot) = self.slots.get(&peer).copied() {
                    self.first_key_frames(slot);
                }
            }
            Command::MakeOffer { peer, id, changes, ice_restart } => {
                let made = self.with(peer, |p| p.make_offer(&changes, ice_restart));
                let (sdp, added) = match made {
                    Ok((sdp, added)) => (Ok(sdp), added),
                    Err(error) => (Err(error.to_string()), Vec::new()),
                };
                self.notify(Notice::Offer { peer, id, sdp, added });
            }
            Command::Answer { peer, sdp } => {
                if let Err(error) = self.with(peer, |p| p.accept_answer(&sdp, now)) {
                    log::info!("{peer:?}: {error}");
                }
                self.subscribe(peer);
                if let Some(slot) = self.slots.get(&peer).copied() {
                    self.first_key_frames(slot);
                }
            }
            Command::Candidate(peer, line) => drop(self.with(peer, |p| {
                p.add_candidate(&line);
                Ok(())
            })),
            Command::Exchange { peer, mid, track } => self.exchange(peer, Mid::from(mid.as_str()), track, now),
            Command::Show { peer, track, wish } => {
                let Some(slot) = self.slots.get(&peer).copied() else { return };
                let Some(peer) = &mut self.peers[slot] else { return };
                let Some(delivery) = peer.deliveries.iter_mut().find(|d| d.track == track) else { return };
                let begins = wish.shown && !delivery.wish.shown;
                if wish.best > delivery.wish.best {
                    delivery.grant.rise(now);
                    peer.estimate.wish_rose();
                }
                delivery.wish = wish;
                self.allocate(slot, now);
                if begins {
                    self.want_key_frame(slot, track, Want::First);
                }
            }
            Command::SetMayData(peer, may) => {
                if let Some(peer) = self.slots.get(&peer).and_then(|slot| self.peers[*slot].as_mut()) {
                    Arc::make_mut(&mut peer.member).may_send_data = may;
                }
            }
            Command::SendData { to, reliable, bytes } => {
                let kind = if reliable { ChannelKind::Reliable } else { ChannelKind::Lossy };
                for slot in 0..self.peers.len() {
                    let Some(peer) = &mut self.peers[slot] else { continue };
                    if to.contains(&peer.id.participant) && peer.takes_data(kind) {
                        peer.send_data(kind, &bytes);
                        self.changed.push(slot);
                    }
                }
            }
            Command::RouteData { from, handle, to } => self.data_routes.set(from, handle, to),
            // Whoever asked may have given up.
            Command::Probe(answer) => drop(answer.send(())),
            Command::Close(peer) => {
                if let Some(slot) = self.slots.get(&peer).copied() {
                    self.close(slot);
                }
            }
        }
        // Twice: a stream's first report is made at the second turn, and is to carry the time of its declaration.
        let changed = self.changed.clone();
        self.settle(now);
        self.changed.extend(changed);
        self.settle(now);
    }

    fn open(&mut self, id: PeerId, member: Member, now: Instant) {
        self.sockets.refresh();
        for address in self.sockets.addresses() {
            if let Err((address, error)) = self.tcp.listen(address.ip()) {
                log::warn!("no media over TCP on {address}: {error}");
            }
        }
        let peer = Box::new(Peer::new(id, member, self.sockets.addresses(), self.tcp.addresses(), now));
        let slot = match self.peers.iter().position(Option::is_none) {
            Some(free) => {
                self.peers[free] = Some(peer);
                free
            }
            None => {
                self.peers.push(Some(peer));
                self.peers.len() - 1
            }
        };
        self.slots.insert(id, slot);
    }

    fn offer(&mut self, id: PeerId, sdp: &str, uses: &[(String, Use)], now: Instant) -> Result<String, PeerError> {
        // A client that comes back may have found the machine at another address than before.
        self.sockets.refresh();
        if let Some(peer) = self.slots.get(&id).and_then(|slot| self.peers[*slot].as_mut()) {
            peer.add_addresses(self.sockets.addresses(), self.tcp.addresses());
        }
        let before: Vec<_> = self.published(id);
        let answer = self.with(id, |p| p.accept_offer(sdp, uses, now))?;
        let kinds = sdp::sections(sdp);
        if let Some(slot) = self.slots.get(&id).copied() {
            for (mid, used) in uses {
                if let Use::Publish(track) = used {
                    let video = kinds.iter().any(|s| s.mid == *mid && s.kind == sdp::SectionKind::Video);
                    let kind = if video { TrackKind::Video } else { TrackKind::Audio };
                    self.tracks.publish(*track, slot, Mid::from(mid.as_str()), kind);
                }
            }
        }
        for track in before {
            if !uses.iter().any(|(_, used)| *used == Use::Publish(track)) {
                self.tracks.unpublish(track);
            }
        }
        self.subscribe(id);
        Ok(answer)
    }

    fn exchange(&mut self, id: PeerId, mid: Mid, track: Option<TrackKey>, now: Instant) {
        let exchanged = self.with(id, |peer| {
            peer.exchange(mid, track, now);
            Ok(())
        });
        if exchanged.is_err() {
            return;
        }
        self.subscribe(id);
        let Some(slot) = self.slots.get(&id).copied() else { return };
        self.allocate(slot, now);
        if let Some(track) = track {
            self.want_key_frame(slot, track, Want::First);
        }
    }

    fn published(&self, id: PeerId) -> Vec<TrackKey> {
        let peer = self.slots.get(&id).and_then(|slot| self.peers[*slot].as_ref());
        peer.map(|p| p.publishing.iter().map(|(_, track)| *track).collect()).unwrap_or_default()
    }

    /// Brings the tracks' lists of subscribers in line with the peer's deliveries.
    fn subscribe(&mut self, id: PeerId) {
        let Some(slot) = self.slots.get(&id).copied() else { return };
        let Some(peer) = &self.peers[slot] else { return };
        let wanted: Vec<_> = peer.deliveries.iter().map(|d| d.track).collect();
        self.tracks.set_subscriptions(slot, &wanted);
    }

    fn with<T>(&mut self, id: PeerId, f: impl FnOnce(&mut Peer) -> Result<T, PeerError>) -> Result<T, PeerError> {
        let slot = self.slots.get(&id).copied();
        let Some((slot, peer)) = slot.and_then(|slot| Some((slot, self.peers[slot].as_mut()?))) else {
            return Err(PeerError::Gone);
        };
        let result = guarded(|| f(peer));
        match result {
            Some(result) => {
                self.changed.push(slot);
                result
            }
            None => {
                self.fail(slot);
                Err(PeerError::Gone)
            }
        }
    }
}
