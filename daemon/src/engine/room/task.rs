//! The task of a room.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use zego_protocol::error::code_of;
use zego_protocol::state::{ZegoRoomState, ZegoRoomStateChangedReason as Reason};

use super::extra_info::ExtraInfo;
use super::follower::{Follower, RoomNews};
use super::inputs::{Room, RoomInput};
use super::roster::Roster;
use super::state::{Input, Phase};
use crate::clock::Monotonic;
use crate::engine::error::EngineError;
use crate::engine::event::{Change, EngineEvent, News, RoomInfo, User};
use crate::engine::message::{Numbers, Paces};
use crate::engine::token;
use crate::retry::Retry;
use crate::signal::{DisconnectReason, JoinOptions, Session, SessionEvent};

/// How long before its end a token's user is told.
const TOKEN_NOTICE_S: u64 = 30;

/// What a room's task needs.
pub(in crate::engine) struct RoomSetup {
    /// Number of the room's object.
    pub(in crate::engine) number: u64,
    /// Where and as whom.
    pub(in crate::engine) options: JoinOptions,
    /// What is wrong with the token already, before the server is asked.
    pub(in crate::engine) refusal: Option<EngineError>,
    /// Tell who comes and goes.
    pub(in crate::engine) user_notices: bool,
    /// How long a lost connection is tried again.
    pub(in crate::engine) retry_limit: Duration,
    /// Takes the news.
    pub(in crate::engine) news: News,
    /// Gives the stream objects their numbers.
    pub(in crate::engine) stream_numbers: Arc<AtomicU64>,
    /// Rooms that are still being left: their last signals come before the first one of this login.
    pub(in crate::engine) after: Vec<Leaving>,
    /// Dropped when this room has been left.
    pub(in crate::engine) left: watch::Sender<()>,
    /// Gets the outcome of the login: the state that was reached, or why not.
    pub(in crate::engine) outcome: oneshot::Sender<Result<ZegoRoomState, EngineError>>,
    /// Called when the room is over, before anybody is told: whoever hears of it can log in again.
    pub(in crate::engine) ended: Box<dyn FnOnce() + Send>,
}

/// Tells when a room has been left: its other end is dropped then.
pub(in crate::engine) type Leaving = watch::Receiver<()>;

/// Starts the task of a room: it announces the login and tries it. The task ends when the room is left.
pub(in crate::engine) fn start(setup: RoomSetup) -> (Room, JoinHandle<()>) {
    let (inputs, receiver) = unbounded_channel();
    let room = Room { number: setup.number, inputs: inputs.clone() };
    let expires_at = token::expiry(&setup.options.token);
    let user = User { id: setup.options.user_id.clone(), name: setup.options.user_name.clone() };
    let mut task = RoomTask {
        info: RoomInfo {
            number: setup.number,
            room_id: setup.options.room_id.clone(),
            user,
            state: ZegoRoomState::Connecting,
            reason: Reason::Logining,
            code: 0,
            users: Vec::new(),
            others: 0,
            extra_info: Vec::new(),
            token_expires_at: expires_at,
            server: setup.options.server.clone(),
        },
        options: setup.options,
        user_notices: setup.user_notices,
        retry: Retry::new(Monotonic::now(), setup.retry_limit),
        retry_limit: setup.retry_limit,
        news: setup.news,
        stream_numbers: setup.stream_numbers,
        outcome: Some(setup.outcome),
        ended: Some(setup.ended),
        phase: Phase::LoggingIn,
        attempt: 0,
        joining: None,
        session: None,
        roster: Roster::default(),
        followers: Vec::new(),
        paces: Paces::default(),
        numbers: Numbers::new(token::random()),
        extra_info: ExtraInfo::default(),
        others: 0,
        online: 0,
        inputs,
    };
    let (after, refusal, left) = (setup.after, setup.refusal, setup.left);
    if after.is_empty() {
        task.begin(refusal.as_ref());
    }
    let handle = tokio::spawn(async move {
        if !after.is_empty() {
            for mut left in after {
                // Nothing is ever sent: it ends.
                let _ = left.changed().await;
            }
            task.begin(refusal.as_ref());
        }
        task.run(receiver).await;
        drop(left);
    });
    (room, handle)
}

