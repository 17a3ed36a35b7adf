//! The task of a session: what is asked of it, and what becomes of it.

use std::pin::Pin;
use std::sync::Arc;

use reqwest::Url;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{Notify, oneshot};

use super::http::{Client, shown};
use super::open::{Live, Wanted, open};
use super::reply::End;
use super::restart::restart;
use super::{EndpointEvent, EndpointOptions, Lessons};
use crate::audio::Channels;
use crate::network::{Network, PathChange};
use crate::rtc::{MediaKind, PeerEvent, PeerState};
use crate::signal::livekit::Command;
use crate::signal::{Publication, PublishRequest, SignalError};

/// A stream at an endpoint has nobody to be told anything.
const NOT_SUPPORTED: i32 = 1_000_006;

type Opening = Pin<Box<dyn Future<Output = Result<Box<Live>, (End, Lessons)>> + Send>>;
type Restarting = Pin<Box<dyn Future<Output = Result<Box<Live>, (Box<Live>, End)>> + Send>>;

/// Who waits for a session to begin.
enum Asked {
    Publish(oneshot::Sender<Result<Publication, SignalError>>),
    Subscribe(oneshot::Sender<Result<(), SignalError>>),
}

/// What the session does.
enum Work {
    /// It was not asked for anything yet.
    Nothing,
    /// It begins.
    Opening(Opening, Asked, Wanted),
    /// Media flows.
    Live(Box<Live>),
    /// Media is silent; ICE restarts.
    Restarting(Restarting, Url),
}

/// What comes of it.
enum Outcome {
    Opened(Result<Box<Live>, (End, Lessons)>),
    Heard(Option<PeerEvent>),
    Restarted(Result<Box<Live>, (Box<Live>, End)>),
}

impl Work {
    async fn next(&mut self) -> Outcome {
        match self {
            Self::Nothing => std::future::pending().await,
            Self::Opening(opening, ..) => Outcome::Opened(opening.as_mut().await),
            Self::Live(live) => Outcome::Heard(live.news.recv().await),
            Self::Restarting(restarting, _) => Outcome::Restarted(restarting.as_mut().await),
        }
    }
}

/// The session is over.
struct Over;

pub(super) struct Task {
    options: EndpointOptions,
    inbox: UnboundedReceiver<Command>,
    events: UnboundedSender<EndpointEvent>,
    work: Work,
    hurry: Arc<Notify>,
}

impl Task {
    pub(super) fn new(
        options: EndpointOptions,
        inbox: UnboundedReceiver<Command>,
        events: UnboundedSender<EndpointEvent>,
    ) -> Self {
        Self { options, inbox, events, work: Work::Nothing, hurry: Arc::default() }
    }

    pub(super) async fn run(mut self) {
        let client = match Client::new(&self.options.token) {
            Ok(client) => client,
            Err(end) => return self.over(end, Lessons::default()),
        };
        loop {
            let went_on = tokio::select! {
                biased;
                command = self.inbox.recv() => match command {
                    Some(command) => self.command(command, &client).await,
                    None => {
                        self.finish(&client).await;
                        Err(Over)
                    }
                },
                outcome = self.work.next() => self.outcome(outcome, &client).await,
            };
            if went_on.is_err() {
                return;
            }
        }
    }

    fn tell(&self, event: EndpointEvent) {
        // Nobody listens any more: then nothing is lost.
        let _ = self.events.send(event);
    }

    fn over(&self, end: End, lessons: Lessons) {
        self.tell(EndpointEvent::Over(end, lessons));
    }

    async fn command(&mut self, command: Command, client: &Client) -> Result<(), Over> {
        // An answer that nobody waits for any more is not missed.
        match command {
            Command::Publish(request, reply) => self.publish(request, reply, client),
            Command::Subscribe(stream_id, audio, video, _, reply) => {
                self.subscribe(stream_id, audio, video, reply, client);
            }
            Command::Unpublish(_, reply) => {
                self.finish(client).await;
                let (tell, told) = oneshot::channel();
                let _ = tell.send(());
                let _ = reply.send(Ok(told));
                return Err(Over);
            }
            Command::Unsubscribe(_, reply) | Command::Leave(reply) => {
                self.finish(client).await;
                let _ = reply.send(());
                return Err(Over);
            }
            Command::ExtraInfo(_, _, reply) | Command::RoomExtraInfo(_, reply) => {
                let message = "a stream at a WHIP endpoint has no extra information; publish to a room".to_owned();
                let _ = reply.send(Err(SignalError::Refused { code: NOT_SUPPORTED, message }));
            }
            Command::Peers(reply) => {
                let _ = reply.send(match &self.work {
                    Work::Live(live) => vec![live.peer.clone()],
                    _ => Vec::new(),
                });
            }
            Command::Network(network) => self.network_changed(&network, client),
            // Nobody sees the devices, and nobody is spoken to: whoever waits hears that by the end of its channel.
            Command::ShowDevice(..) | Command::Data(..) => {}
        }
        Ok(())
    }

