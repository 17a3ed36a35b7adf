//! The task that owns the rooms: takes what connections and the forwarding unit report, and does what the rooms decide.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use tokio::sync::{mpsc, oneshot};
use zego_protocol::token::{App, Claims, sign_claims};

use crate::outbox::{Outbound, Outbox, Rejection};
use crate::rooms::{ConnectionKey, Denial, Join, Moment, Output, Rooms, Settings};
use crate::sfu::{Command, Notice, Sfu};
use crate::webhooks::Webhooks;

/// Reports that may wait for the rooms before connections are made to wait.
const INBOX: usize = 256;
/// How often silence is looked for.
const TICK: Duration = Duration::from_secs(1);
/// How long connections get to deliver their last message when the hub ends.
const FAREWELL: Duration = Duration::from_millis(800);

type Work = dyn FnOnce(&mut Rooms, Moment) + Send;

/// What a request from outside does in the rooms. It carries its answer away itself.
pub struct Errand(Box<Work>);

impl Errand {
    /// Something to do, and where its answer arrives.
    pub fn new<T: Send + 'static>(
        what: impl FnOnce(&mut Rooms, Moment) -> T + Send + 'static,
    ) -> (Errand, oneshot::Receiver<T>) {
        let (answer, answered) = oneshot::channel();
        // Whoever asked may be gone when it is answered.
        (Errand(Box::new(move |rooms, now| drop(answer.send(what(rooms, now))))), answered)
    }
}

impl std::fmt::Debug for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Errand")
    }
}

/// What a connection reports.
#[derive(Debug)]
pub enum Input {
    /// A client with a good token asks whether it may come in.
    Knock(Box<Join>, oneshot::Sender<Result<(), Denial>>),
    /// A client that is in a room shows a new token, which is good. The answer to a refusal is a sentence.
    Renew(Box<Join>, String, oneshot::Sender<Result<(), String>>),
    /// Somebody asks for something, or about something, in the rooms.
    Errand(Errand),
    /// Somebody wants to know whether the media thread answers.
    Probe(oneshot::Sender<()>),
    /// A client with a good token.
    Join(ConnectionKey, Box<Join>, Outbox),
    /// A message from it.
    Request(ConnectionKey, Box<Request>),
    /// It says more than it may, and does not stop.
    Flood(ConnectionKey),
    /// The connection is gone.
    Lost(ConnectionKey),
    /// Likewise, because the client did not read.
    NotRead(ConnectionKey),
}

/// Where connections report to.
pub type Inbox = mpsc::Sender<Input>;

/// Owner of the rooms.
pub struct Core {
    rooms: Rooms,
    sfu: Sfu,
    inputs: mpsc::Receiver<Input>,
    notices: mpsc::UnboundedReceiver<Notice>,
    outboxes: HashMap<ConnectionKey, Outbox>,
    webhooks: Webhooks,
    apps: Vec<App>,
}

impl Core {
    /// Rooms without anybody, and the inbox for connections. New tokens are signed with the secrets of `apps`.
    pub fn new(
        settings: Settings,
        sfu: Sfu,
        notices: mpsc::UnboundedReceiver<Notice>,
        webhooks: Webhooks,
        apps: Vec<App>,
    ) -> (Core, Inbox) {
        let (inbox, inputs) = mpsc::channel(INBOX);
        let rooms = Rooms::new(settings, Box::new(random));
        (Core { rooms, sfu, inputs, notices, outboxes: HashMap::new(), webhooks, apps }, inbox)
    }

    /// Runs until `stop` completes, then takes leave of everybody.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut last_tick = Instant::now();
        loop {
            let tick = self.rooms.next_tick(last_tick, TICK);
            tokio::select! {
                () = &mut stop => break,
                Some(input) = self.inputs.recv() => self.take(input),
                Some(notice) = self.notices.recv() => self.rooms.notice(notice, now()),
                () = tokio::time::sleep_until(tick.unwrap_or(last_tick).into()), if tick.is_some() => {
                    last_tick = Instant::now();
                    self.rooms.tick(now());
                }
            }
            self.carry_out();
        }
        self.farewell().await;
    }

    fn take(&mut self, input: Input) {
        // Whoever asked may be gone when it is answered.
        match input {
            Input::Knock(join, answer) => drop(answer.send(self.rooms.may_join(&join))),
            Input::Renew(join, token, answer) => drop(answer.send(self.rooms.renew(&join, token))),
            Input::Errand(Errand(what)) => what(&mut self.rooms, now()),
            Input::Probe(answer) => self.sfu.send(Command::Probe(answer)),
            Input::Join(connection, join, outbox) => {
                self.outboxes.insert(connection, outbox);
                self.rooms.join(connection, *join, now());
            }
            Input::Request(connection, request) => self.rooms.request(connection, *request, now()),
            Input::Flood(connection) => self.rooms.flooded(connection, now()),
            Input::Lost(connection) => {
                self.outboxes.remove(&connection);
                self.rooms.disconnected(connection, now());
            }
            Input::NotRead(connection) => {
                self.outboxes.remove(&connection);
                self.rooms.too_slow(connection, now());
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.rooms.take_output() {
            match output {
                Output::Media(command) => self.sfu.send(command),
                Output::News(news) => self.webhooks.tell(*news, now().unix_ms / 1000),
                Output::Token(connection, claims) => self.post_token(connection, &claims),
                Output::Send(connection, message) => self.post(connection, Outbound::Message(message)),
                Output::Close(connection) => {
                    self.post(connection, Outbound::Close);
                    self.outboxes.remove(&connection);
                }
            }
        }
    }

    fn post_token(&mut self, connection: ConnectionKey, claims: &Claims) {
        // Whoever is in a room came with a token of an app that is known.
        let Some(app) = self.apps.iter().find(|app| app.id == claims.app_id) else { return };
        let token = Response::RefreshToken(sign_claims(claims, app));
        self.post(connection, Outbound::Message(Box::new(token)));
    }

    fn post(&mut self, connection: ConnectionKey, message: Outbound) {
        let Some(outbox) = self.outboxes.get(&connection) else { return };
        match outbox.post(message) {
            Ok(()) => {}
            Err(Rejection::Full) => {
                // It does not read: it costs only itself. Dropping the outbox ends the connection's task.
                log::warn!("a signalling connection is too slow and is closed");
                self.outboxes.remove(&connection);
                self.rooms.too_slow(connection, now());
            }
            // Its task is ending and is about to report so.
            Err(Rejection::Closed) => {}
        }
    }

    async fn farewell(mut self) {
        self.rooms.shutdown(now());
        let mut open: Vec<ConnectionKey> = self.outboxes.keys().copied().collect();
        self.carry_out();
        let deadline = tokio::time::Instant::now() + FAREWELL;
        while !open.is_empty() {
            match tokio::time::timeout_at(deadline, self.inputs.recv()).await {
                Ok(Some(Input::Lost(connection) | Input::NotRead(connection))) => open.retain(|key| *key != connection),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.webhooks.finish(FAREWELL).await;
    }
}

/// The present, by both clocks.
fn now() -> Moment {
    let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
    Moment { at: Instant::now(), unix_ms }
}

/// What must not be guessed or repeated.
pub fn random() -> u64 {
    // The kernel's source does not fail once the system is up (random(7)).
    getrandom::u64().expect("the kernel gives random numbers")
}
