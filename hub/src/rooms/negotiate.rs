//! Offers and answers between clients and the forwarding unit, and what the signalling adds to them.

use std::collections::HashMap;

use livekit_protocol as proto;
use proto::leave_request::Action;
use proto::signal_response::Message as Response;

use super::participant::Publication;
use super::subscribe::{Section, SectionState};
use super::{Moment, Path, Rooms, stream, viewer};
use crate::sdp;
use crate::sfu::{Command, ParticipantKey, PeerId, Side, TrackKey, Use};

/// A client's offer that the forwarding unit is answering.
#[derive(Debug)]
pub struct PendingAnswer {
    id: u32,
    /// The client's number of its offer, to be repeated in the answer.
    client_id: u32,
    /// What to write into the answer, by `a=mid`.
    edits: HashMap<String, sdp::Edit>,
    /// Which section carries which track.
    delivered: HashMap<String, String>,
    published: Vec<TrackKey>,
}

impl Rooms {
    /// A client offers: it publishes, or makes room to receive.
    pub(super) fn client_offer(&mut self, key: ParticipantKey, offer: proto::SessionDescription, _now: Moment) {
        let offered = sdp::sections(&offer.sdp);
        let bound = self.bind(key, &offered);
        let mut uses: Vec<(String, Use)> =
            bound.iter().map(|(mid, track)| (mid.clone(), Use::Publish(*track))).collect();
        match self.people.get(&key).map(|p| p.path) {
            Some(Path::One) => uses.extend(self.assign(key, &offered)),
            Some(Path::Once) => uses.extend(self.reserve(key, &offered)),
            Some(Path::Two) | None => {}
        }
        let (edits, delivered) = self.edits(key, &offered, &uses);
        let Some(person) = self.people.get_mut(&key) else { return };
        person.asked = false;
        person.promised = (0, 0);
        person.last_offer_id += 1;
        let id = person.last_offer_id;
        let published = bound.into_iter().map(|(_, track)| track).collect();
        person.pending.push_back(PendingAnswer { id, client_id: offer.id, edits, delivered, published });
        let peer = PeerId { participant: key, side: Side::Publisher };
        self.media(Command::Offer { peer, id, sdp: offer.sdp, uses });
    }

    fn edits(
        &self,
        key: ParticipantKey,
        offered: &[sdp::Section],
        uses: &[(String, Use)],
    ) -> (HashMap<String, sdp::Edit>, HashMap<String, String>) {
        let mut edits = HashMap::new();
        let mut delivered = HashMap::new();
        let watches = self.people.get(&key).is_some_and(|p| p.watch.is_some());
        for section in offered {
            let edit = match uses.iter().find(|(mid, _)| *mid == section.mid) {
                Some((_, Use::Publish(track))) => self.publish_edit(key, *track, section),
                // Whose track it is may change, and its viewer is not told.
                Some((_, Use::Deliver(_) | Use::Await)) if watches => viewer::edit(section.kind),
                Some((_, Use::Deliver(track))) => {
                    let Some((edit, sid)) = self.deliver_edit(*track, false) else { continue };
                    delivered.insert(section.mid.clone(), sid);
                    edit
                }
                Some((_, Use::Await)) | None => sdp::Edit { msid: Some(None), ..Default::default() },
            };
            edits.insert(section.mid.clone(), edit);
        }
        (edits, delivered)
    }

    /// A publisher sends the first codec of the answer: it is to be the one that it prefers.
    fn publish_edit(&self, key: ParticipantKey, track: TrackKey, section: &sdp::Section) -> sdp::Edit {
        let publication = self.people.get(&key).and_then(|p| p.published.iter().find(|p| p.key == track));
        let codec = publication.map(|p| p.codec.as_str()).unwrap_or_default();
        // Redundancy is sent when it stands before what it repeats, and not when it stands behind.
        let redundant = publication.filter(|p| p.is_redundant()).map(|_| "RED");
        let mut prefer: Vec<String> = Vec::new();
        for wanted in redundant.into_iter().chain([codec]) {
            let is_named = |p: &&String| section.codecs.iter().any(|(n, name)| n == *p && name == wanted);
            prefer.extend(section.payload_types.iter().filter(is_named).cloned());
        }
        prefer.extend(section.payload_types.iter().filter(|p| !prefer.contains(p)).cloned().collect::<Vec<_>>());
        sdp::Edit {
            msid: Some(None),
            prefer,
            // A publisher that does not forbid it sends nothing while it is silent, as LiveKit's servers have it.
            opus: sdp::Opus {
                stereo: publication.is_some_and(|p| p.stereo),
                dtx: publication.is_some_and(Publication::may_pause),
            },
            direction: None,
            start_bitrates: section.start_bitrates.clone(),
        }
    }