    fn publish(
        &mut self,
        request: PublishRequest,
        reply: oneshot::Sender<Result<Publication, SignalError>>,
        client: &Client,
    ) {
        if !matches!(self.work, Work::Nothing) {
            let message = "a stream at a WHIP endpoint gets no further track while it is published".to_owned();
            let _ = reply.send(Err(SignalError::Refused { code: NOT_SUPPORTED, message }));
            return;
        }
        let wanted = Wanted { stream_id: request.stream_id, audio: request.audio, video: request.video.is_some() };
        self.open(wanted, Asked::Publish(reply), client);
    }

    fn subscribe(
        &mut self,
        stream_id: String,
        audio: bool,
        video: bool,
        reply: oneshot::Sender<Result<(), SignalError>>,
        client: &Client,
    ) {
        let has = match &self.work {
            Work::Opening(_, _, wanted) => (wanted.audio.is_some(), wanted.video),
            Work::Live(live) => (live.wanted.audio.is_some(), live.wanted.video),
            // It is asked again when the link is back.
            Work::Restarting(..) => (true, true),
            Work::Nothing => (false, false),
        };
        if (!audio || has.0) && (!video || has.1) {
            // What is not wanted any more goes on: an endpoint cannot be told.
            let _ = reply.send(Ok(()));
            return;
        }
        // A session is negotiated once: more of the stream needs another one.
        let wanted = Wanted { stream_id, audio: (audio || has.0).then_some(Channels::Mono), video: video || has.1 };
        self.drop_work(client);
        self.open(wanted, Asked::Subscribe(reply), client);
    }

    fn open(&mut self, wanted: Wanted, asked: Asked, client: &Client) {
        let opening = Box::pin(open(client.clone(), self.options.clone(), wanted.clone()));
        self.work = Work::Opening(opening, asked, wanted);
    }

    /// Gives up what runs, without waiting for its end.
    fn drop_work(&mut self, client: &Client) {
        let client = client.clone();
        match std::mem::replace(&mut self.work, Work::Nothing) {
            Work::Nothing => {}
            // The endpoint may know of it already: it has to hear of its end, too.
            Work::Opening(opening, ..) => drop(tokio::spawn(async move {
                if let Ok(live) = opening.await {
                    live.end(&client).await;
                }
            })),
            Work::Live(live) => drop(tokio::spawn(async move { live.end(&client).await })),
            Work::Restarting(_, url) => drop(tokio::spawn(async move { client.delete(&url).await })),
        }
    }

    /// Ends what runs.
    async fn finish(&mut self, client: &Client) {
        match std::mem::replace(&mut self.work, Work::Nothing) {
            Work::Live(live) => live.end(client).await,
            Work::Restarting(restarting, url) => {
                drop(restarting);
                client.delete(&url).await;
            }
            other => {
                self.work = other;
                self.drop_work(client);
            }
        }
    }

    fn network_changed(&mut self, network: &Network, client: &Client) {
        match &mut self.work {
            Work::Live(live) => match live.path.look(network) {
                PathChange::Unchanged => {}
                PathChange::Lost | PathChange::Found | PathChange::Moved => {
                    self.restart("the way to the endpoint changed", client);
                }
            },
            Work::Restarting(..) => self.hurry.notify_one(),
            Work::Nothing | Work::Opening(..) => {}
        }
    }

