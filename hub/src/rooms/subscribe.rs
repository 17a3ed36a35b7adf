//! What participants receive: which tracks, and in which sections of their peer connection.

use livekit_protocol as proto;
use proto::signal_response::Message as Response;

use super::{Path, Rooms, layers};
use crate::sdp;
use crate::sfu::{Command, Member, ParticipantKey, PeerId, SectionChange, Side, TrackKey, TrackKind, Use, Wish};

/// What a section of the delivering peer connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionState {
    /// Nothing; the client was told so, and it may carry a track from the next negotiation on.
    Free,
    /// Carries a track.
    Delivering(TrackKey),
}

/// A section in which a participant receives.
#[derive(Debug)]
pub struct Section {
    /// `a=mid`.
    pub mid: String,
    /// Sound or pictures.
    pub kind: TrackKind,
    /// What it does.
    pub state: SectionState,
    /// It carried another track before.
    pub reused: bool,
}

impl Section {
    /// One that carried nothing before.
    pub fn new(mid: &str, kind: TrackKind, state: SectionState) -> Section {
        Section { mid: mid.to_owned(), kind, state, reused: false }
    }
}

impl Rooms {
    /// Tracks that a participant is to receive.
    pub(super) fn wanted(&self, key: ParticipantKey) -> Vec<(TrackKey, TrackKind)> {
        let Some(person) = self.people.get(&key).filter(|p| p.claims.can_subscribe) else { return Vec::new() };
        let others = self.room_members(key).into_iter().filter(|m| *m != key);
        let published = others.filter_map(|m| self.people.get(&m)).flat_map(|p| p.published.iter());
        published
            .filter(|p| p.announced && !person.denied.contains(&p.key))
            .filter(|p| person.wishes.get(&p.key).copied().unwrap_or(person.auto_subscribe))
            .map(|p| (p.key, p.kind()))
            .collect()
    }

    /// Sees to it that a participant receives what it is to receive, by starting a negotiation if one is needed.
    pub(super) fn deliver(&mut self, key: ParticipantKey) {
        self.keep_audience(key);
        match self.people.get(&key).map(|p| p.path) {
            Some(Path::One) => self.ask_for_offer(key),
            Some(Path::Two) => self.offer_changes(key, false),
            Some(Path::Once) => self.exchange(key),
            None => {}
        }
        self.raise_layers(key);
    }

    /// One connection: only the client offers, so it is told how many sections are missing.
    fn ask_for_offer(&mut self, key: ParticipantKey) {
        let wanted = self.wanted(key);
        let Some(person) = self.people.get_mut(&key) else { return };
        // Before its first offer nothing can be asked; while one is answered, the answer comes first.
        if person.last_offer_id == 0 || !person.pending.is_empty() {
            return;
        }
        let delivering = |track: TrackKey| person.sections.iter().any(|s| s.state == SectionState::Delivering(track));
        let is_wanted = |s: &Section| matches!(s.state, SectionState::Delivering(t) if wanted.iter().any(|w| w.0 == t));
        let waiting: Vec<_> = wanted.iter().filter(|(track, _)| !delivering(*track)).collect();
        let to_release = person.sections.iter().any(|s| s.state != SectionState::Free && !is_wanted(s));
        if waiting.is_empty() && !to_release {
            return;
        }
        let missing = |kind: TrackKind, promised: u32| {
            let waiting = waiting.iter().filter(|w| w.1 == kind).count() as u32;
            let free =
                person.sections.iter().filter(|s| s.kind == kind && s.state == SectionState::Free).count() as u32;
            waiting.saturating_sub(free + promised)
        };
        let audios = missing(TrackKind::Audio, person.promised.0);
        let videos = missing(TrackKind::Video, person.promised.1);
        if person.asked && audios == 0 && videos == 0 {
            return;
        }
        person.asked = true;
        person.promised = (person.promised.0 + audios, person.promised.1 + videos);
        let requirement = proto::MediaSectionsRequirement { num_audios: audios, num_videos: videos };
        self.send(key, Response::MediaSectionsRequirement(requirement));
    }