    /// How a delivered track is named to its receiver, and its public id.
    ///
    /// In a section of the hub's own offers a receiver keeps the track id that came first in it (W3C WebRTC, section 5.3: the id of a
    /// receiver's track never changes), so in a `reused` one the stream has to name the track.
    fn deliver_edit(&self, track: TrackKey, reused: bool) -> Option<(sdp::Edit, String)> {
        let owner = self.people.get(self.owners.get(&track)?)?;
        let publication = owner.published.iter().find(|p| p.key == track)?;
        let sid = publication.info.sid.clone();
        let name = if reused { "" } else { &publication.info.stream };
        let msid = (stream::msid_stream(&owner.sid, name, &sid), sid.clone());
        let opus = sdp::Opus { stereo: publication.stereo, dtx: false };
        Some((sdp::Edit { msid: Some(Some(msid)), opus, ..Default::default() }, sid))
    }

    /// The forwarding unit answered a client's offer.
    pub(super) fn answered(&mut self, peer: PeerId, id: u32, answer: Result<String, String>, now: Moment) {
        let key = peer.participant;
        let Some(person) = self.people.get_mut(&key) else { return };
        let Some(index) = person.pending.iter().position(|p| p.id == id) else { return };
        let Some(pending) = person.pending.remove(index) else { return };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                log::warn!("an offer of {} was not accepted: {error}", person.identity);
                self.expel(key, proto::DisconnectReason::MediaFailure, Action::Disconnect, now);
                return;
            }
        };
        let sdp = sdp::rewrite(&answer, |mid| pending.edits.get(mid).cloned().unwrap_or_default());
        self.send(
            key,
            Response::Answer(proto::SessionDescription {
                r#type: "answer".into(),
                sdp,
                id: pending.client_id,
                mid_to_track_id: pending.delivered,
            }),
        );
        self.show_again(key);
        self.tell_subscribed(key);
        self.announce_tracks(key, &pending.published);
        self.deliver(key);
    }

    /// The forwarding unit made an offer for the second connection.
    pub(super) fn offered(
        &mut self,
        peer: PeerId,
        id: u32,
        offer: Result<String, String>,
        added: Vec<(TrackKey, String)>,
    ) {
        let key = peer.participant;
        let kinds: Vec<_> = added.iter().map(|(track, _)| self.track_kind(*track)).collect();
        let Some(person) = self.people.get_mut(&key) else { return };
        for ((track, mid), kind) in added.into_iter().zip(kinds) {
            person.sections.push(Section::new(&mid, kind, SectionState::Delivering(track)));
        }
        let offer = match offer {
            Ok(offer) => offer,
            Err(error) => {
                log::debug!("nothing to offer to {}: {error}", person.identity);
                person.offering = false;
                return;
            }
        };
        let delivering: Vec<(String, TrackKey, bool)> = person
            .sections
            .iter()
            .filter_map(|s| match s.state {
                SectionState::Delivering(track) => Some((s.mid.clone(), track, s.reused)),
                SectionState::Free => None,
            })
            .collect();
        let mut delivered = HashMap::new();
        let mut edits = HashMap::new();
        for (mid, track, reused) in delivering {
            if let Some((edit, sid)) = self.deliver_edit(track, reused) {
                delivered.insert(mid.clone(), sid);
                edits.insert(mid, edit);
            }
        }
        let sdp = sdp::rewrite(&offer, |mid| edits.get(mid).cloned().unwrap_or_default());
        let description = proto::SessionDescription { r#type: "offer".into(), sdp, id, mid_to_track_id: delivered };
        self.send(key, Response::Offer(description));
    }

    fn track_kind(&self, track: TrackKey) -> crate::sfu::TrackKind {
        let owner = self.owners.get(&track).and_then(|key| self.people.get(key));
        let publication = owner.and_then(|p| p.published.iter().find(|p| p.key == track));
        publication.map_or(crate::sfu::TrackKind::Video, |p| p.kind())
    }

    /// A client answered the hub's offer.
    pub(super) fn client_answer(&mut self, key: ParticipantKey, answer: proto::SessionDescription, _now: Moment) {
        let Some(person) = self.people.get_mut(&key) else { return };
        // An answer to an offer that another has replaced says nothing about the present.
        let stale = answer.id != 0 && answer.id != person.last_offer_id && person.path == Path::One;
        if stale || !person.offering {
            return;
        }
        person.offering = false;
        let peer = PeerId { participant: key, side: Side::Subscriber };
        self.media(Command::Answer { peer, sdp: answer.sdp });
        self.show_again(key);
        self.tell_subscribed(key);
        self.deliver(key);
    }
}
