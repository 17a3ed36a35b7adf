//! Who is in a room and what they publish, with the numbers of the stream objects. Knows no wire and no clock.

use std::collections::BTreeMap;

use zego_protocol::state::StreamDeleteReason;

use crate::engine::event::{RemoteStream, StreamInfo, User};

/// What a change of the room means to the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// People came.
    UsersCame(Vec<User>),
    /// People went.
    UsersWent(Vec<User>),
    /// Streams came.
    StreamsCame(Vec<StreamInfo>),
    /// Streams went, and why.
    StreamsWent(Vec<StreamInfo>, StreamDeleteReason),
    /// A stream is different; before and now.
    StreamChanged(Box<(StreamInfo, StreamInfo)>),
}

/// The others in a room.
#[derive(Debug, Default)]
pub(super) struct Roster {
    users: Vec<User>,
    streams: BTreeMap<String, StreamInfo>,
}

impl Roster {
    /// Everybody else, in the order they came.
    pub(super) fn users(&self) -> &[User] {
        &self.users
    }

    /// What they publish.
    pub(super) fn streams(&self) -> impl Iterator<Item = &StreamInfo> {
        self.streams.values()
    }

    /// One of their streams.
    pub(super) fn stream(&self, id: &str) -> Option<&StreamInfo> {
        self.streams.get(id)
    }

    /// Somebody came; twice is once.
    pub(super) fn user_came(&mut self, user: User) -> Option<Step> {
        if self.users.iter().any(|other| other.id == user.id) {
            return None;
        }
        self.users.push(user.clone());
        Some(Step::UsersCame(vec![user]))
    }

    /// Somebody went.
    pub(super) fn user_went(&mut self, id: &str) -> Option<Step> {
        let index = self.users.iter().position(|user| user.id == id)?;
        Some(Step::UsersWent(vec![self.users.remove(index)]))
    }

    /// A stream came, or is different. `number` gives a new object's number.
    pub(super) fn stream_is(&mut self, stream: RemoteStream, room: u64, number: impl FnOnce() -> u64) -> Option<Step> {
        if let Some(info) = self.streams.get_mut(&stream.stream_id) {
            if info.stream == stream {
                return None;
            }
            let before = info.clone();
            info.stream = stream;
            return Some(Step::StreamChanged(Box::new((before, info.clone()))));
        }
        let info = StreamInfo { number: number(), room, stream };
        self.streams.insert(info.stream.stream_id.clone(), info.clone());
        Some(Step::StreamsCame(vec![info]))
    }

    /// A stream went; `stream` is the last word on it.
    pub(super) fn stream_went(&mut self, stream: RemoteStream, reason: StreamDeleteReason) -> Option<Step> {
        let info = self.streams.remove(&stream.stream_id)?;
        Some(Step::StreamsWent(vec![StreamInfo { stream, ..info }], reason))
    }

    /// The room as it is after a login: the difference to what was known, in the order of the API.
    pub(super) fn replace(
        &mut self,
        users: Vec<User>,
        streams: Vec<RemoteStream>,
        room: u64,
        mut number: impl FnMut() -> u64,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let gone: Vec<StreamInfo> = self
            .streams
            .values()
            .filter(|info| !streams.iter().any(|now| is_same(now, &info.stream)))
            .cloned()
            .collect();
        for info in &gone {
            self.streams.remove(&info.stream.stream_id);
        }
        if !gone.is_empty() {
            steps.push(Step::StreamsWent(gone, StreamDeleteReason::Stopped));
        }
        let (stay, gone): (Vec<User>, Vec<User>) =
            std::mem::take(&mut self.users).into_iter().partition(|user| users.iter().any(|now| now.id == user.id));
        self.users = stay;
        if !gone.is_empty() {
            steps.push(Step::UsersWent(gone));
        }
        let came: Vec<User> = users.into_iter().filter(|user| self.user_came(user.clone()).is_some()).collect();
        if !came.is_empty() {
            steps.push(Step::UsersCame(came));
        }
        let mut came = Vec::new();
        for stream in streams {
            match self.stream_is(stream, room, &mut number) {
                Some(Step::StreamsCame(mut infos)) => came.append(&mut infos),
                Some(other) => steps.push(other),
                None => {}
            }
        }
        if !came.is_empty() {
            steps.push(Step::StreamsCame(came));
        }
        steps
    }

