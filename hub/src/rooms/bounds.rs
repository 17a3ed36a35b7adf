//! How large may be what clients say. What is beyond is not done: it would be kept, repeated to everybody in the room, or compared with
//! everything that is there.

use std::collections::HashMap;

use livekit_protocol as proto;
use proto::signal_request::Message as Request;

use crate::sdp;

/// LiveKit's limit for names of rooms and participants, in bytes.
pub const NAME: usize = 256;
/// LiveKit's limit for metadata, and for all attributes together, in bytes.
pub const TEXT: usize = 64_000;
/// Names and ids of tracks, in bytes.
const TRACK_NAME: usize = 512;
/// Entries of lists that describe one track, such as its layers.
const DETAILS: usize = 16;
/// Tracks that one message may name.
const NAMED_TRACKS: usize = 4_096;
/// Participants that one message may name.
const NAMED_PARTICIPANTS: usize = 1_024;
/// An ICE candidate with what is around it, in bytes.
const CANDIDATE: usize = 4_096;

/// What is too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// A name or a text.
    #[error("{what} has more than {most} bytes")]
    Text {
        /// Which.
        what: &'static str,
        /// What it may have.
        most: usize,
    },
    /// A list.
    #[error("{what} has more than {most} entries")]
    List {
        /// Which.
        what: &'static str,
        /// What it may have.
        most: usize,
    },
    /// A session description.
    #[error("the session description has more than {0}")]
    Description(&'static str),
    /// Tracks.
    #[error("a participant may publish {0} tracks at most")]
    Tracks(u32),
}

/// Whether a request may be looked at.
pub fn check(request: &Request) -> Result<(), Excess> {
    match request {
        Request::Offer(description) | Request::Answer(description) => check_description(description),
        Request::Trickle(trickle) => text("the candidate", &trickle.candidate_init, CANDIDATE),
        Request::AddTrack(add) => check_track(add),
        Request::Subscription(update) => check_subscription(update),
        Request::TrackSetting(settings) => list("the list of tracks", settings.track_sids.len(), NAMED_TRACKS),
        Request::SyncState(state) => check_state(state),
        Request::UpdateMetadata(update) => {
            check_about(&update.name, &update.metadata)?;
            check_attributes(&HashMap::new(), &update.attributes)
        }
        Request::UpdateAudioTrack(update) => list("the list of features", update.features.len(), DETAILS),
        Request::UpdateDataSubscription(update) => list("the list of tracks", update.updates.len(), NAMED_TRACKS),
        Request::SubscriptionPermission(permission) => check_permission(permission),
        _ => Ok(()),
    }
}

/// Whether a session description may be looked at.
pub fn check_description(description: &proto::SessionDescription) -> Result<(), Excess> {
    sdp::check_size(&description.sdp).map_err(Excess::Description)
}

/// Whether a track may be described like this: everybody in the room is told.
pub fn check_track(add: &proto::AddTrackRequest) -> Result<(), Excess> {
    for (what, value) in [
        ("the track's name", &add.name),
        ("the track's stream", &add.stream),
        ("the track's cid", &add.cid),
        ("the track's sid", &add.sid),
    ] {
        text(what, value, TRACK_NAME)?;
    }
    for codec in &add.simulcast_codecs {
        text("a codec's name", &codec.codec, TRACK_NAME)?;
        text("a codec's cid", &codec.cid, TRACK_NAME)?;
        list("the list of layers", codec.layers.len(), DETAILS)?;
    }
    for (what, length) in [
        ("the list of codecs", add.simulcast_codecs.len()),
        ("the list of layers", add.layers.len()),
        ("the list of features", add.audio_features.len()),
        ("the list of features", add.packet_trailer_features.len()),
    ] {
        list(what, length, DETAILS)?;
    }
    Ok(())
}

/// What a client that resumes remembers.
pub fn check_state(state: &proto::SyncState) -> Result<(), Excess> {
    if let Some(subscription) = &state.subscription {
        check_subscription(subscription)?;
    }
    if let Some(update) = &state.data_subscription {
        list("the list of tracks", update.updates.len(), NAMED_TRACKS)?;
    }
    list("the list of tracks", state.track_sids_disabled.len(), NAMED_TRACKS)
}

