//! Who is in a room and what they publish, in the engine's words. No sockets, no clock: messages in, changes out.
//!
//! A ZEGO stream is the audio and the video track whose `TrackInfo.stream` and `TrackInfo.name` are both the stream id. Tracks of
//! programs that know nothing of ZEGO get an id made of their participant's identity.

use std::collections::{HashMap, HashSet};

use livekit_protocol as proto;
use zego_protocol::state::{StreamDeleteReason, ZegoRemoteDeviceState};

use super::device_state;
use crate::rtc::MediaKind;

/// Prefix of the participant attribute that holds a stream's extra information.
pub const EXTRA_INFO_ATTRIBUTE: &str = "zego.stream.";

/// Participant attribute of somebody who neither sees nor is seen among the users.
const QUIET_ATTRIBUTE: &str = "zego.quiet";

/// A participant other than us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct User {
    /// ZEGO's user id, LiveKit's identity.
    pub id: String,
    /// ZEGO's user name, LiveKit's name; the id when the name is empty.
    pub name: String,
}

/// A stream of somebody else: at most one audio and one video track with the same stream id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteStream {
    /// ZEGO's stream id.
    pub stream_id: String,
    /// Who publishes it.
    pub user: User,
    /// The text that the publisher attached to the stream.
    pub extra_info: String,
    /// An audio track is published.
    pub has_audio: bool,
    /// A video track is published.
    pub has_video: bool,
    /// The publisher muted the audio track.
    pub audio_muted: bool,
    /// The publisher muted the video track.
    pub video_muted: bool,
    /// Why the audio track is muted, as far as the publisher says.
    pub audio_reason: Option<ZegoRemoteDeviceState>,
    /// Why the video track is muted, as far as the publisher says.
    pub video_reason: Option<ZegoRemoteDeviceState>,
    /// Width and height of the video in pixels as the publisher announced them, 0 if unknown.
    pub size: (u32, u32),
}

/// What one message of the server changed. In the order in which they are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The last track of a stream went, or its publisher did. Its kinds are those that it ever had: the tracks of a stream that is
    /// stopped go one by one.
    StreamRemoved(RemoteStream, StreamDeleteReason),
    /// Somebody went.
    UserLeft(User),
    /// Somebody came.
    UserJoined(User),
    /// A stream appeared with its first track.
    StreamAdded(RemoteStream),
    /// A track came or went, a mute or the extra information changed.
    StreamChanged(RemoteStream),
}

/// One track of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// The server's id of the track.
    pub sid: String,
    /// The stream that it belongs to.
    pub stream_id: String,
    /// Sound or picture.
    pub kind: MediaKind,
}

/// Everybody but us.
#[derive(Debug, Default)]
pub struct Room {
    own_identity: String,
    /// In order of arrival.
    people: Vec<proto::ParticipantInfo>,
    /// Whether a stream that is there ever had sound and pictures, by its id and user.
    had: HashMap<(String, String), (bool, bool)>,
}

impl Room {
    /// An empty room, seen by `own_identity`.
    #[must_use]
    pub fn new(own_identity: &str) -> Self {
        Self { own_identity: own_identity.to_owned(), ..Self::default() }
    }

    /// Who sees the room.
    #[must_use]
    pub fn own_identity(&self) -> &str {
        &self.own_identity
    }

    /// Takes a participant update, or the list of a join, and returns what it changed.
    pub fn apply(&mut self, update: &[proto::ParticipantInfo]) -> Vec<Change> {
        let (users, streams) = (self.users(), self.streams());
        for person in update.iter().filter(|person| person.identity != self.own_identity && !person.identity.is_empty())
        {
            let gone = person.state() == proto::participant_info::State::Disconnected;
            match self.people.iter().position(|known| known.identity == person.identity) {
                Some(index) if gone => {
                    // When somebody comes back quickly, the news of the old session may be the later one.
                    if self.people[index].sid == person.sid {
                        self.people.remove(index);
                    }
                }
                Some(index) => {
                    let known = &self.people[index];
                    if known.sid != person.sid || person.version >= known.version {
                        self.people[index] = person.clone();
                    }
                }
                None if gone => {}
                None => self.people.push(person.clone()),
            }
        }
        let reasons: HashMap<&str, StreamDeleteReason> = update
            .iter()
            .filter(|person| person.state() == proto::participant_info::State::Disconnected)
            .map(|person| (person.identity.as_str(), reason(person.disconnect_reason())))
            .collect();
        let changes = changes(&users, &self.users(), &streams, &self.streams(), &reasons);
        self.remember(changes)
    }

