//! One session: a participant whose client speaks HTTP only. Its task says to the rooms what a signalling connection would.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use livekit_protocol as proto;
use proto::request_response::Reason;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use zego_protocol::error::with_code;

use super::fragment::{self, Change, Credentials, Fragment};
use super::problem::Problem;
use super::{Door, Protocol};
use crate::core::{Inbox, Input, random};
use crate::outbox::{Messages, Outbound, outbox};
use crate::rooms::{ConnectionKey, Join};

/// The rooms hear of the session this often: it lives as long as its media does.
const PING: Duration = Duration::from_secs(5);
/// An answer of the media thread that takes longer is none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of one session that may wait.
const ASKS: usize = 16;
/// The session ended on the server's side.
const SESSION_LOST: i32 = 1_002_057;

/// What a session's client asks.
#[derive(Debug)]
pub enum Ask {
    /// Candidates, or another ICE session.
    Change {
        /// `If-Match`.
        if_match: Option<String>,
        /// The body.
        fragment: Fragment,
        /// Where the outcome goes.
        answer: oneshot::Sender<Result<Changed, Problem>>,
    },
    /// The end.
    End(oneshot::Sender<()>),
}

/// What changed.
#[derive(Debug)]
pub enum Changed {
    /// Candidates were taken.
    Candidates,
    /// ICE begins anew.
    Restarted {
        /// The hub's side of it.
        fragment: String,
        /// Its entity tag.
        etag: String,
    },
}

/// A session that began.
#[derive(Debug)]
pub struct Opened {
    /// Last part of its URL.
    pub id: String,
    /// Its first entity tag.
    pub etag: String,
    /// The answer to the offer.
    pub answer: String,
    /// STUN and TURN servers for the client.
    pub ice_servers: Vec<proto::IceServer>,
}

type Open = HashMap<String, (Protocol, mpsc::Sender<Ask>)>;

/// All sessions, by the last part of their URLs.
#[derive(Debug, Clone, Default)]
pub struct Sessions(Arc<Mutex<Open>>);

impl Sessions {
    /// Where to ask the session `id` of `protocol`.
    pub(super) fn get(&self, protocol: Protocol, id: &str) -> Option<mpsc::Sender<Ask>> {
        self.all().get(id).filter(|(of, _)| *of == protocol).map(|(_, asks)| asks.clone())
    }

    fn all(&self) -> MutexGuard<'_, Open> {
        // Nothing that can panic is done while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins a session. It goes on by itself, unless nobody waits for its answer any more.
pub(super) async fn open(door: &Door, protocol: Protocol, join: Join) -> Result<Opened, Problem> {
    let connection = door.connections.fetch_add(1, Ordering::Relaxed);
    let offer = join.offer.as_ref().map(|offer| offer.sdp.clone()).unwrap_or_default();
    let publishes = join.add_tracks.len();
    let (outbox, messages) = outbox();
    let session = Session {
        connection,
        inbox: door.inbox.clone(),
        messages,
        sessions: door.sessions.clone(),
        id: format!("{:016x}{:016x}", random(), random()),
        client: Credentials::read(&offer).unwrap_or_default(),
        offer,
        etag: String::new(),
        ice_servers: Vec::new(),
        published: publishes,
        over: false,
    };
    door.inbox.send(Input::Join(connection, Box::new(join), outbox)).await.map_err(|_| Problem::ending())?;
    let (answer, answered) = oneshot::channel();
    tokio::spawn(session.run(protocol, answer));
    answered.await.map_err(|_| Problem::ending())?
}

struct Session {
    connection: ConnectionKey,
    inbox: Inbox,
    messages: Messages,
    sessions: Sessions,
    id: String,
    /// The client's description and its side of ICE.
    offer: String,
    client: Credentials,
    etag: String,
    ice_servers: Vec<proto::IceServer>,
    /// Tracks that are still published.
    published: usize,
    /// The rooms ended it.
    over: bool,
}

impl Session {
    async fn run(mut self, protocol: Protocol, opened: oneshot::Sender<Result<Opened, Problem>>) {
        match self.answer().await {
            Ok(answer) => {
                self.etag = Credentials::read(&answer).unwrap_or_default().etag();
                let (asks, asked) = mpsc::channel(ASKS);
                self.sessions.all().insert(self.id.clone(), (protocol, asks));
                let first = Opened {
                    id: self.id.clone(),
                    etag: self.etag.clone(),
                    answer,
                    ice_servers: std::mem::take(&mut self.ice_servers),
                };
                if opened.send(Ok(first)).is_ok() {
                    self.live(asked).await;
                }
                self.sessions.all().remove(&self.id);
            }
            // Nobody listens when the client has gone meanwhile.
            Err(problem) => drop(opened.send(Err(problem))),
        }
        self.leave().await;
        // Nobody listens any more when the hub is ending.
        let _ = self.inbox.send(Input::Lost(self.connection)).await;
    }

