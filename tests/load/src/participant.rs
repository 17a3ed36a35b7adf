//! One participant: joins as LiveKit's SDKs do, publishes and receives, and counts.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use livekit_signaling::{SignalClient, SignalError, SignalEvent, SignalEvents, SignalOptions};
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use str0m::media::MediaKind;
use str0m::rtp::RtpPacket;
use str0m::{Event, IceConnectionState, RtcError};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use crate::connection::{Batch, Connection, Section, arrival};
use crate::encoding::Shape;
use crate::outgoing::Outgoing;
use crate::stamp::Stamp;
use crate::tally::{Source, Tally, Window};

/// LiveKit's protocol without data channels that are negotiated by number.
const PROTOCOL: u32 = 17;
/// A packet may arrive so much later than the window ends: it was asked for again.
const GRACE: Duration = Duration::from_secs(1);

/// How a participant's media connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Path {
    /// `/rtc/v1`: one peer connection, as today's SDKs.
    One,
    /// `/rtc`: one to publish, one to receive.
    Two,
}

/// What a participant is to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its number in the stamps.
    pub number: u16,
    /// Its name.
    pub identity: String,
    /// How it gets in.
    pub token: String,
    /// The server.
    pub url: String,
    /// Address to send from.
    pub address: IpAddr,
    /// How it connects.
    pub path: Path,
    /// The shapes of its tracks, one list for each; empty when it only receives.
    pub tracks: Vec<Vec<Shape>>,
    /// Receives everybody else's tracks.
    pub subscribes: bool,
    /// Its first frame is so much later than it could be, so that not all send in the same moment.
    pub phase: Duration,
}

/// What all participants share.
#[derive(Debug)]
pub struct Shared {
    /// Time 0 of stamps and windows.
    pub epoch: Instant,
    /// The time that is measured, once that is known.
    pub window: OnceLock<Window>,
    /// Subscriptions on which something has arrived.
    pub flowing: AtomicUsize,
}

/// What a participant measured.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Packets of its own in the window.
    pub sent: HashMap<Source, Range<u64>>,
    /// How late they were sent, microseconds.
    pub late: Vec<u32>,
    /// It receives.
    pub receives: bool,
    /// What it received.
    pub tally: Tally,
    /// Key frames that were asked of it, ever.
    pub key_frames_asked: u64,
    /// Datagrams that its machine did not take, ever.
    pub unsent: u64,
}

/// What a participant tells of itself.
#[derive(Debug)]
pub enum News {
    /// Its media is connected.
    Connected,
    /// The window is over.
    Measured(u16, Box<Outcome>),
}

/// Why a participant cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Joining, or the WebSocket.
    #[error("{0}: {1}")]
    Signal(String, SignalError),
    /// The server does not know the path.
    #[error("{0}: the server does not speak /rtc/v1: use --path two")]
    NoSuchPath(String),
    /// The WebSocket ended.
    #[error("{0}: the connection to the server ended: {1}")]
    Ended(String, String),
    /// The server put it out.
    #[error("{0}: the server says leave, reason {1}")]
    PutOut(String, i32),
    /// The server refused a request.
    #[error("{0}: refused: {1}")]
    Refused(String, String),
    /// A peer connection.
    #[error("{0}: {1}")]
    Connection(String, RtcError),
    /// Its media connection ended.
    #[error("{0}: nothing comes from the server any more")]
    Silent(String),
    /// Its socket.
    #[error("{0}: no socket: {1}")]
    Socket(String, io::Error),
}

/// A participant that has joined.
pub struct Participant {
    plan: Plan,
    shared: Arc<Shared>,
    news: UnboundedSender<News>,
    client: SignalClient,
    signals: SignalEvents,
    /// The first publishes, and with one connection receives as well.
    connections: Vec<Connection>,
    tracks: Vec<Outgoing>,
    /// Tracks that the server knows.
    announced: usize,
    /// Sections to be offered: sound, pictures.
    needed: (u32, u32),
    channels: bool,
    offer: u32,
    heard: HashSet<(u16, bool)>,
    outcome: Option<Outcome>,
    connected: bool,
    /// What was to be offered had to wait until the first connection was up.
    postponed: bool,
}

