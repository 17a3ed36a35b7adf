//! The task that keeps one session.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use livekit_protocol as proto;
use livekit_signaling::{SignalClient, SignalEvent, SignalEvents};
use proto::signal_request::Message as Request;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::super::error::{DisconnectReason, SignalError};
use super::super::room::Room;
use super::commands::{Command, Reply};
use super::connect::{Connected, Link};
use super::offers::Offers;
use super::published::Published;
use super::refusal::{self, Resume};
use super::wants::Wants;
use super::{JoinOptions, Joined, SessionEvent};
use crate::rtc::{MediaKind, MediaReceiver, PeerState};

/// For an answer to a request or an offer.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(10);
/// For the first connection of media after a join.
const START_TIME: Duration = Duration::from_secs(15);
/// For a broken session to be taken up again; after it a new login is quicker.
const RESUME_TIME: Duration = Duration::from_secs(30);
/// Between two attempts to take the session up again: the first, doubled up to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(4));
/// For the server to hear that we leave.
const LEAVE_TIME: Duration = Duration::from_millis(500);

/// How the media is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Starting,
    Up,
    Down,
}

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
    pub(super) extra_infos: HashMap<String, String>,
    pub(super) sequence: u32,
    pub(super) requests: u32,
    pub(super) media: Media,
    pub(super) signal_up: bool,
    pub(super) announced: bool,
    pub(super) resynchronise: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) answer_deadline: Option<Instant>,
    pub(super) resuming: Option<JoinHandle<Result<(), DisconnectReason>>>,
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
        let Connected { client, join, signals, publisher, subscriber } = connected;
        let mut room = Room::new(&options.user_id);
        room.apply(&join.other_participants);
        let joined = Joined {
            room_sid: join.room.map(|room| room.sid).unwrap_or_default(),
            users: room.users(),
            streams: room.streams(),
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
            sequence: 0,
            requests: 0,
            media: Media::Starting,
            signal_up: true,
            announced: false,
            resynchronise: false,
            deadline: Some(now + START_TIME),
            answer_deadline: single.then_some(now + ANSWER_TIME),
            resuming: None,
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
        if let Some(resuming) = self.resuming.take() {
            resuming.abort();
        }
        let Self { client, outbox, mut outbox_task, publisher, subscriber, events, .. } = self;
        if matches!(end, End::Left(_)) {
            let reason = proto::DisconnectReason::ClientInitiated as i32;
            // The writer ended only if the runtime does.
            let _ = outbox.send(Request::Leave(proto::LeaveRequest { reason, ..Default::default() }));
        }
        drop(outbox);
        if tokio::time::timeout(LEAVE_TIME, &mut outbox_task).await.is_err() {
            outbox_task.abort();
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
        let deadlines = [self.deadline, self.answer_deadline, self.published.deadline()];
        let next = deadlines.into_iter().flatten().min();
        tokio::select! {
            biased;
            resumed = async { self.resuming.as_mut().expect("checked").await }, if self.resuming.is_some() => {
                self.resuming = None;
                match resumed {
                    Ok(Ok(())) => self.resumed(),
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
        let Some((id, restart)) = self.offers.next() else { return Ok(()) };
        let sdp = self.publisher.peer.create_offer(restart).await?;
        let offer = proto::SessionDescription { r#type: "offer".to_owned(), sdp, id, ..Default::default() };
        self.newest_offer = Some(offer.clone());
        self.answer_deadline = Some(Instant::now() + ANSWER_TIME);
        self.send(Request::Offer(offer));
        Ok(())
    }

    pub(super) fn media_state(&mut self, state: PeerState, target: proto::SignalTarget) {
        // With two connections, the one that always has something to carry counts.
        if target == proto::SignalTarget::Subscriber {
            return;
        }
        match state {
            PeerState::Connected => {
                self.media = Media::Up;
                self.check_link();
            }
            PeerState::Failed => {
                self.media = Media::Down;
                self.check_link();
                if self.signal_up {
                    self.offers.request_restart();
                }
            }
            PeerState::New | PeerState::Connecting | PeerState::Disconnected | PeerState::Closed => {}
        }
    }

    /// Tells when the session is broken, and when it is whole again.
    fn check_link(&mut self) {
        if self.signal_up && self.media == Media::Up {
            self.deadline = None;
            if std::mem::take(&mut self.announced) {
                self.tell(SessionEvent::Reconnected);
            }
            return;
        }
        let broken = !self.signal_up || self.media == Media::Down;
        if broken && !self.announced {
            self.announced = true;
            self.deadline = Some(Instant::now() + RESUME_TIME);
            self.tell(SessionEvent::Reconnecting);
        }
    }

    pub(super) fn signal_lost(&mut self, reason: &str) {
        if self.resuming.is_some() {
            return;
        }
        log::info!("the signal connection was lost: {reason}");
        self.signal_up = false;
        self.offers.lost();
        self.answer_deadline = None;
        self.check_link();
        let client = Arc::clone(&self.client);
        let reason = if self.media == Media::Down {
            proto::ReconnectReason::RrPublisherFailed
        } else {
            proto::ReconnectReason::RrSignalDisconnected
        };
        self.resuming = Some(tokio::spawn(resume(client, reason)));
    }

    /// The server took us back; it needs to know where we are.
    fn resumed(&mut self) {
        self.signal_up = true;
        self.resynchronise = true;
        let target = proto::SignalTarget::Publisher as i32;
        let channels = ["_reliable", "_lossy"].into_iter().enumerate();
        let state = proto::SyncState {
            offer: self.newest_offer.clone(),
            answer: self.newest_answer.clone(),
            subscription: Some(proto::UpdateSubscription {
                track_sids: self.wants.asked(),
                subscribe: true,
                ..Default::default()
            }),
            publish_tracks: self.published.responses(),
            data_channels: channels
                .map(|(id, label)| proto::DataChannelInfo { label: label.to_owned(), id: id as u32, target })
                .collect(),
            ..Default::default()
        };
        self.send(Request::SyncState(state));
        for add in self.published.unanswered() {
            self.send(Request::AddTrack(add));
        }
        if self.media == Media::Up {
            // Media went on all the time. What was not answered is offered again.
            self.offers.request();
        } else {
            self.offers.request_restart();
        }
        let client = Arc::clone(&self.client);
        tokio::spawn(async move { client.set_reconnected().await });
        self.check_link();
    }

    async fn expired(&mut self, now: Instant) -> Result<(), End> {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let reason =
                if self.media == Media::Starting { "media does not get through" } else { "it did not come back" };
            return Err(End::Ended(DisconnectReason::ConnectionLost(reason.to_owned())));
        }
        if self.answer_deadline.is_some_and(|deadline| deadline <= now) {
            self.answer_deadline = None;
            if self.offers.in_flight() {
                self.signal_lost("the server does not answer an offer");
            }
        }
        let cids = self.published.expire(now);
        self.remove_senders(cids).await;
        Ok(())
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

/// Takes the session up again: attempts until one succeeds or none ever can. Whoever started it sets the limit.
async fn resume(client: Arc<SignalClient>, reason: proto::ReconnectReason) -> Result<(), DisconnectReason> {
    let mut pause = RETRY.0;
    loop {
        match client.restart(reason).await {
            Ok(_) => return Ok(()),
            Err(error) => match refusal::resume(error) {
                Resume::Over(reason) => return Err(reason),
                Resume::Again(error) => log::debug!("not reconnected yet: {error}"),
            },
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY.1);
    }
}

fn media_ended() -> End {
    End::Ended(DisconnectReason::ConnectionLost("the media connection ended".to_owned()))
}