    /// Forgets everybody who is not in `present`, the list of a resumed session, and takes over the list.
    pub fn replace(&mut self, present: &[proto::ParticipantInfo]) -> Vec<Change> {
        let (users, streams) = (self.users(), self.streams());
        self.people.retain(|person| present.iter().any(|other| other.identity == person.identity));
        let changes = changes(&users, &self.users(), &streams, &self.streams(), &HashMap::new());
        let mut changes = self.remember(changes);
        changes.extend(self.apply(present));
        changes
    }

    /// Notes the kinds that streams have, and gives those that went what they had.
    fn remember(&mut self, mut changes: Vec<Change>) -> Vec<Change> {
        let key = |stream: &RemoteStream| (stream.stream_id.clone(), stream.user.id.clone());
        for change in &mut changes {
            match change {
                Change::StreamAdded(stream) | Change::StreamChanged(stream) => {
                    let had = self.had.entry(key(stream)).or_default();
                    *had = (had.0 || stream.has_audio, had.1 || stream.has_video);
                }
                Change::StreamRemoved(stream, _) => {
                    if let Some(had) = self.had.remove(&key(stream)) {
                        (stream.has_audio, stream.has_video) = had;
                    }
                }
                Change::UserLeft(_) | Change::UserJoined(_) => {}
            }
        }
        changes
    }

    /// Everybody, in order of arrival.
    #[must_use]
    pub fn people(&self) -> &[proto::ParticipantInfo] {
        &self.people
    }

    /// Everybody who lets itself be seen, in order of arrival.
    #[must_use]
    pub fn users(&self) -> Vec<User> {
        self.people.iter().filter(|person| !person.attributes.contains_key(QUIET_ATTRIBUTE)).map(user).collect()
    }

    /// Who publishes under a stream id of ZEGO's, as far as anybody says.
    #[must_use]
    pub fn owner(&self, stream_id: &str) -> Option<&str> {
        let publishes = |person: &&proto::ParticipantInfo| {
            person.tracks.iter().any(|track| track.stream == stream_id && track.name == stream_id)
        };
        self.people.iter().find(publishes).map(|person| person.identity.as_str())
    }

    /// The participant of an identity; an unknown one has only its id.
    #[must_use]
    pub fn user(&self, identity: &str) -> User {
        let known = self.people.iter().find(|person| person.identity == identity).map(user);
        known.unwrap_or_else(|| User { id: identity.to_owned(), name: identity.to_owned() })
    }

    /// Every stream. Of two participants that use the same stream id, only the first one's is seen.
    #[must_use]
    pub fn streams(&self) -> Vec<RemoteStream> {
        let mut streams: Vec<RemoteStream> = Vec::new();
        for (person, track, info) in self.all_tracks() {
            let user = user(person);
            let index = match streams.iter().position(|stream| stream.stream_id == track.stream_id) {
                Some(index) if streams[index].user.id == user.id => index,
                Some(_) => {
                    log::warn!("{} publishes stream {}, which is somebody else's", user.id, track.stream_id);
                    continue;
                }
                None => {
                    let extra_info = person.attributes.get(&format!("{EXTRA_INFO_ATTRIBUTE}{}", track.stream_id));
                    streams.push(RemoteStream {
                        stream_id: track.stream_id.clone(),
                        user,
                        extra_info: extra_info.cloned().unwrap_or_default(),
                        ..RemoteStream::default()
                    });
                    streams.len() - 1
                }
            };
            let stream = &mut streams[index];
            let why = || device_state::reason(&person.attributes, track.kind, &track.stream_id);
            let reason = info.muted.then(why).flatten();
            match track.kind {
                MediaKind::Audio if !stream.has_audio => {
                    stream.has_audio = true;
                    stream.audio_muted = info.muted;
                    stream.audio_reason = reason;
                }
                MediaKind::Video if !stream.has_video => {
                    stream.has_video = true;
                    stream.video_muted = info.muted;
                    stream.video_reason = reason;
                    stream.size = (info.width, info.height);
                }
                _ => {}
            }
        }
        streams
    }

    /// The tracks of a stream, at most one of each kind.
    #[must_use]
    pub fn tracks(&self, stream_id: &str) -> Vec<Track> {
        let mut tracks: Vec<Track> = Vec::new();
        let mut owner: Option<&str> = None;
        for (person, track, _) in self.all_tracks().filter(|(_, track, _)| track.stream_id == stream_id) {
            if *owner.get_or_insert(&person.identity) == person.identity
                && !tracks.iter().any(|other| other.kind == track.kind)
            {
                tracks.push(track);
            }
        }
        tracks
    }