    /// One connection: decides which of the offered sections carry which tracks.
    pub(super) fn assign(&mut self, key: ParticipantKey, offered: &[sdp::Section]) -> Vec<(String, Use)> {
        self.keep_audience(key);
        let wanted = self.wanted(key);
        let Some(person) = self.people.get_mut(&key) else { return Vec::new() };
        let kind = |s: &sdp::Section| match s.kind {
            sdp::SectionKind::Audio => Some(TrackKind::Audio),
            sdp::SectionKind::Video => Some(TrackKind::Video),
            _ => None,
        };
        let usable = |s: &&sdp::Section| !s.rejected && s.direction == sdp::Direction::RecvOnly && kind(s).is_some();
        person.sections.retain(|known| offered.iter().filter(usable).any(|s| s.mid == known.mid));
        for section in offered.iter().filter(usable) {
            if let (Some(kind), false) = (kind(section), person.sections.iter().any(|s| s.mid == section.mid)) {
                person.sections.push(Section::new(&section.mid, kind, SectionState::Free));
            }
        }
        // A section whose track is not wanted any more is answered as inactive once before it carries another, so
        // that the client sees one track end and another begin.
        let mut resting = Vec::new();
        for section in &mut person.sections {
            if let SectionState::Delivering(track) = section.state
                && !wanted.iter().any(|w| w.0 == track)
            {
                section.state = SectionState::Free;
                resting.push(section.mid.clone());
            }
        }
        for (track, kind) in wanted {
            let sections = &mut person.sections;
            if sections.iter().any(|s| s.state == SectionState::Delivering(track)) {
                continue;
            }
            let free = |s: &&mut Section| s.kind == kind && s.state == SectionState::Free && !resting.contains(&s.mid);
            if let Some(section) = sections.iter_mut().find(free) {
                section.state = SectionState::Delivering(track);
            }
        }
        let uses = person.sections.iter().filter_map(|s| match s.state {
            SectionState::Delivering(track) => Some((s.mid.clone(), Use::Deliver(track))),
            SectionState::Free => None,
        });
        uses.collect()
    }

    /// Two connections: the hub offers what changed.
    fn offer_changes(&mut self, key: ParticipantKey, ice_restart: bool) {
        let wanted = self.wanted(key);
        let Some(person) = self.people.get_mut(&key) else { return };
        if person.offering {
            return;
        }
        let mut changes = Vec::new();
        let mut stopped = Vec::new();
        for section in &mut person.sections {
            if let SectionState::Delivering(track) = section.state
                && !wanted.iter().any(|w| w.0 == track)
            {
                section.state = SectionState::Free;
                stopped.push(section.mid.clone());
                changes.push(SectionChange::Stop(section.mid.clone()));
            }
        }
        for (track, kind) in wanted {
            if person.sections.iter().any(|s| s.state == SectionState::Delivering(track)) {
                continue;
            }
            let free = |s: &&mut Section| s.kind == kind && s.state == SectionState::Free && !stopped.contains(&s.mid);
            match person.sections.iter_mut().find(free) {
                Some(section) => {
                    section.state = SectionState::Delivering(track);
                    section.reused = true;
                    changes.push(SectionChange::Reuse(section.mid.clone(), track));
                }
                None => changes.push(SectionChange::Add(track, kind)),
            }
        }
        if changes.is_empty() && !ice_restart {
            return;
        }
        person.offering = true;
        person.last_offer_id += 1;
        let id = person.last_offer_id;
        let peer = PeerId { participant: key, side: Side::Subscriber };
        let open = !std::mem::replace(&mut person.has_subscriber_peer, true);
        let member = Member {
            room: person.room,
            identity: person.identity.clone(),
            sid: person.sid.clone(),
            may_send_data: person.claims.can_publish_data,
            any_certificate: false,
            last_sequence: person.last_sequence.clone(),
        };
        if open {
            self.media(Command::Open(peer, member));
        }
        self.media(Command::MakeOffer { peer, id, changes, ice_restart });
    }

    /// After a resume: two connections restart ICE by an offer of the hub, one by the client's.
    pub(super) fn resume_delivery(&mut self, key: ParticipantKey) {
        let Some(person) = self.people.get_mut(&key) else { return };
        if person.path == Path::Two && person.has_subscriber_peer {
            person.offering = false;
            self.offer_changes(key, true);
        }
    }

    /// A client says which tracks it wants.
    pub(super) fn subscription(&mut self, key: ParticipantKey, update: &proto::UpdateSubscription) {
        let grouped = update.participant_tracks.iter().flat_map(|p| p.track_sids.iter());
        let sids: Vec<String> = update.track_sids.iter().chain(grouped).cloned().collect();
        for sid in sids {
            let Some(track) = self.track_by_sid(key, &sid) else {
                let response = proto::SubscriptionResponse {
                    track_sid: sid,
                    err: proto::SubscriptionError::SeTrackNotfound as i32,
                };
                if update.subscribe {
                    self.send(key, Response::SubscriptionResponse(response));
                }
                continue;
            };
            if let Some(person) = self.people.get_mut(&key) {
                person.wishes.insert(track, update.subscribe);
            }
        }
        self.deliver(key);
    }

