//! Clients that speak HTTP only (WHIP, WHEP): whether they may begin, and what a viewer gets to see.
//!
//! Such a client negotiates once. So a viewer's sections are answered whether or not there is a track for them yet, and the
//! tracks on them are exchanged without its being told: a stream may end and return, or add its picture later.

use livekit_protocol as proto;
use proto::request_response::Reason;
use zego_protocol::error::sentence;

use super::subscribe::{Section, SectionState};
use super::{Denial, Join, Rooms};
use crate::sdp;
use crate::sfu::{Command, ParticipantKey, PeerId, Side, TrackKey, TrackKind, Use};

/// There is no such stream.
const STREAM_NOT_FOUND: i32 = 1_004_002;
/// The token does not allow playing.
const PLAY_FORBIDDEN: i32 = 1_004_025;

/// What a viewer came to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// ZEGO stream id; empty: the first that there is.
    asked: String,
    /// The one that it sees, or saw last.
    shown: String,
}

impl Watch {
    /// A viewer that has not seen anything yet.
    pub fn new(asked: String) -> Watch {
        Watch { asked, shown: String::new() }
    }

    /// The stream to show of those that are there, in their order; the one that is shown stays while it lasts.
    fn choose<'a>(&self, there: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
        let named = |wanted: &str| there.clone().find(|stream| *stream == wanted);
        if !self.asked.is_empty() {
            return named(&self.asked);
        }
        named(&self.shown).or_else(|| there.clone().next())
    }
}

/// How a viewer's section is answered: it is one stream, whatever is shown in it.
pub fn edit(kind: sdp::SectionKind) -> sdp::Edit {
    let track = if kind == sdp::SectionKind::Audio { "audio" } else { "video" };
    sdp::Edit {
        msid: Some(Some(("stream".to_owned(), track.to_owned()))),
        // Whoever expects two channels plays one as well.
        opus: sdp::Opus { stereo: true, dtx: false },
        ..Default::default()
    }
}

impl Rooms {
    /// Whether a client that speaks HTTP only may begin what it came for. Later nothing could be refused but the whole session.
    pub fn may_begin(&self, join: &Join) -> Result<(), Denial> {
        self.may_join(join)?;
        let present = self.present(join);
        for add in &join.add_tracks {
            self.may_publish_as(&join.claims, present, add).map_err(|(reason, message)| match reason {
                Reason::DuplicateName => Denial::StreamTaken(message),
                _ => Denial::Forbidden(message),
            })?;
        }
        let Some(stream) = &join.watches else { return Ok(()) };
        if !join.claims.can_subscribe {
            let message = sentence(PLAY_FORBIDDEN, "The token does not allow watching (canSubscribe)");
            return Err(Denial::Forbidden(message));
        }
        let members = self.rooms.values().filter(|room| room.app == join.claims.app_id && room.name == join.room);
        let others = members.flat_map(|room| &room.members).filter(|key| Some(**key) != present);
        let mut published = others.filter_map(|key| self.people.get(key)).flat_map(|p| &p.published);
        if published.any(|p| p.announced && (stream.is_empty() || p.stream_id == *stream)) {
            return Ok(());
        }
        let detail = match stream.as_str() {
            "" => format!("Nobody publishes in room '{}' now", join.room),
            stream => format!("Stream '{stream}' is not published in room '{}' now", join.room),
        };
        Err(Denial::NothingToWatch(sentence(STREAM_NOT_FOUND, &detail)))
    }

    /// The first sections of a viewer's offer that can receive sound and pictures, with what they carry now, if anything.
    pub(super) fn reserve(&mut self, key: ParticipantKey, offered: &[sdp::Section]) -> Vec<(String, Use)> {
        self.keep_audience(key);
        self.choose(key);
        let Some(person) = self.people.get_mut(&key).filter(|p| p.watch.is_some()) else { return Vec::new() };
        for (kind, wanted) in [(TrackKind::Audio, sdp::SectionKind::Audio), (TrackKind::Video, sdp::SectionKind::Video)]
        {
            let usable = |s: &&sdp::Section| !s.rejected && s.kind == wanted && s.direction == sdp::Direction::RecvOnly;
            let first = offered.iter().find(usable).filter(|_| !person.sections.iter().any(|s| s.kind == kind));
            person.sections.extend(first.map(|s| Section::new(&s.mid, kind, SectionState::Free)));
        }
        self.fill(key);
        let Some(person) = self.people.get(&key) else { return Vec::new() };
        let used = person.sections.iter().map(|section| match section.state {
            SectionState::Delivering(track) => (section.mid.clone(), Use::Deliver(track)),
            SectionState::Free => (section.mid.clone(), Use::Await),
        });
        used.collect()
    }

    /// Gives a viewer what there is to see now.
    pub(super) fn exchange(&mut self, key: ParticipantKey) {
        self.choose(key);
        let peer = PeerId { participant: key, side: Side::Publisher };
        for (mid, track) in self.fill(key) {
            self.media(Command::Exchange { peer, mid, track });
        }
    }

    /// Turns a viewer's choice of stream into its choice of tracks.
    fn choose(&mut self, key: ParticipantKey) {
        let Some(person) = self.people.get(&key) else { return };
        let Some(watch) = &person.watch else { return };
        let others = self.room_members(key).into_iter().filter(|member| *member != key);
        let published = others.filter_map(|member| self.people.get(&member)).flat_map(|p| &p.published);
        let there: Vec<_> = published.filter(|p| p.announced && !person.denied.contains(&p.key)).collect();
        let Some(stream) = watch.choose(there.iter().map(|p| p.stream_id.as_str())).map(str::to_owned) else {
            return;
        };
        let first = |kind| there.iter().find(|p| p.stream_id == stream && p.kind() == kind).map(|p| p.key);
        let wishes = [TrackKind::Audio, TrackKind::Video].into_iter().filter_map(first).map(|track| (track, true));
        let wishes = wishes.collect();
        if let Some(person) = self.people.get_mut(&key) {
            person.wishes = wishes;
            if let Some(watch) = &mut person.watch {
                watch.shown = stream;
            }
        }
    }

    /// Puts the wanted tracks on a viewer's sections; returns those that changed.
    fn fill(&mut self, key: ParticipantKey) -> Vec<(String, Option<TrackKey>)> {
        let wanted = self.wanted(key);
        let Some(person) = self.people.get_mut(&key).filter(|p| p.watch.is_some()) else { return Vec::new() };
        let mut changed = Vec::new();
        for section in &mut person.sections {
            let track = wanted.iter().find(|(_, kind)| *kind == section.kind).map(|(track, _)| *track);
            let state = track.map_or(SectionState::Free, SectionState::Delivering);
            if section.state != state {
                section.state = state;
                changed.push((section.mid.clone(), track));
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_stream_stays_while_it_lasts_and_another_is_never_shown_for_one_that_was_asked_for() {
        // Asked for, shown, there; to be shown.
        let cases: [(&str, &str, &[&str], Option<&str>); 7] = [
            ("", "", &[], None),
            ("", "", &["a", "a", "b"], Some("a")),
            ("", "b", &["a", "b"], Some("b")),
            ("", "b", &["a"], Some("a")),
            ("b", "", &["a", "b"], Some("b")),
            ("b", "b", &["a"], None),
            ("b", "", &[], None),
        ];
        for (asked, shown, there, expected) in cases {
            let watch = Watch { asked: asked.to_owned(), shown: shown.to_owned() };
            assert_eq!(watch.choose(there.iter().copied()), expected, "{asked:?} {shown:?} {there:?}");
        }
    }
}