    /// The track of a server's id.
    #[must_use]
    pub fn track(&self, sid: &str) -> Option<Track> {
        self.all_tracks().map(|(_, track, _)| track).find(|track| track.sid == sid)
    }

    fn all_tracks(&self) -> impl Iterator<Item = (&proto::ParticipantInfo, Track, &proto::TrackInfo)> {
        self.people.iter().flat_map(|person| {
            person.tracks.iter().filter_map(move |info| {
                let kind = match info.r#type() {
                    proto::TrackType::Audio => MediaKind::Audio,
                    proto::TrackType::Video => MediaKind::Video,
                    proto::TrackType::Data => return None,
                };
                let stream_id = stream_id(&person.identity, info);
                Some((person, Track { sid: info.sid.clone(), stream_id, kind }, info))
            })
        })
    }
}

fn user(person: &proto::ParticipantInfo) -> User {
    let name = if person.name.is_empty() { &person.identity } else { &person.name };
    User { id: person.identity.clone(), name: name.clone() }
}

/// The stream id of a track.
fn stream_id(identity: &str, info: &proto::TrackInfo) -> String {
    if !info.stream.is_empty() && info.stream == info.name {
        return info.stream.clone();
    }
    let screen = matches!(info.source(), proto::TrackSource::ScreenShare | proto::TrackSource::ScreenShareAudio);
    let id = match info.stream.as_str() {
        "" if screen => format!("{identity}_screen"),
        "" | "camera" | "microphone" | "unknown" => identity.to_owned(),
        "screen_share" | "screen" => format!("{identity}_screen"),
        other => format!("{identity}_{other}"),
    };
    id.chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '-' || letter == '_' { letter } else { '_' })
        .collect()
}

/// Why the streams of somebody who went are gone.
const fn reason(why: proto::DisconnectReason) -> StreamDeleteReason {
    use proto::DisconnectReason as Wire;
    match why {
        Wire::DuplicateIdentity => StreamDeleteReason::LoggedInAgain,
        Wire::ParticipantRemoved => StreamDeleteReason::Kicked,
        Wire::ConnectionTimeout => StreamDeleteReason::HeartbeatTimeout,
        Wire::RoomDeleted | Wire::RoomClosed | Wire::ServerShutdown => StreamDeleteReason::RemovedByServer,
        Wire::UnknownReason | Wire::ClientInitiated => StreamDeleteReason::Stopped,
        _ => StreamDeleteReason::Disconnected,
    }
}

