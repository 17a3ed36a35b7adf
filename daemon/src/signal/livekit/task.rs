//! The task that keeps one session.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use livekit_protocol as proto;
use livekit_signaling::{SignalClient, SignalEvent, SignalEvents};
use proto::signal_request::Message as Request;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use zego_protocol::discovery::AUTO;

use super::super::error::{DisconnectReason, SignalError};
use super::super::extra_info::RoomExtraInfo;
use super::super::room::Room;
use super::attributes::Changes;
use super::commands::{Command, Reply};
use super::connect::{Connected, Link, ice_servers};
use super::health::{Health, Media};
use super::offers::Offers;
use super::published::Published;
use super::server_clock::ServerClock;
use super::text_streams::TextStreams;
use super::wants::Wants;
use super::{JoinOptions, Joined, Search, SessionEvent};
use crate::network::Path;
use crate::rtc::{IceServer, MediaKind, MediaReceiver};

/// For an answer to a request or an offer.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(10);
/// For the list of those who are there, after the server took us back. It comes at once; a server without one does no harm.
const LIST_TIME: Duration = Duration::from_secs(1);
/// For media to get through by itself, before it is relayed.
const RELAY_TIME: Duration = Duration::from_millis(2500);
/// How our own server calls itself.
const OUR_NODE: &str = "zegohub";
/// For the server to hear that we leave.
const LEAVE_TIME: Duration = Duration::from_millis(500);

/// Media that arrives on a section.
pub(super) struct Playing {
    pub(super) sid: String,
    pub(super) stream_id: String,
    pub(super) kind: MediaKind,
    pub(super) receiver: MediaReceiver,
}

/// Why the loop ended.
pub(super) enum End {
    /// We leave; somebody may wait for it.
    Left(Option<Reply<()>>),
    /// The session was ended.
    Ended(DisconnectReason),
}

/// The task.
pub(super) struct Task {
    pub(super) client: Arc<SignalClient>,
    pub(super) signals: SignalEvents,
    pub(super) outbox: UnboundedSender<Request>,
    pub(super) outbox_task: JoinHandle<()>,
    pub(super) publisher: Link,
    pub(super) subscriber: Option<Link>,
    pub(super) commands: UnboundedReceiver<Command>,
    pub(super) events: UnboundedSender<SessionEvent>,
    pub(super) room: Room,
    pub(super) offers: Offers,
    pub(super) wants: Wants,
    pub(super) published: Published,
    /// The server's ids of the tracks on the sections, from its newest answer.
    pub(super) section_tracks: HashMap<String, String>,
    pub(super) playing: HashMap<String, Playing>,
    /// Media of tracks that no update named yet.
    pub(super) unnamed: VecDeque<(String, String, MediaReceiver)>,
    /// The texts of what we publish, as they are to be.
    pub(super) extra_infos: HashMap<String, String>,
    pub(super) changes: Changes,
    pub(super) texts: TextStreams,
    /// The server is our own: it keeps stream ids unique and extra information with the room.
    pub(super) server_is_ours: bool,
    /// The token allows us attributes, on a server that does not allow ours to everybody.
    pub(super) may_change_attributes: bool,
    /// How many others the engine knows of.
    pub(super) others: usize,
    /// The newest extra information of the room that the engine knows of.
    pub(super) extra_info: Option<RoomExtraInfo>,
    /// The same, as it stands in our own attribute.
    pub(super) carried: Option<RoomExtraInfo>,
    pub(super) sequence: u32,
    pub(super) requests: u32,
    pub(super) health: Health,
    pub(super) path: Path,
    /// The server's URL.
    pub(super) server: String,
    /// What found it, when it was found.
    pub(super) search: Option<Search>,
    pub(super) server_clock: ServerClock,
    /// The way to the server has become another one since media was connected.
    pub(super) moved: bool,
    pub(super) resynchronise: bool,
    /// The server's id of us in this session.
    pub(super) own_sid: String,
    /// The server took us back, and is to list until then who is there: before, it may be another one's session.
    pub(super) list_deadline: Option<Instant>,
    pub(super) answer_deadline: Option<Instant>,
    /// Tracks that ended before they were in an offer. A server that accepted one only notices its end when it was offered once: they go
    /// with the next offer, and are removed by the one after it.
    pub(super) leaving: Vec<String>,
    /// Who waits until the server has answered which offer.
    pub(super) to_tell: Vec<(u32, Reply<()>)>,
    /// STUN and TURN servers of the configuration.
    pub(super) own_servers: Vec<IceServer>,
    /// When ICE starts anew with the relays that the server named: its first offer was made before they were known.
    pub(super) relay_at: Option<Instant>,
    pub(super) resuming: Option<JoinHandle<Result<Vec<proto::IceServer>, DisconnectReason>>>,
    /// Has [`Self::resuming`] try again at once.
    pub(super) hurry: Arc<Notify>,
    pub(super) newest_offer: Option<proto::SessionDescription>,
    pub(super) newest_answer: Option<proto::SessionDescription>,
}