pub(super) struct RoomTask {
    pub(super) info: RoomInfo,
    pub(super) options: JoinOptions,
    pub(super) user_notices: bool,
    pub(super) retry: Retry,
    pub(super) retry_limit: Duration,
    pub(super) news: News,
    pub(super) stream_numbers: Arc<AtomicU64>,
    pub(super) outcome: Option<oneshot::Sender<Result<ZegoRoomState, EngineError>>>,
    ended: Option<Box<dyn FnOnce() + Send>>,
    pub(super) phase: Phase,
    pub(super) attempt: u64,
    /// The attempt to join that is on its way.
    pub(super) joining: Option<JoinHandle<()>>,
    pub(super) session: Option<(Session, UnboundedReceiver<SessionEvent>)>,
    pub(super) roster: Roster,
    pub(super) followers: Vec<Follower>,
    pub(super) paces: Paces,
    pub(super) numbers: Numbers,
    pub(super) extra_info: ExtraInfo,
    pub(super) others: usize,
    pub(super) online: i32,
    pub(super) inputs: UnboundedSender<RoomInput>,
}

/// The next event of a session; waits forever without one.
async fn next_event(session: &mut Option<(Session, UnboundedReceiver<SessionEvent>)>) -> SessionEvent {
    match session {
        Some((_, events)) => events.recv().await.unwrap_or_else(|| {
            SessionEvent::Disconnected(DisconnectReason::ConnectionLost("the session ended".to_owned()))
        }),
        None => std::future::pending().await,
    }
}

/// The end of the time for an outage; waits forever without one.
async fn outage_end(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}

impl RoomTask {
    /// Announces the login and tries it.
    fn begin(&mut self, refusal: Option<&EngineError>) {
        self.news.tell(EngineEvent::Room(Change::Added(self.info.clone())));
        self.announce(Reason::Logining, 0, "", None);
        match refusal {
            Some(refusal) => self.step(Input::Refused(refusal.code), &refusal.message),
            None => {
                self.try_to_join();
                self.watch_token();
            }
        }
    }

    async fn run(mut self, mut inputs: UnboundedReceiver<RoomInput>) {
        while self.phase != Phase::Ended {
            let left = self.outage_left();
            tokio::select! {
                biased;
                Some(input) = inputs.recv() => self.input(input),
                event = next_event(&mut self.session) => self.event(event),
                () = outage_end(left) => self.outage_too_long(),
            }
        }
        // Whoever still asks hears that the room is gone.
        inputs.close();
        while let Ok(input) = inputs.try_recv() {
            match input {
                RoomInput::Follow(follower) => {
                    (follower.tell)(RoomNews::Gone { code: self.info.code, message: String::new() });
                }
                RoomInput::Joined { result: Ok(entry), .. } => entry.session.leave().await,
                _ => {}
            }
        }
        if let Some((session, _)) = self.session.take() {
            session.leave().await;
        }
    }

    fn input(&mut self, input: RoomInput) {
        match input {
            RoomInput::Joined { attempt, result } if attempt == self.attempt => self.join_ended(result),
            RoomInput::Joined { result: Ok(entry), .. } => {
                tokio::spawn(async move { entry.session.leave().await });
            }
            RoomInput::Joined { .. } => {}
            RoomInput::Retry { attempt } if attempt == self.attempt => self.try_to_join(),
            RoomInput::Retry { .. } => {}
            RoomInput::TokenSoon { expires_at } if expires_at == self.info.token_expires_at => {
                let left = expires_at.saturating_sub(token::unix_now_s());
                self.news.tell(EngineEvent::TokenWillExpire {
                    room_id: self.info.room_id.clone(),
                    remaining_s: i32::try_from(left).unwrap_or(i32::MAX),
                });
            }
            RoomInput::TokenSoon { .. } => {}
            RoomInput::Follow(follower) => self.follow(follower),
            RoomInput::Unfollow(id) => self.followers.retain(|follower| follower.id != id),
            RoomInput::RenewToken(token) => {
                self.options.token = token;
                self.change(|info, options| info.token_expires_at = token::expiry(&options.token));
                self.watch_token();
            }
            RoomInput::Send { kind, text, to, reply } => self.send(kind, text, to, reply),
            RoomInput::SetExtraInfo { key, value, reply } => self.set_extra_info(key, value, reply),
            RoomInput::ExtraInfoSet { info, changes, set, reply } => {
                self.extra_info_set(info, changes, set, reply);
            }
            RoomInput::Streams(reply) => {
                let _ = reply.send(self.roster.streams().map(|info| info.stream.clone()).collect());
            }
            RoomInput::Network { network, gained } => self.network_changed(network, gained),
            RoomInput::Logout => self.step(Input::Logout, ""),
        }
    }