fn changes(
    users_before: &[User],
    users_now: &[User],
    streams_before: &[RemoteStream],
    streams_now: &[RemoteStream],
    reasons: &HashMap<&str, StreamDeleteReason>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let known: HashSet<&str> = users_before.iter().map(|user| user.id.as_str()).collect();
    let present: HashSet<&str> = users_now.iter().map(|user| user.id.as_str()).collect();
    let find = |streams: &[RemoteStream], wanted: &RemoteStream| {
        streams.iter().find(|stream| stream.stream_id == wanted.stream_id && stream.user.id == wanted.user.id).cloned()
    };
    let removed = streams_before.iter().filter(|stream| find(streams_now, stream).is_none());
    changes.extend(removed.cloned().map(|stream| {
        let reason = reasons.get(stream.user.id.as_str()).copied().unwrap_or(StreamDeleteReason::Stopped);
        Change::StreamRemoved(stream, reason)
    }));
    let left = users_before.iter().filter(|user| !present.contains(user.id.as_str()));
    changes.extend(left.cloned().map(Change::UserLeft));
    let joined = users_now.iter().filter(|user| !known.contains(user.id.as_str()));
    changes.extend(joined.cloned().map(Change::UserJoined));
    for stream in streams_now {
        match find(streams_before, stream) {
            None => changes.push(Change::StreamAdded(stream.clone())),
            Some(before) if before != *stream => changes.push(Change::StreamChanged(stream.clone())),
            Some(_) => {}
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::participant_info::State;
    use proto::{TrackSource, TrackType};

    fn track(sid: &str, kind: TrackType, name: &str, stream: &str) -> proto::TrackInfo {
        proto::TrackInfo {
            sid: sid.to_owned(),
            r#type: kind as i32,
            name: name.to_owned(),
            stream: stream.to_owned(),
            ..Default::default()
        }
    }

    fn person(identity: &str, state: State, tracks: Vec<proto::TrackInfo>) -> proto::ParticipantInfo {
        proto::ParticipantInfo {
            sid: format!("PA_{identity}"),
            identity: identity.to_owned(),
            state: state as i32,
            tracks,
            ..Default::default()
        }
    }

    /// The changes as words.
    fn words(changes: &[Change]) -> Vec<String> {
        let stream = |stream: &RemoteStream| {
            let audio = if stream.has_audio { if stream.audio_muted { "a" } else { "A" } } else { "" };
            let video = if stream.has_video { if stream.video_muted { "v" } else { "V" } } else { "" };
            format!("{}:{audio}{video}", stream.stream_id)
        };
        changes
            .iter()
            .map(|change| match change {
                Change::StreamRemoved(removed, StreamDeleteReason::Stopped) => format!("-{}", stream(removed)),
                Change::StreamRemoved(removed, reason) => format!("-{} {reason}", stream(removed)),
                Change::UserLeft(user) => format!("-@{}", user.id),
                Change::UserJoined(user) => format!("+@{}", user.id),
                Change::StreamAdded(added) => format!("+{}", stream(added)),
                Change::StreamChanged(changed) => format!("~{}", stream(changed)),
            })
            .collect()
    }

    #[test]
    fn updates_become_changes() {
        let audio = |muted| proto::TrackInfo { muted, ..track("TR_A", TrackType::Audio, "door", "door") };
        let video = || track("TR_V", TrackType::Video, "door", "door");
        let mut room = Room::new("me");
        // (update, what it changed)
        let steps: Vec<(Vec<proto::ParticipantInfo>, &[&str])> = vec![
            (vec![person("me", State::Joined, vec![video()])], &[]),
            (vec![person("bell", State::Joined, vec![])], &["+@bell"]),
            (vec![person("bell", State::Active, vec![])], &[]),
            (vec![person("bell", State::Active, vec![audio(false)])], &["+door:A"]),
            (vec![person("bell", State::Active, vec![audio(false), video()])], &["~door:AV"]),
            (vec![person("bell", State::Active, vec![audio(true), video()])], &["~door:aV"]),
            (vec![person("bell", State::Active, vec![video()])], &["~door:V"]),
            // The same stream id of somebody else is not seen while the first has it.
            (vec![person("thief", State::Active, vec![track("TR_X", TrackType::Video, "door", "door")])], &["+@thief"]),
            // What went had sound, too: the tracks go one by one.
            (vec![person("bell", State::Active, vec![])], &["-door:AV", "+door:V"]),
            (vec![person("thief", State::Disconnected, vec![])], &["-door:V", "-@thief"]),
            (vec![person("bell", State::Disconnected, vec![])], &["-@bell"]),
            (vec![person("bell", State::Disconnected, vec![])], &[]),
            (vec![person("new", State::Active, vec![audio(false)])], &["+@new", "+door:A"]),
        ];
        for (index, (update, expected)) in steps.into_iter().enumerate() {
            assert_eq!(words(&room.apply(&update)), expected, "step {index}");
        }
    }

    #[test]
    fn why_somebody_went_is_why_the_streams_went() {
        use proto::DisconnectReason as Wire;
        for (why, told) in [
            (Wire::ClientInitiated, "-door:A"),
            (Wire::ConnectionTimeout, "-door:A heartbeat_timeout"),
            (Wire::DuplicateIdentity, "-door:A logged_in_again"),
            (Wire::ParticipantRemoved, "-door:A kicked"),
            (Wire::SignalClose, "-door:A disconnected"),
            (Wire::RoomDeleted, "-door:A removed_by_server"),
        ] {
            let mut room = Room::new("me");
            room.apply(&[person("bell", State::Active, vec![track("TR", TrackType::Audio, "door", "door")])]);
            let mut gone = person("bell", State::Disconnected, vec![]);
            gone.disconnect_reason = why as i32;
            assert_eq!(words(&room.apply(&[gone])), [told, "-@bell"], "{why:?}");
        }
    }

    #[test]
    fn quiet_people_are_counted_and_not_seen() {
        let mut room = Room::new("me");
        let mut quiet = person("bell", State::Active, vec![track("TR", TrackType::Audio, "door", "door")]);
        quiet.attributes.insert(QUIET_ATTRIBUTE.to_owned(), "1".to_owned());
        assert_eq!(words(&room.apply(&[quiet])), ["+door:A"]);
        assert_eq!((room.users().len(), room.people().len(), room.user("bell").id.as_str()), (0, 1, "bell"));
        assert_eq!(room.owner("door"), Some("bell"));
        assert_eq!(room.owner("other"), None);
    }

    #[test]
    fn old_news_changes_nothing() {
        let mut room = Room::new("me");
        let with_version =
            |version, tracks| proto::ParticipantInfo { version, ..person("bell", State::Active, tracks) };
        room.apply(&[with_version(5, vec![track("TR", TrackType::Audio, "s", "s")])]);
        assert_eq!(room.apply(&[with_version(4, vec![])]), []);
        let mut earlier = person("bell", State::Disconnected, vec![]);
        earlier.sid = "PA_earlier".to_owned();
        assert_eq!(room.apply(&[earlier]), [], "the session before this one ended");
        let mut again = with_version(1, vec![]);
        again.sid = "PA_again".to_owned();
        assert_eq!(words(&room.apply(&[again])), ["-s:A"], "a new session counts its versions anew");
    }

    #[test]
    fn a_resumed_list_forgets_who_is_not_in_it() {
        let mut room = Room::new("me");
        room.apply(&[
            person("a", State::Active, vec![track("TR", TrackType::Audio, "s", "s")]),
            person("b", State::Active, vec![]),
        ]);
        let now = [
            person("me", State::Active, vec![]),
            person("b", State::Active, vec![]),
            person("c", State::Active, vec![]),
        ];
        assert_eq!(words(&room.replace(&now)), ["-s:A", "-@a", "+@c"]);
    }

    #[test]
    fn stream_ids_of_zego_and_of_others() {
        // (identity, name, stream, source, stream id)
        let cases = [
            ("u", "door-1", "door-1", TrackSource::Camera, "door-1"),
            ("u", "", "", TrackSource::Camera, "u"),
            ("u", "cam", "", TrackSource::Microphone, "u"),
            ("u", "cam", "camera", TrackSource::Camera, "u"),
            ("u", "mic", "microphone", TrackSource::Microphone, "u"),
            ("u", "x", "unknown", TrackSource::Unknown, "u"),
            ("u", "s", "screen_share", TrackSource::ScreenShare, "u_screen"),
            ("u", "s", "screen", TrackSource::ScreenShareAudio, "u_screen"),
            ("u", "s", "", TrackSource::ScreenShare, "u_screen"),
            ("u", "a", "left", TrackSource::Camera, "u_left"),
            ("päul @home", "a", "no 1", TrackSource::Camera, "p_ul__home_no_1"),
        ];
        for (identity, name, stream, source, expected) in cases {
            let info = proto::TrackInfo { source: source as i32, ..track("TR", TrackType::Video, name, stream) };
            assert_eq!(stream_id(identity, &info), expected, "{name:?} {stream:?}");
        }
    }

    #[test]
    fn a_stream_has_one_track_of_a_kind() {
        let mut room = Room::new("me");
        let tracks = vec![
            track("TR_1", TrackType::Video, "", "camera"),
            track("TR_2", TrackType::Video, "", "camera"),
            track("TR_3", TrackType::Audio, "", "microphone"),
            track("TR_4", TrackType::Data, "", "camera"),
        ];
        room.apply(&[
            person("web", State::Active, tracks),
            person("other", State::Active, vec![track("TR_5", TrackType::Audio, "web", "web")]),
        ]);
        let sids: Vec<String> = room.tracks("web").into_iter().map(|track| track.sid).collect();
        assert_eq!(sids, ["TR_1", "TR_3"]);
        assert_eq!(room.track("TR_2").map(|track| track.stream_id), Some("web".to_owned()));
        assert_eq!(room.track("TR_9"), None);
        assert_eq!(room.user("web").name, "web");
    }

    #[test]
    fn extra_information_is_an_attribute_of_the_publisher() {
        let mut room = Room::new("me");
        let mut bell = person("bell", State::Active, vec![track("TR", TrackType::Audio, "s", "s")]);
        bell.name = "The bell".to_owned();
        bell.attributes.insert("zego.stream.s".to_owned(), "hello".to_owned());
        let changes = room.apply(std::slice::from_ref(&bell));
        let Some(Change::StreamAdded(stream)) = changes.last() else { panic!("{changes:?}") };
        assert_eq!((stream.extra_info.as_str(), stream.user.name.as_str()), ("hello", "The bell"));
        bell.attributes.insert("zego.stream.s".to_owned(), "bye".to_owned());
        assert_eq!(words(&room.apply(&[bell])), ["~s:A"]);
    }
}