impl Participant {
    /// Joins.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn join(plan: Plan, shared: Arc<Shared>, news: UnboundedSender<News>) -> Result<Participant, LoadError> {
        let who = || plan.identity.clone();
        let one = plan.path == Path::One;
        let new = || Connection::new(plan.address).map_err(|error| LoadError::Socket(who(), error));
        let mut connection = new()?;
        let offer = one.then(|| connection.offer(true, &[])).flatten().map(|(sdp, _)| describe("offer", sdp, 0));
        let mut options = SignalOptions::default();
        options.auto_subscribe = plan.subscribes;
        options.single_peer_connection = one;
        options.region_failover = false;
        options.protocol_version = PROTOCOL;
        options.client_capabilities = Vec::new();
        options.client_protocol = 0;
        let joined = SignalClient::connect(&plan.url, &plan.token, options, offer).await;
        let (client, join, signals) = joined.map_err(|error| LoadError::Signal(who(), error))?;
        if one && !client.is_single_pc_mode_active() {
            return Err(LoadError::NoSuchPath(who()));
        }
        let kind = |shapes: &[Shape]| match shapes.iter().all(|shape| shape.encoding == 0) {
            true => MediaKind::Audio,
            false => MediaKind::Video,
        };
        let tracks = plan.tracks.iter().map(|shapes| Outgoing::new(&plan.identity, kind(shapes), shapes.clone()));
        let mut participant = Participant {
            tracks: tracks.collect(),
            shared,
            news,
            client,
            signals,
            connections: vec![connection],
            announced: 0,
            needed: (0, 0),
            channels: one,
            offer: 0,
            heard: HashSet::new(),
            outcome: Some(Outcome { receives: plan.subscribes, ..Default::default() }),
            connected: false,
            postponed: false,
            plan,
        };
        for request in participant.tracks.iter().map(Outgoing::request).collect::<Vec<_>>() {
            participant.client.send(Request::AddTrack(request)).await;
        }
        // Who is only to receive needs no connection to publish, unless the server counts on that one.
        if !one && (!join.subscriber_primary || !participant.plan.tracks.is_empty()) {
            participant.offer_more(true).await;
        }
        Ok(participant)
    }

    /// Takes part until `leave` says otherwise, and leaves.
    ///
    /// # Errors
    /// [`LoadError`], when it cannot go on.
    pub async fn live(mut self, mut leave: watch::Receiver<bool>) -> Result<(), LoadError> {
        let mut batch = Batch::new();
        loop {
            let now = Instant::now();
            self.tick(now)?;
            if self.postponed && self.connections[0].connected {
                self.offer_more(false).await;
            }
            if *leave.borrow_and_update() {
                break;
            }
            let wake_at = self.wake_at(now);
            tokio::select! {
                signal = self.signals.recv() => self.signal(signal).await?,
                index = arrival(&self.connections, &mut batch) => self.arrived(index, &batch)?,
                () = tokio::time::sleep_until(wake_at.into()) => {}
                changed = leave.changed() => if changed.is_err() { break },
            }
        }
        let leave =
            proto::LeaveRequest { reason: proto::DisconnectReason::ClientInitiated as i32, ..Default::default() };
        self.client.send(Request::Leave(leave)).await;
        self.client.close().await;
        Ok(())
    }

    fn wake_at(&self, now: Instant) -> Instant {
        let connections = self.connections.iter().map(|connection| connection.wake_at);
        let media = self.tracks.iter().filter_map(Outgoing::due);
        let over = self.outcome.as_ref().and(self.shared.window.get()).map(|window| self.shared.epoch + over(window));
        connections.chain(media).chain(over).min().unwrap_or(now + GRACE)
    }

    fn tick(&mut self, now: Instant) -> Result<(), LoadError> {
        let sent = self.since_epoch(now);
        let window = self.shared.window.get().cloned();
        let mut wrote = false;
        let publisher = &mut self.connections[0];
        for track in &mut self.tracks {
            if publisher.connected {
                track.begin(publisher, now + self.plan.phase);
            }
            for (encoding, packet) in track.send(publisher, self.plan.number, now, sent) {
                wrote = true;
                let measured = window.as_ref().is_some_and(|window| window.contains(&sent));
                let Some(outcome) = self.outcome.as_mut().filter(|_| measured) else { continue };
                let next = packet.counter + 1;
                let range = outcome.sent.entry((self.plan.number, encoding)).or_insert(packet.counter..next);
                range.end = next;
                let late = now.saturating_duration_since(packet.due).as_micros();
                outcome.late.push(u32::try_from(late).unwrap_or(u32::MAX));
            }
        }
        for index in 0..self.connections.len() {
            // What was written is sent when time passes.
            if self.connections[index].wake_at <= now || (wrote && index == 0) {
                self.connections[index].tick(now).map_err(|error| self.broken(error))?;
                self.drain(index, now)?;
            }
        }
        if window.is_some_and(|window| Duration::from_nanos(sent) >= over(&window))
            && let Some(mut outcome) = self.outcome.take()
        {
            outcome.unsent = self.connections.iter().map(|connection| connection.unsent).sum();
            // Nobody listens when the program is ending.
            let _ = self.news.send(News::Measured(self.plan.number, Box::new(outcome)));
        }
        Ok(())
    }

    fn arrived(&mut self, index: usize, batch: &Batch) -> Result<(), LoadError> {
        for n in 0..batch.len() {
            self.connections[index].receive(batch, n).map_err(|error| self.broken(error))?;
            self.drain(index, batch.at)?;
        }
        Ok(())
    }

    fn drain(&mut self, index: usize, now: Instant) -> Result<(), LoadError> {
        while let Some(event) = self.connections[index].poll().map_err(|error| self.broken(error))? {
            match event {
                Event::RtpPacket(packet) => self.packet(&packet, now),
                Event::KeyframeRequest(request) if index == 0 => {
                    let asked = self.tracks.iter_mut().filter(|track| track.mid == Some(request.mid));
                    asked.for_each(|track| track.ask_for_key_frame(request.rid));
                    if let Some(outcome) = &mut self.outcome {
                        outcome.key_frames_asked += 1;
                    }
                }
                Event::Connected if !self.connected => {
                    self.connected = true;
                    // Nobody listens when the program is ending.
                    let _ = self.news.send(News::Connected);
                }
                Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                    return Err(LoadError::Silent(self.plan.identity.clone()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn packet(&mut self, packet: &RtpPacket, now: Instant) {
        let Some(stamp) = Stamp::read(&packet.payload) else { return };
        if self.heard.insert((stamp.publisher, stamp.encoding == 0)) {
            self.shared.flowing.fetch_add(1, Ordering::Relaxed);
        }
        let measured = self.shared.window.get().is_some_and(|window| window.contains(&stamp.sent));
        let at = self.since_epoch(now);
        if let Some(outcome) = self.outcome.as_mut().filter(|_| measured) {
            outcome.tally.arrived(stamp, packet.payload.len(), at);
        }
    }

    async fn signal(&mut self, signal: Option<SignalEvent>) -> Result<(), LoadError> {
        let who = || self.plan.identity.clone();
        let message = match signal {
            Some(SignalEvent::Message(message)) => *message,
            Some(SignalEvent::Close(reason)) => return Err(LoadError::Ended(who(), reason.into_owned())),
            None => return Err(LoadError::Ended(who(), "no more messages".to_owned())),
        };
        match message {
            Response::Answer(answer) => {
                self.connections[0].answered(&answer.sdp).map_err(|error| self.broken(error))?;
                self.offer_more(false).await;
            }
            Response::Offer(offer) => self.answer(&offer).await?,
            Response::Trickle(trickle) => self.candidate(&trickle),
            Response::TrackPublished(_) => {
                self.announced += 1;
                self.offer_more(false).await;
            }
            Response::MediaSectionsRequirement(more) => {
                // None are missing, and an offer is wanted all the same: str0m makes none that changes nothing.
                let spare = u32::from(more.num_audios + more.num_videos == 0);
                self.needed = (self.needed.0 + more.num_audios + spare, self.needed.1 + more.num_videos + spare);
                self.offer_more(false).await;
            }
            Response::Leave(leave) => return Err(LoadError::PutOut(who(), leave.reason)),
            Response::RequestResponse(answer) if answer.reason != proto::request_response::Reason::Ok as i32 => {
                return Err(LoadError::Refused(who(), answer.message));
            }
            _ => {}
        }
        Ok(())
    }

    /// Offers what is not offered yet, unless an offer waits for its answer; with nothing new only if `anyway`.
    ///
    /// A second offer waits until the first one's connection is up: livekit-server restarts ICE in its answer to an offer
    /// that overtakes the first one's transports (pion compares the credentials with those that its agent knows by then).
    async fn offer_more(&mut self, anyway: bool) {
        if self.connections[0].is_offering() {
            return;
        }
        self.postponed = self.connections[0].is_answered() && !self.connections[0].connected;
        if self.postponed {
            return;
        }
        let (sounds, pictures) = std::mem::take(&mut self.needed);
        let mut sections = vec![Section::Receive(MediaKind::Audio); sounds as usize];
        sections.extend(vec![Section::Receive(MediaKind::Video); pictures as usize]);
        let ours = sections.len();
        let known = if self.announced == self.tracks.len() { 0..self.tracks.len() } else { 0..0 };
        let fresh: Vec<usize> = known.filter(|n| self.tracks[*n].mid.is_none()).collect();
        sections.extend(fresh.iter().map(|n| self.tracks[*n].section()));
        if sections.is_empty() && !anyway {
            return;
        }
        let channels = !std::mem::replace(&mut self.channels, true);
        let Some((sdp, mids)) = self.connections[0].offer(channels, &sections) else { return };
        for (n, mid) in fresh.iter().zip(&mids[ours..]) {
            self.tracks[*n].mid = Some(*mid);
        }
        self.offer += 1;
        self.client.send(Request::Offer(describe("offer", sdp, self.offer))).await;
    }

    async fn answer(&mut self, offer: &proto::SessionDescription) -> Result<(), LoadError> {
        let answer = self.subscriber()?.answer(&offer.sdp).map_err(|error| self.broken(error))?;
        self.client.send(Request::Answer(describe("answer", answer, offer.id))).await;
        Ok(())
    }

    /// The connection that the server offers, with two.
    fn subscriber(&mut self) -> Result<&mut Connection, LoadError> {
        if self.connections.len() == 1 {
            let made = Connection::new(self.plan.address);
            self.connections.push(made.map_err(|error| LoadError::Socket(self.plan.identity.clone(), error))?);
        }
        Ok(&mut self.connections[1])
    }

    fn candidate(&mut self, trickle: &proto::TrickleRequest) {
        let init: serde_json::Value = serde_json::from_str(&trickle.candidate_init).unwrap_or_default();
        let Some(line) = init["candidate"].as_str() else { return };
        let connection = match trickle.target == proto::SignalTarget::Subscriber as i32 {
            true => self.subscriber().ok(),
            false => self.connections.first_mut(),
        };
        if let Some(connection) = connection {
            connection.candidate(line);
        }
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.shared.epoch).as_nanos() as u64
    }

    fn broken(&self, error: RtcError) -> LoadError {
        LoadError::Connection(self.plan.identity.clone(), error)
    }
}

/// When a window's last packet has arrived, if it ever does: since the epoch.
fn over(window: &Window) -> Duration {
    Duration::from_nanos(window.end) + GRACE
}

fn describe(kind: &str, sdp: String, id: u32) -> proto::SessionDescription {
    proto::SessionDescription { r#type: kind.into(), sdp, id, ..Default::default() }
}
