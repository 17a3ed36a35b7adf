//! A room's session: the attempts to join, and what it tells while it lasts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use zego_protocol::state::{ZegoRoomState, ZegoUpdateType};

use super::follower::RoomNews;
use super::inputs::{Entry, RoomInput};
use super::roster::Step;
use super::state::{Input, Phase};
use super::task::RoomTask;
use crate::clock::Monotonic;
use crate::engine::error::EngineError;
use crate::engine::event::{Change, EngineEvent, StreamInfo, User};
use crate::network::Network;
use crate::retry::Retry;
use crate::rtc::MediaKind;
use crate::signal::{DisconnectReason, RemoteStream, Session, SessionEvent, SignalError, seen_device_state};

/// An attempt to join that takes longer is given up and made again.
const JOIN_TIME: Duration = Duration::from_secs(10);

/// The server has no such room.
const NO_ROOM: i32 = 1_002_002;

/// How a session's end moves the room's state machine.
fn input_of(reason: &DisconnectReason) -> Input {
    match reason {
        DisconnectReason::DuplicateIdentity => Input::KickedOut(1_002_050),
        DisconnectReason::Removed => Input::KickedOut(1_002_055),
        DisconnectReason::PutOut(code) => Input::KickedOut(*code),
        DisconnectReason::RoomDeleted => Input::KickedOut(1_002_057),
        DisconnectReason::Refused { code, .. } => Input::Refused(*code),
        DisconnectReason::ServerShutdown
        | DisconnectReason::StateMismatch
        | DisconnectReason::ConnectionLost(_)
        | DisconnectReason::Other(_) => Input::LinkLost,
    }
}

impl RoomTask {
    /// Begins an attempt to join.
    pub(super) fn try_to_join(&mut self) {
        self.attempt += 1;
        let attempt = self.attempt;
        self.options.membership.returns = self.phase != Phase::LoggingIn;
        let options = self.options.clone();
        let inputs = self.inputs.clone();
        let attempting = tokio::spawn(async move {
            let (sender, events) = unbounded_channel();
            let joined = tokio::time::timeout(JOIN_TIME, Session::join(options, sender)).await;
            let result = match joined {
                Ok(Ok((session, joined))) => Ok(Entry { session, joined, events }),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(SignalError::Timeout("joining the room")),
            };
            let unheard = inputs.send(RoomInput::Joined { attempt, result });
            if let Err(error) = unheard
                && let RoomInput::Joined { result: Ok(entry), .. } = error.0
            {
                entry.session.leave().await;
            }
        });
        if let Some(earlier) = self.joining.replace(attempting) {
            earlier.abort();
        }
    }

    /// The network changed. What was tried in vain may succeed now, so it is not waited any longer.
    pub(super) fn network_changed(&mut self, network: Arc<Network>, gained: bool) {
        match &self.session {
            Some((session, _)) => session.network_changed(network),
            None if gained && matches!(self.phase, Phase::LoggingIn | Phase::Reconnecting) => {
                self.retry.hope();
                self.try_to_join();
            }
            None => {}
        }
    }

    /// How long a session may go on trying to get its link back, while it does.
    pub(super) fn outage_left(&self) -> Option<Duration> {
        let trying = self.phase == Phase::Reconnecting && self.session.is_some();
        trying.then(|| self.retry.left(Monotonic::now()).unwrap_or_default())
    }

    /// The session does not get its link back.
    pub(super) fn outage_too_long(&mut self) {
        self.step(Input::TimeUsedUp, &format!("The link to room '{}' did not come back", self.info.room_id));
    }

    /// Takes the outcome of an attempt to join.
    pub(super) fn join_ended(&mut self, result: Result<Entry, SignalError>) {
        let room = format!("Room '{}'", self.info.room_id);
        match result {
            Ok(entry) => self.joined(entry),
            // Whoever made the room we were in may make it again, as after a restart of the server.
            Err(SignalError::Refused { code: NO_ROOM, message }) if self.phase == Phase::Reconnecting => {
                log::warn!("{room}: {message}");
                self.try_again(&format!("{room}: {message}"));
            }
            Err(SignalError::Refused { code, message }) => {
                // The server has said what to do.
                self.step(Input::Refused(code), &EngineError::told(code, &format!("{room}: {message}")).message);
            }
            Err(error @ SignalError::BadAddress(_)) => {
                self.step(Input::Refused(1_000_017), &format!("{room}: {error}"));
            }
            Err(error) => {
                log::warn!("{room}: {error}");
                self.step(Input::LinkLost, "");
                self.try_again(&format!("{room}: {error}"));
            }
        }
    }