    async fn live(&mut self, mut asked: mpsc::Receiver<Ask>) {
        let mut pings = tokio::time::interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.over {
            tokio::select! {
                message = self.messages.recv() => if !self.goes_on(message) {
                    return;
                },
                Some(ask) = asked.recv() => match ask {
                    Ask::Change { if_match, fragment, answer } => {
                        let changed = self.change(if_match.as_deref(), fragment).await;
                        // Who asked may have gone meanwhile.
                        drop(answer.send(changed));
                    }
                    Ask::End(answer) => {
                        self.sessions.all().remove(&self.id);
                        self.leave().await;
                        // As above.
                        let _ = answer.send(());
                    }
                },
                _ = pings.tick() => self.say(Request::Ping(0)).await,
            }
        }
    }

    /// Whether the session goes on after what the rooms say outside of an answer.
    fn goes_on(&mut self, message: Option<Outbound>) -> bool {
        match message {
            Some(Outbound::Message(message)) if matches!(*message, Response::TrackUnpublished(_)) => {
                // An administrator took away what it may publish, and its client can hear of that only by the end.
                self.published = self.published.saturating_sub(1);
                self.published > 0
            }
            Some(Outbound::Message(_)) => true,
            Some(Outbound::Close) | None => {
                self.over = true;
                false
            }
        }
    }

    async fn change(&mut self, if_match: Option<&str>, fragment: Fragment) -> Result<Changed, Problem> {
        match fragment.judge(if_match, &self.etag, &self.client)? {
            Change::Trickle(candidates) => {
                self.trickle(candidates).await;
                Ok(Changed::Candidates)
            }
            Change::Restart(credentials, candidates) => {
                self.offer = fragment::renew(&self.offer, &credentials);
                self.client = credentials;
                let offer = proto::SessionDescription {
                    r#type: "offer".to_owned(),
                    sdp: self.offer.clone(),
                    ..Default::default()
                };
                self.say(Request::Offer(offer)).await;
                self.trickle(candidates).await;
                let answer = self.answer().await?;
                self.etag = Credentials::read(&answer).unwrap_or_default().etag();
                Ok(Changed::Restarted { fragment: fragment::of_answer(&answer), etag: self.etag.clone() })
            }
        }
    }

    async fn trickle(&mut self, candidates: Vec<String>) {
        for candidate in candidates {
            let trickle = proto::TrickleRequest {
                candidate_init: serde_json::json!({ "candidate": candidate }).to_string(),
                target: proto::SignalTarget::Publisher as i32,
                ..Default::default()
            };
            self.say(Request::Trickle(trickle)).await;
        }
    }

    /// Waits for the answer to the last offer.
    async fn answer(&mut self) -> Result<String, Problem> {
        let late = tokio::time::sleep(ANSWER_TIMEOUT);
        tokio::pin!(late);
        loop {
            let message = tokio::select! {
                message = self.messages.recv() => message,
                () = &mut late => return Err(Problem::ending()),
            };
            let Some(Outbound::Message(message)) = message else {
                self.over = true;
                return Err(gone());
            };
            match *message {
                Response::Join(join) => self.ice_servers = join.ice_servers,
                Response::Answer(answer) => return Ok(answer.sdp),
                Response::RequestResponse(refusal) if refusal.reason != Reason::Ok as i32 => {
                    let taken = refusal.reason == Reason::DuplicateName as i32;
                    let status = if taken { StatusCode::CONFLICT } else { StatusCode::FORBIDDEN };
                    return Err(Problem::new(status, refusal.message));
                }
                Response::Leave(leave) if leave.reason == proto::DisconnectReason::MediaFailure as i32 => {
                    self.over = true;
                    let detail =
                        "The offer cannot be answered: it needs one bundle (max-bundle) with rtcp-mux and DTLS";
                    return Err(Problem::request(StatusCode::NOT_ACCEPTABLE, detail));
                }
                Response::Leave(_) => {
                    self.over = true;
                    return Err(gone());
                }
                _ => {}
            }
        }
    }

    async fn leave(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            self.say(Request::Leave(proto::LeaveRequest::default())).await;
            // Whoever is told that the session ended may begin another one under the same name.
            while let Some(Outbound::Message(_)) = self.messages.recv().await {}
        }
    }

    async fn say(&mut self, request: Request) {
        self.over |= self.inbox.send(Input::Request(self.connection, Box::new(request))).await.is_err();
    }
}

fn gone() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, with_code(SESSION_LOST, "The session was ended by the server"))
}