/// A participant's name and metadata.
pub fn check_about(name: &str, metadata: &str) -> Result<(), Excess> {
    text("the name", name, NAME)?;
    text("the metadata", metadata, TEXT)
}

/// A participant's attributes as they would be.
pub fn check_attributes(present: &HashMap<String, String>, wished: &HashMap<String, String>) -> Result<(), Excess> {
    let stays = present.iter().filter(|(name, _)| !wished.contains_key(*name));
    let size: usize = stays.chain(wished).map(|(name, value)| name.len() + value.len()).sum();
    if size > TEXT { Err(Excess::Text { what: "the list of attributes", most: TEXT }) } else { Ok(()) }
}

fn check_subscription(update: &proto::UpdateSubscription) -> Result<(), Excess> {
    let grouped: usize = update.participant_tracks.iter().map(|p| p.track_sids.len()).sum();
    list("the list of tracks", update.track_sids.len() + grouped, NAMED_TRACKS)
}

fn check_permission(permission: &proto::SubscriptionPermission) -> Result<(), Excess> {
    list("the list of participants", permission.track_permissions.len(), NAMED_PARTICIPANTS)?;
    let tracks = permission.track_permissions.iter().map(|p| p.track_sids.len()).sum();
    list("the list of tracks", tracks, NAMED_TRACKS)
}

fn text(what: &'static str, value: &str, most: usize) -> Result<(), Excess> {
    if value.len() > most { Err(Excess::Text { what, most }) } else { Ok(()) }
}

fn list(what: &'static str, length: usize, most: usize) -> Result<(), Excess> {
    if length > most { Err(Excess::List { what, most }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_or_repeated_is_bounded() {
        let long = || "x".repeat(TRACK_NAME + 1);
        let many = |count: usize| vec!["TR_1".to_owned(); count];
        let add = proto::AddTrackRequest::default();
        let audio = proto::UpdateLocalAudioTrack { features: vec![0; DETAILS + 1], ..Default::default() };
        let metadata = "x".repeat(TEXT + 1);
        let permission = proto::SubscriptionPermission {
            track_permissions: vec![Default::default(); NAMED_PARTICIPANTS + 1],
            ..Default::default()
        };
        let too_much = [
            Request::AddTrack(proto::AddTrackRequest { name: long(), ..add.clone() }),
            Request::AddTrack(proto::AddTrackRequest { cid: long(), ..add.clone() }),
            Request::AddTrack(proto::AddTrackRequest { layers: vec![Default::default(); DETAILS + 1], ..add.clone() }),
            Request::Subscription(proto::UpdateSubscription {
                track_sids: many(NAMED_TRACKS + 1),
                ..Default::default()
            }),
            Request::TrackSetting(proto::UpdateTrackSettings {
                track_sids: many(NAMED_TRACKS + 1),
                ..Default::default()
            }),
            Request::UpdateAudioTrack(audio),
            Request::UpdateMetadata(proto::UpdateParticipantMetadata { metadata, ..Default::default() }),
            Request::UpdateMetadata(proto::UpdateParticipantMetadata {
                name: "x".repeat(NAME + 1),
                ..Default::default()
            }),
            Request::SubscriptionPermission(permission),
        ];
        for request in too_much {
            assert!(check(&request).is_err(), "{}", &format!("{request:?}")[..80]);
        }
        let enough = [
            Request::AddTrack(proto::AddTrackRequest { name: "x".repeat(TRACK_NAME), ..add }),
            Request::Subscription(proto::UpdateSubscription { track_sids: many(NAMED_TRACKS), ..Default::default() }),
            Request::UpdateMetadata(proto::UpdateParticipantMetadata {
                metadata: "x".repeat(TEXT),
                ..Default::default()
            }),
        ];
        for request in enough {
            assert_eq!(check(&request), Ok(()));
        }
    }

    #[test]
    fn attributes_are_counted_as_they_would_be() {
        let of = |name: &str, size: usize| HashMap::from([(name.to_owned(), "x".repeat(size - name.len()))]);
        assert_eq!(check_attributes(&of("a", 32_000), &of("b", 32_000)), Ok(()));
        assert!(check_attributes(&of("a", 32_001), &of("b", 32_000)).is_err());
        assert_eq!(check_attributes(&of("a", 64_000), &of("a", 64_000)), Ok(()), "in its place");
    }
}