    fn follow(&mut self, follower: Follower) {
        // One whose link is broken takes what is asked of it now and does it when the link is back.
        let session = self.session.as_ref().map(|(session, _)| session.clone());
        let stream = follower.stream_id.as_deref().and_then(|id| self.roster.stream(id));
        (follower.tell)(RoomNews::Now { session, stream: stream.map(|info| info.stream.clone()) });
        self.followers.push(follower);
    }

    /// Tells a little before its end that the token ends.
    fn watch_token(&self) {
        let expires_at = self.info.token_expires_at;
        let left = expires_at.saturating_sub(token::unix_now_s());
        if expires_at == 0 || left == 0 {
            return;
        }
        let inputs = self.inputs.downgrade();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(left.saturating_sub(TOKEN_NOTICE_S))).await;
            if let Some(inputs) = inputs.upgrade() {
                let _ = inputs.send(RoomInput::TokenSoon { expires_at });
            }
        });
    }

    /// Takes the state machine one step, and tells what that means.
    pub(super) fn step(&mut self, input: Input, message: &str) {
        let (next, announced) = self.phase.next(input);
        self.phase = next;
        let Some((reason, code)) = announced else { return };
        // A refusal whose code is told as another one is told in that one's words.
        let detail = if code_of(message).is_some_and(|other| other != code) { "" } else { message };
        let message = if code == 0 { String::new() } else { EngineError::new(code, detail).message };
        if next == Phase::Ended {
            self.end(reason, code, &message);
        } else {
            self.announce(reason, code, &message, None);
        }
    }

    /// Everything that is not for longer than the room ends first, then the room.
    fn end(&mut self, reason: Reason, code: i32, message: &str) {
        if let Some(ended) = self.ended.take() {
            ended();
        }
        for follower in self.followers.drain(..) {
            (follower.tell)(RoomNews::Gone { code, message: message.to_owned() });
        }
        for info in self.roster.clear() {
            self.news.tell(EngineEvent::Stream(Change::Removed(info.number)));
        }
        self.announce(reason, code, message, None);
        self.news.tell(EngineEvent::Room(Change::Removed(self.info.number)));
        if let Some(outcome) = self.outcome.take() {
            let result = match code {
                0 => Ok(ZegoRoomState::Disconnected),
                code => Err(EngineError::told(code, message)),
            };
            let _ = outcome.send(result);
        }
    }

    /// Tells the room's new state; the object shows it before the signal says it.
    pub(super) fn announce(&mut self, reason: Reason, code: i32, message: &str, room_session_id: Option<String>) {
        self.change(|info, _| {
            info.state = reason.state();
            info.reason = reason;
            info.code = code;
        });
        let room_id = self.info.room_id.clone();
        log::info!("room '{room_id}': {reason}{}{message}", if message.is_empty() { "" } else { ": " });
        self.news.tell(EngineEvent::RoomState { room_id, reason, code, message: message.to_owned(), room_session_id });
    }

    /// Changes what the room's object shows.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut RoomInfo, &JoinOptions)) {
        let before = self.info.clone();
        change(&mut self.info, &self.options);
        // Whoever does not want to see others does not see them.
        self.info.users = if self.user_notices { self.roster.users().to_vec() } else { Vec::new() };
        if self.info != before {
            self.news.tell(EngineEvent::Room(Change::Changed(self.info.clone())));
        }
    }

    /// Tells followers; of a stream only those who care for it.
    pub(super) fn tell_followers(&self, stream_id: Option<&str>, news: impl Fn() -> RoomNews) {
        for follower in &self.followers {
            if stream_id.is_none() || follower.stream_id.as_deref() == stream_id {
                (follower.tell)(news());
            }
        }
    }
}