    fn joined(&mut self, entry: Entry) {
        let Entry { session, joined, events } = entry;
        self.session = Some((session.clone(), events));
        self.change(|info, _| info.server.clone_from(&joined.server));
        let (phase, announced) = self.phase.next(Input::Joined);
        self.phase = phase;
        if let Some((reason, code)) = announced {
            self.announce(reason, code, "", Some(joined.room_sid));
        }
        let (room, numbers) = (self.info.number, self.stream_numbers.clone());
        let number = || numbers.fetch_add(1, Ordering::Relaxed) + 1;
        self.others = joined.others;
        let steps = self.roster.replace(joined.users, joined.streams, room, number);
        // A follower must not hear of the new session's streams before the session.
        self.tell_followers(None, || RoomNews::Up(session.clone()));
        for step in steps {
            self.tell_step(step);
        }
        // Players hear of their streams also when nothing about these has changed.
        for info in self.roster.streams() {
            let stream = &info.stream;
            self.tell_followers(Some(&stream.stream_id), || RoomNews::Stream(stream.clone()));
        }
        self.tell_online();
        self.found_extra_info(joined.extra_info);
        if let Some(outcome) = self.outcome.take() {
            let _ = outcome.send(Ok(ZegoRoomState::Connected));
        }
    }

    /// Waits before the next attempt to join, or gives up.
    fn try_again(&mut self, why: &str) {
        let Some(wait) = self.retry.failed(Monotonic::now()) else {
            self.step(Input::TimeUsedUp, why);
            return;
        };
        let (attempt, inputs) = (self.attempt, self.inputs.downgrade());
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.send(RoomInput::Retry { attempt });
            }
        });
    }

    /// Takes news of the session.
    pub(super) fn event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::UserJoined(user) => self.take(|roster, _, _| roster.user_came(user)),
            SessionEvent::UserLeft(user) => self.take(|roster, _, _| roster.user_went(&user.id)),
            SessionEvent::StreamAdded(stream) | SessionEvent::StreamChanged(stream) => {
                self.take(|roster, room, number| roster.stream_is(stream, room, number));
            }
            SessionEvent::StreamRemoved(stream, reason) => {
                self.take(|roster, _, _| roster.stream_went(stream, reason));
            }
            SessionEvent::Others(others) => {
                self.others = others;
                self.tell_online();
            }
            SessionEvent::RoomExtraInfo(info) => self.extra_info_is(info),
            SessionEvent::Media { stream_id, receiver } => {
                self.tell_followers(Some(&stream_id), || RoomNews::Media(receiver.clone()));
            }
            SessionEvent::MediaEnded { stream_id, kind } => {
                self.tell_followers(Some(&stream_id), || RoomNews::MediaEnded(kind));
            }
            SessionEvent::Data { from, topic, payload, id, sent_at_ms, .. } => {
                self.message(from, &topic, &payload, id.as_deref(), sent_at_ms);
            }
            SessionEvent::Reconnecting => {
                self.outage();
                self.step(Input::LinkLost, &format!("The link to room '{}' broke", self.info.room_id));
                self.tell_followers(None, || RoomNews::Interrupted);
            }
            SessionEvent::Reconnected => {
                self.step(Input::Joined, "");
                self.tell_followers(None, || RoomNews::Resumed);
            }
            SessionEvent::Disconnected(reason) => self.disconnected(&reason),
        }
    }

    /// Begins to count the time of an outage, unless one is counted already.
    fn outage(&mut self) {
        if self.phase == Phase::Connected {
            self.retry = Retry::new(Monotonic::now(), self.retry_limit);
        }
    }

    fn disconnected(&mut self, reason: &DisconnectReason) {
        // The session has ended by itself: there is nothing to leave.
        self.session = None;
        self.outage();
        let room = format!("Room '{}'", self.info.room_id);
        let why = match reason {
            DisconnectReason::DuplicateIdentity => format!("{room}: user '{}' logged in elsewhere", self.info.user.id),
            DisconnectReason::Removed | DisconnectReason::PutOut(_) => {
                format!("{room}: user '{}' was put out by the server", self.info.user.id)
            }
            DisconnectReason::RoomDeleted => format!("{room} was closed by the server"),
            DisconnectReason::Refused { code, message } => {
                EngineError::told(*code, &format!("{room}: {message}")).message
            }
            DisconnectReason::ConnectionLost(why) | DisconnectReason::Other(why) => {
                format!("The link to room '{}' broke: {why}", self.info.room_id)
            }
            DisconnectReason::ServerShutdown => format!("{room}: the server shuts down"),
            DisconnectReason::StateMismatch => format!("{room}: the server has lost the session"),
        };
        let input = input_of(reason);
        self.step(input, &why);
        if self.phase != Phase::Ended {
            self.tell_followers(None, || RoomNews::Down);
            self.try_again(&why);
        }
    }

    /// Changes the roster, and tells what that means.
    fn take(&mut self, change: impl FnOnce(&mut super::roster::Roster, u64, &dyn Fn() -> u64) -> Option<Step>) {
        let numbers = self.stream_numbers.clone();
        let number = move || numbers.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(step) = change(&mut self.roster, self.info.number, &number) {
            self.tell_step(step);
        }
    }

    fn tell_step(&mut self, step: Step) {
        let room_id = self.info.room_id.clone();
        // The users' list of the room's object is brought up to date before the signal.
        self.change(|_, _| {});
        match step {
            Step::UsersCame(users) => self.tell_users(room_id, ZegoUpdateType::Add, users),
            Step::UsersWent(users) => self.tell_users(room_id, ZegoUpdateType::Delete, users),
            Step::StreamsCame(streams) => {
                for info in &streams {
                    self.news.tell(EngineEvent::Stream(Change::Added(info.clone())));
                }
                let list = streams.iter().map(|info| (info.stream.clone(), None)).collect();
                self.news.tell(EngineEvent::RoomStreams { room_id, update: ZegoUpdateType::Add, streams: list });
                for info in streams {
                    // Who joins later learns what is off already.
                    self.tell_device_states(&RemoteStream::default(), &info.stream);
                    self.tell_followers(Some(&info.stream.stream_id), || RoomNews::Stream(info.stream.clone()));
                }
            }
            Step::StreamsWent(streams, reason) => {
                for info in &streams {
                    self.tell_followers(Some(&info.stream.stream_id), || RoomNews::StreamGone);
                }
                let list = streams.iter().map(|info| (info.stream.clone(), Some(reason))).collect();
                self.news.tell(EngineEvent::RoomStreams { room_id, update: ZegoUpdateType::Delete, streams: list });
                for info in streams {
                    self.news.tell(EngineEvent::Stream(Change::Removed(info.number)));
                }
            }
            Step::StreamChanged(change) => {
                let (before, now) = *change;
                self.stream_changed(room_id, &before, now);
            }
        }
    }

    fn tell_users(&self, room_id: String, update: ZegoUpdateType, users: Vec<User>) {
        if self.user_notices {
            self.news.tell(EngineEvent::RoomUsers { room_id, update, users });
        }
    }

    fn stream_changed(&self, room_id: String, before: &StreamInfo, now: StreamInfo) {
        let (old, new) = (&before.stream, now.stream.clone());
        self.news.tell(EngineEvent::Stream(Change::Changed(now)));
        if old.extra_info != new.extra_info {
            let streams = vec![(new.stream_id.clone(), new.extra_info.clone())];
            self.news.tell(EngineEvent::StreamExtraInfo { room_id, streams });
        }
        self.tell_device_states(old, &new);
        self.tell_followers(Some(&new.stream_id), || RoomNews::Stream(new.clone()));
    }

    /// Tells which devices of a stream are in another state than before.
    fn tell_device_states(&self, old: &RemoteStream, new: &RemoteStream) {
        let camera = |of: &RemoteStream| seen_device_state(MediaKind::Video, of.video_muted, of.video_reason);
        let microphone = |of: &RemoteStream| seen_device_state(MediaKind::Audio, of.audio_muted, of.audio_reason);
        let states =
            [(true, new.has_video, camera(old), camera(new)), (false, new.has_audio, microphone(old), microphone(new))];
        for (camera, there, was, state) in states {
            if there && was != state {
                let stream_id = new.stream_id.clone();
                self.news.tell(EngineEvent::RemoteDevice { stream_id, camera, state });
            }
        }
    }

    fn tell_online(&mut self) {
        let others = self.others;
        self.change(|info, _| info.others = others);
        let count = self.info.online();
        if count != self.online {
            self.online = count;
            self.news.tell(EngineEvent::OnlineCount { room_id: self.info.room_id.clone(), count });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_session_is_an_input() {
        let refused = DisconnectReason::Refused { code: 1_002_086, message: String::new() };
        for (reason, input) in [
            (DisconnectReason::DuplicateIdentity, Input::KickedOut(1_002_050)),
            (DisconnectReason::Removed, Input::KickedOut(1_002_055)),
            (DisconnectReason::PutOut(1_002_056), Input::KickedOut(1_002_056)),
            (DisconnectReason::RoomDeleted, Input::KickedOut(1_002_057)),
            (DisconnectReason::ServerShutdown, Input::LinkLost),
            (DisconnectReason::StateMismatch, Input::LinkLost),
            (DisconnectReason::ConnectionLost(String::new()), Input::LinkLost),
            (refused, Input::Refused(1_002_086)),
            (DisconnectReason::Other(String::new()), Input::LinkLost),
        ] {
            assert_eq!(input_of(&reason), input, "{reason:?}");
        }
    }
}