    fn restart(&mut self, why: &str, client: &Client) {
        let Work::Live(live) = std::mem::replace(&mut self.work, Work::Nothing) else { return };
        log::info!("{}: ICE restarts: {why}", shown(&live.url));
        let url = live.url.clone();
        // A hurry of an earlier outage is over.
        self.hurry = Arc::default();
        self.work = Work::Restarting(Box::pin(restart(live, client.clone(), Arc::clone(&self.hurry))), url);
        self.tell(EndpointEvent::Interrupted);
    }

    async fn outcome(&mut self, outcome: Outcome, client: &Client) -> Result<(), Over> {
        match outcome {
            Outcome::Opened(opened) => {
                let Work::Opening(_, asked, _) = std::mem::replace(&mut self.work, Work::Nothing) else {
                    return Ok(());
                };
                match opened {
                    Ok(live) => {
                        self.tell(EndpointEvent::Up);
                        match asked {
                            Asked::Publish(reply) => drop(reply.send(Ok(live.publication.clone()))),
                            Asked::Subscribe(reply) => drop(reply.send(Ok(()))),
                        }
                        self.live(live);
                    }
                    Err((end, lessons)) => {
                        let error = self.error(&end);
                        match asked {
                            Asked::Publish(reply) => drop(reply.send(Err(error))),
                            Asked::Subscribe(reply) => drop(reply.send(Err(error))),
                        }
                        self.over(end, lessons);
                        return Err(Over);
                    }
                }
            }
            Outcome::Heard(event) => return self.heard(event, client).await,
            Outcome::Restarted(Ok(live)) => {
                self.tell(EndpointEvent::Resumed);
                self.live(live);
            }
            Outcome::Restarted(Err((live, end))) => {
                self.work = Work::Nothing;
                live.end(client).await;
                self.over(end, self.options.lessons.clone());
                return Err(Over);
            }
        }
        Ok(())
    }

    /// A failure as whoever asked understands it.
    fn error(&self, end: &End) -> SignalError {
        let server = shown(&self.options.url);
        match end {
            End::Refused { code, message } => SignalError::Refused { code: *code, message: message.clone() },
            End::Again { why, .. } => SignalError::Unreachable { server, reason: why.clone() },
            End::NotYet { .. } => SignalError::Unreachable { server, reason: "the stream is not there yet".to_owned() },
        }
    }

    /// Media can flow.
    fn live(&mut self, mut live: Box<Live>) {
        for event in std::mem::take(&mut live.tracks) {
            self.track(&mut live, event);
        }
        self.work = Work::Live(live);
    }

    fn track(&self, live: &mut Live, event: PeerEvent) {
        match event {
            PeerEvent::Track { mid, receiver, .. } => {
                live.sections.push((mid, receiver.kind()));
                self.tell(sends(live));
                self.tell(EndpointEvent::Media(receiver));
            }
            PeerEvent::TrackEnded { mid } => {
                let ended = live.sections.iter().position(|(known, _)| *known == mid);
                if let Some((_, kind)) = ended.map(|index| live.sections.swap_remove(index)) {
                    self.tell(sends(live));
                    self.tell(EndpointEvent::MediaEnded(kind));
                }
            }
            PeerEvent::LocalCandidate(_) | PeerEvent::Gathered | PeerEvent::State(_) | PeerEvent::Data { .. } => {}
        }
    }

    async fn heard(&mut self, event: Option<PeerEvent>, client: &Client) -> Result<(), Over> {
        match event {
            Some(PeerEvent::State(PeerState::Disconnected | PeerState::Failed)) => {
                self.restart("nothing is heard on the media connection", client);
            }
            Some(PeerEvent::State(PeerState::Closed)) | None => {
                let Work::Live(live) = std::mem::replace(&mut self.work, Work::Nothing) else { return Ok(()) };
                live.end(client).await;
                let why = format!("{} closed the media connection", shown(&self.options.url));
                self.over(End::again(why), self.options.lessons.clone());
                return Err(Over);
            }
            Some(event) => {
                if let Work::Live(mut live) = std::mem::replace(&mut self.work, Work::Nothing) {
                    self.track(&mut live, event);
                    self.work = Work::Live(live);
                }
            }
        }
        Ok(())
    }
}

fn sends(live: &Live) -> EndpointEvent {
    let has = |wanted: MediaKind| live.sections.iter().any(|(_, kind)| *kind == wanted);
    EndpointEvent::Sends(has(MediaKind::Audio), has(MediaKind::Video))
}