impl Task {
    /// Takes over a fresh connection.
    pub(super) fn new(
        options: &JoinOptions,
        connected: Connected,
        commands: UnboundedReceiver<Command>,
        events: UnboundedSender<SessionEvent>,
    ) -> (Self, Joined) {
        let Connected { server, client, join, signals, publisher, subscriber, path } = connected;
        let mut room = Room::new(&options.user_id);
        room.apply(&join.other_participants);
        let server_is_ours = join.server_info.as_ref().is_some_and(|server| server.node_id == OUR_NODE);
        let own = join.participant.as_ref().and_then(|person| person.permission.as_ref());
        let own_sid = join.participant.as_ref().map(|person| person.sid.clone()).unwrap_or_default();
        let may_change_attributes = own.is_none_or(|may| may.can_update_metadata);
        let has_relays = join.ice_servers.iter().flat_map(|server| &server.urls).any(|url| url.starts_with("turn"));
        let metadata = join.room.as_ref().map(|room| room.metadata.clone()).unwrap_or_default();
        let joined = Joined {
            server: server.clone(),
            room_sid: join.room.map(|room| room.sid).unwrap_or_default(),
            users: room.users(),
            streams: room.streams(),
            others: room.people().len(),
            extra_info: RoomExtraInfo::of_room(&metadata).or_else(|| RoomExtraInfo::of_people(room.people())),
        };
        // Writing waits for the socket, and during an attempt to reconnect for that: not in this task.
        let (outbox, mut requests) = unbounded_channel();
        let writer = Arc::clone(&client);
        let outbox_task = tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                writer.send(request).await;
            }
        });
        let single = subscriber.is_none();
        let mut offers = Offers::new(single);
        if !single {
            offers.request();
        }
        let now = Instant::now();
        let task = Self {
            client,
            signals,
            outbox,
            outbox_task,
            publisher,
            subscriber,
            commands,
            events,
            room,
            offers,
            wants: Wants::default(),
            published: Published::default(),
            section_tracks: HashMap::new(),
            playing: HashMap::new(),
            unnamed: VecDeque::new(),
            extra_infos: HashMap::new(),
            changes: Changes::default(),
            texts: TextStreams::default(),
            server_is_ours,
            may_change_attributes,
            others: joined.others,
            extra_info: joined.extra_info.clone(),
            carried: None,
            sequence: 0,
            requests: 0,
            health: Health::new(now),
            path,
            server,
            search: (options.server == AUTO).then(|| options.search.clone()),
            server_clock: ServerClock::default(),
            moved: false,
            resynchronise: false,
            own_sid,
            list_deadline: None,
            answer_deadline: single.then_some(now + ANSWER_TIME),
            leaving: Vec::new(),
            to_tell: Vec::new(),
            own_servers: options.network.ice_servers.clone(),
            relay_at: (single && has_relays).then_some(now + RELAY_TIME),
            resuming: None,
            hurry: Arc::default(),
            newest_offer: None,
            newest_answer: None,
        };
        (task, joined)
    }

    /// Works until the session ends.
    pub(super) async fn run(mut self) {
        let end = loop {
            if let Err(error) = self.offer().await {
                break End::Ended(DisconnectReason::ConnectionLost(error.to_string()));
            }
            match self.step().await {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        self.finish(end).await;
    }

    async fn finish(mut self, end: End) {
        let leaves = matches!(end, End::Left(_));
        let mut is_heard = self.health.signal_up();
        if let Some(mut resuming) = self.resuming.take() {
            if leaves {
                // The link may be whole again, and the server is not to wait for somebody who has left.
                self.hurry.notify_one();
                is_heard = matches!(timeout(LEAVE_TIME, &mut resuming).await, Ok(Ok(Ok(_))));
            }
            resuming.abort();
        }
        let Self { client, mut signals, outbox, mut outbox_task, publisher, subscriber, events, .. } = self;
        if leaves {
            let reason = proto::DisconnectReason::ClientInitiated as i32;
            // The writer ended only if the runtime does.
            let _ = outbox.send(Request::Leave(proto::LeaveRequest { reason, ..Default::default() }));
        }
        drop(outbox);
        let deadline = Instant::now() + LEAVE_TIME;
        if timeout_at(deadline, &mut outbox_task).await.is_err() {
            outbox_task.abort();
        } else if leaves && is_heard {
            // A socket that is closed with something unread in it is reset (RFC 1122, 4.2.2.13), and what was sent last may be lost.
            let closed = async { while let Some(SignalEvent::Message(_)) = signals.recv().await {} };
            // A server that does not close was told all the same.
            let _ = timeout_at(deadline, closed).await;
        }
        client.close().await;
        publisher.peer.close().await;
        if let Some(subscriber) = subscriber {
            subscriber.peer.close().await;
        }
        match end {
            End::Left(Some(reply)) => {
                let _ = reply.send(());
            }
            End::Left(None) => {}
            End::Ended(reason) => {
                let _ = events.send(SessionEvent::Disconnected(reason));
            }
        }
    }

    /// Waits for one thing to happen and deals with it.
    async fn step(&mut self) -> Result<(), End> {
        // Nobody can answer while the link is broken.
        let answers = self.published.deadline().filter(|_| self.health.signal_up());
        let own = [self.answer_deadline, self.list_deadline, self.relay_at];
        let next = own.into_iter().chain([self.health.deadline(), answers, self.changes.deadline()]).flatten().min();
        tokio::select! {
            biased;
            resumed = async { self.resuming.as_mut().expect("checked").await }, if self.resuming.is_some() => {
                self.resuming = None;
                match resumed {
                    Ok(Ok(named)) => {
                        self.renew_relays(&named).await;
                        self.list_deadline = Some(Instant::now() + LIST_TIME);
                    }
                    Ok(Err(reason)) => return Err(End::Ended(reason)),
                    Err(error) => return Err(End::Ended(DisconnectReason::ConnectionLost(error.to_string()))),
                }
            }
            signal = self.signals.recv() => match signal {
                Some(SignalEvent::Message(message)) => self.signal(*message).await?,
                Some(SignalEvent::Close(reason)) => self.signal_lost(&reason),
                None => return Err(End::Ended(DisconnectReason::ConnectionLost("the signal client ended".to_owned()))),
            },
            event = self.publisher.events.recv() => {
                let event = event.ok_or_else(media_ended)?;
                self.media(event, proto::SignalTarget::Publisher);
            }
            event = async { self.subscriber.as_mut().expect("checked").events.recv().await }, if self.subscriber.is_some() => {
                let event = event.ok_or_else(media_ended)?;
                self.media(event, proto::SignalTarget::Subscriber);
            }
            command = self.commands.recv() => match command {
                Some(command) => self.command(command).await?,
                None => return Err(End::Left(None)),
            },
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => self.expired(Instant::now()).await?,
        }
        Ok(())
    }

    pub(super) fn send(&self, request: Request) {
        // The writer ends only with this task.
        let _ = self.outbox.send(request);
    }

    pub(super) fn tell(&self, event: SessionEvent) {
        // Nobody listens: the session goes on until its handle is dropped.
        let _ = self.events.send(event);
    }

    /// Makes the next offer, when one is wanted and none is in flight.
    async fn offer(&mut self) -> Result<(), SignalError> {
        if !self.health.signal_up() {
            return Ok(());
        }
        let Some((id, restart)) = self.offers.next() else { return Ok(()) };
        let sdp = self.publisher.peer.create_offer(restart).await?;
        let offer = proto::SessionDescription { r#type: "offer".to_owned(), sdp, id, ..Default::default() };
        self.newest_offer = Some(offer.clone());
        self.answer_deadline = Some(Instant::now() + ANSWER_TIME);
        self.send(Request::Offer(offer));
        self.published.offered();
        let leaving = std::mem::take(&mut self.leaving);
        self.remove_senders(leaving).await;
        Ok(())
    }

    /// After a resume the server lists everybody, and us as the session that it has. LiveKit's own server does not look whose session it
    /// is asked for: whoever logged in as our user meanwhile has its place there, and we may not take it.
    pub(super) fn listed(&mut self, sid: &str) -> Result<(), End> {
        if self.list_deadline.is_none() {
            return Ok(());
        }
        if sid != self.own_sid {
            return Err(End::Ended(DisconnectReason::DuplicateIdentity));
        }
        self.resumed();
        Ok(())
    }

    async fn expired(&mut self, now: Instant) -> Result<(), End> {
        if self.health.deadline().is_some_and(|deadline| deadline <= now) {
            return Err(End::Ended(DisconnectReason::ConnectionLost("media does not get through".to_owned())));
        }
        if self.answer_deadline.is_some_and(|deadline| deadline <= now) {
            self.answer_deadline = None;
            if self.offers.in_flight() {
                self.signal_lost("the server does not answer an offer");
            }
        }
        if self.list_deadline.is_some_and(|deadline| deadline <= now) {
            self.resumed();
        }
        if self.relay_at.is_some_and(|at| at <= now) {
            self.relay_at = None;
            if self.health.media() != Media::Up {
                log::info!("media does not get through: it is to be relayed");
                self.offers.request_restart();
            }
        }
        self.expire_changes(now);
        if self.health.signal_up() {
            let cids = self.published.expire(now);
            self.remove_senders(cids).await;
        }
        Ok(())
    }

    /// Their credentials end: a server names them anew when it takes us back.
    async fn renew_relays(&self, named: &[proto::IceServer]) {
        if named.is_empty() {
            return;
        }
        let servers: Vec<IceServer> = self.own_servers.iter().cloned().chain(ice_servers(named)).collect();
        for link in std::iter::once(&self.publisher).chain(&self.subscriber) {
            if let Err(error) = link.peer.set_ice_servers(&servers).await {
                log::debug!("the relays stay as they were: {error}");
            }
        }
    }

    pub(super) async fn remove_senders(&mut self, cids: Vec<String>) {
        for cid in cids {
            if let Err(error) = self.publisher.peer.remove_sender(&cid).await {
                log::debug!("removing track {cid}: {error}");
            }
            self.offers.request();
        }
    }
}

fn media_ended() -> End {
    End::Ended(DisconnectReason::ConnectionLost("the media connection ended".to_owned()))
}