    /// Everything goes: we are out of the room.
    pub(super) fn clear(&mut self) -> Vec<StreamInfo> {
        self.users.clear();
        std::mem::take(&mut self.streams).into_values().collect()
    }
}

/// Whether two streams are the same one: an id that another user took over is another stream.
fn is_same(a: &RemoteStream, b: &RemoteStream) -> bool {
    a.stream_id == b.stream_id && a.user.id == b.user.id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> User {
        User { id: id.to_owned(), name: id.to_uppercase() }
    }

    fn stream(id: &str, of: &str) -> RemoteStream {
        RemoteStream {
            stream_id: id.to_owned(),
            user: user(of),
            extra_info: String::new(),
            has_audio: true,
            has_video: false,
            audio_muted: false,
            video_muted: false,
            audio_reason: None,
            video_reason: None,
            size: (0, 0),
        }
    }

    #[test]
    fn a_first_login_shows_users_then_streams() {
        let mut roster = Roster::default();
        let mut last = 0;
        let steps = roster.replace(vec![user("a"), user("b")], vec![stream("s", "a")], 7, || {
            last += 1;
            last
        });
        assert!(matches!(&steps[..], [Step::UsersCame(users), Step::StreamsCame(streams)]
            if users.len() == 2 && streams[0].number == 1 && streams[0].room == 7));
        assert!(Roster::default().replace(Vec::new(), Vec::new(), 7, || 1).is_empty(), "nothing is said about nobody");
    }

    #[test]
    fn a_come_back_shows_only_the_difference() {
        let mut roster = Roster::default();
        roster.replace(vec![user("a"), user("b")], vec![stream("s", "a"), stream("t", "b")], 1, || 1);
        let mut changed = stream("s", "a");
        changed.audio_muted = true;
        let steps = roster.replace(vec![user("a"), user("c")], vec![changed.clone(), stream("u", "c")], 1, || 9);
        let words: Vec<&str> = steps
            .iter()
            .map(|step| match step {
                Step::StreamsWent(gone, _) => {
                    assert_eq!(gone[0].stream.stream_id, "t");
                    "streams went"
                }
                Step::UsersWent(gone) => {
                    assert_eq!(gone[0].id, "b");
                    "users went"
                }
                Step::UsersCame(came) => {
                    assert_eq!(came[0].id, "c");
                    "users came"
                }
                Step::StreamChanged(change) => {
                    let (before, now) = &**change;
                    assert!(!before.stream.audio_muted && now.stream.audio_muted);
                    "stream changed"
                }
                Step::StreamsCame(came) => {
                    assert_eq!((came[0].stream.stream_id.as_str(), came[0].number), ("u", 9));
                    "streams came"
                }
            })
            .collect();
        assert_eq!(words, ["streams went", "users went", "users came", "stream changed", "streams came"]);
        assert_eq!(roster.streams().count(), 2);
    }

    #[test]
    fn a_stream_is_announced_once_and_then_changes() {
        let mut roster = Roster::default();
        assert!(matches!(roster.stream_is(stream("s", "a"), 1, || 4), Some(Step::StreamsCame(_))));
        assert_eq!(roster.stream_is(stream("s", "a"), 1, || 5), None);
        let mut more = stream("s", "a");
        more.has_video = true;
        assert!(matches!(roster.stream_is(more, 1, || 6), Some(Step::StreamChanged(change)) if change.1.number == 4));
        let kicked = StreamDeleteReason::Kicked;
        let last = RemoteStream { has_video: true, ..stream("s", "a") };
        let went = roster.stream_went(last.clone(), kicked);
        assert!(matches!(went, Some(Step::StreamsWent(gone, StreamDeleteReason::Kicked)) if gone[0].stream == last));
        assert_eq!(roster.stream_went(last, kicked), None);
        assert!(roster.user_came(user("a")).is_some() && roster.user_came(user("a")).is_none());
        assert!(roster.user_went("a").is_some() && roster.user_went("a").is_none());
    }
}