    /// A client says how it shows tracks; what it does not show is not sent.
    #[allow(deprecated)] // Older clients say a quality only.
    pub(super) fn track_settings(&mut self, key: ParticipantKey, settings: &proto::UpdateTrackSettings) {
        for sid in &settings.track_sids {
            let Some(track) = self.track_by_sid(key, sid) else { continue };
            let publications = self.owners.get(&track).and_then(|owner| self.people.get(owner)).map(|p| &p.published);
            let Some(publication) = publications.and_then(|all| all.iter().find(|p| p.key == track)) else { continue };
            // Of LiveKit's priorities 1 is the highest, and 0 none.
            let priority = if settings.priority == 0 { 0 } else { u32::MAX - settings.priority };
            let best = layers::best_use(settings, &publication.info);
            self.show(key, track, Wish { shown: !settings.disabled, best, priority });
        }
    }

    fn show(&mut self, key: ParticipantKey, track: TrackKey, wish: Wish) {
        let Some(person) = self.people.get_mut(&key) else { return };
        if person.shows.insert(track, wish).unwrap_or_default() != wish {
            let (peer, wish) = (person.delivering_peer(key), person.granted(track));
            self.media(Command::Show { peer, track, wish });
            self.raise_layers(key);
        }
    }

    /// Repeats what was said before a negotiation made new deliveries.
    pub(super) fn show_again(&mut self, key: ParticipantKey) {
        let Some(person) = self.people.get(&key) else { return };
        let peer = person.delivering_peer(key);
        let unusual = person.shows.iter().filter(|(_, wish)| **wish != Wish::default());
        for (track, wish) in unusual.map(|(track, _)| (*track, person.granted(*track))).collect::<Vec<_>>() {
            self.media(Command::Show { peer, track, wish });
        }
    }

    /// Publishers whose tracks somebody receives for the first time are told.
    pub(super) fn tell_subscribed(&mut self, key: ParticipantKey) {
        let sections = self.people.get(&key).map(|person| person.sections.as_slice()).unwrap_or_default();
        let tracks = sections.iter().filter_map(|section| match section.state {
            SectionState::Delivering(track) => Some(track),
            SectionState::Free => None,
        });
        for track in tracks.collect::<Vec<_>>() {
            let Some(owner) = self.owners.get(&track).copied() else { continue };
            let published =
                self.people.get_mut(&owner).map(|person| person.published.as_mut_slice()).unwrap_or_default();
            let Some(publication) = published.iter_mut().find(|p| p.key == track && !p.subscribed) else { continue };
            publication.subscribed = true;
            let track_sid = publication.info.sid.clone();
            self.send(owner, Response::TrackSubscribed(proto::TrackSubscribed { track_sid }));
        }
    }

    /// What a client that resumes remembers of its subscriptions.
    pub(super) fn sync_state(&mut self, key: ParticipantKey, state: &proto::SyncState) {
        let auto = self.people.get(&key).is_some_and(|p| p.auto_subscribe);
        if let Some(subscription) = &state.subscription {
            // Clients list the exceptions to what they get by default.
            let meant = proto::UpdateSubscription { subscribe: !auto, ..subscription.clone() };
            self.subscription(key, &meant);
        }
        if let Some(update) = &state.data_subscription {
            self.data_subscription(key, update);
        }
        for sid in &state.track_sids_disabled {
            if let Some(track) = self.track_by_sid(key, sid) {
                self.show(key, track, Wish { shown: false, ..Wish::default() });
            }
        }
    }

    /// A subscriber cannot decode a track.
    pub(super) fn undecodable(&mut self, peer: PeerId, track: TrackKey) {
        let owner = self.owners.get(&track).and_then(|owner| self.people.get(owner));
        let Some(publication) = owner.and_then(|owner| owner.published.iter().find(|p| p.key == track)) else { return };
        let track_sid = publication.info.sid.clone();
        let err = proto::SubscriptionError::SeCodecUnsupported as i32;
        self.send(peer.participant, Response::SubscriptionResponse(proto::SubscriptionResponse { track_sid, err }));
    }

    /// A track is gone: nothing of it is to be received.
    pub(super) fn forget_track(&mut self, key: ParticipantKey, track: TrackKey) {
        if let Some(person) = self.people.get_mut(&key) {
            person.wishes.remove(&track);
            person.shows.remove(&track);
            person.denied.remove(&track);
            if person.sections.iter().any(|s| s.state == SectionState::Delivering(track)) {
                self.deliver(key);
            }
        }
    }

    /// A track of the participant's room by its public id.
    fn track_by_sid(&self, key: ParticipantKey, sid: &str) -> Option<TrackKey> {
        let members = self.room_members(key);
        let published = members.iter().filter_map(|m| self.people.get(m)).flat_map(|p| p.published.iter());
        published.filter(|p| p.info.sid == sid).map(|p| p.key).next()
    }
}
