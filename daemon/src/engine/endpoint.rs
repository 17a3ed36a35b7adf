//! A WHIP or WHEP endpoint in the place of a room: a task that makes sessions with it and tells the one who publishes there, or
//! plays from there, how it goes. Who publishes or plays knows no difference.

use std::time::Duration;

use reqwest::Url;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::core::Core;
use super::error::EngineError;
use super::request::Endpoint;
use super::room::{Follower, Room, RoomInput, RoomNews};
use crate::clock::Monotonic;
use crate::retry::Retry;
use crate::signal::{
    Direction, End, EndpointEvent, EndpointOptions, RemoteStream, Session, SignalError, User, endpoint_url,
};

/// A stream that is not there yet is asked for this often, unless the endpoint says otherwise.
const NOT_YET: Duration = Duration::from_secs(2);

/// The number that an endpoint has as a room: there is no object of it.
pub(super) const NO_ROOM: u64 = 0;

/// The time for trying is used up: of a room, which a publisher tells in its own words, and of a player.
const GIVEN_UP: i32 = 1_002_053;
const PLAY_FAILED: i32 = 1_004_001;

/// Checks the endpoint of a call.
pub(super) fn check(endpoint: &Endpoint, room_id: &str) -> Result<Url, EngineError> {
    if !room_id.is_empty() {
        return Err(EngineError::argument("A stream is in a room or at an endpoint; leave out room_id or the URL"));
    }
    endpoint_url(&endpoint.url).ok_or_else(|| {
        let url: String = endpoint.url.chars().take(200).collect();
        EngineError::argument(&format!("'{}' is no endpoint; give an http:// or https:// URL", url.escape_debug()))
    })
}

impl Core {
    /// Starts the task of an endpoint, which ends with whoever follows it.
    pub(super) fn start_endpoint(
        &mut self,
        url: Url,
        endpoint: Endpoint,
        direction: Direction,
        stream_id: &str,
    ) -> Room {
        let (inputs, receiver) = unbounded_channel();
        let room = Room { number: NO_ROOM, inputs };
        let options = EndpointOptions {
            url,
            token: endpoint.token,
            direction,
            network: self.network_config(),
            lessons: Default::default(),
        };
        let user = User { id: String::new(), name: String::new() };
        let task = EndpointTask {
            stream: RemoteStream {
                stream_id: stream_id.to_owned(),
                user,
                // Until the endpoint says what it sends.
                has_audio: true,
                has_video: true,
                ..RemoteStream::default()
            },
            options,
            retry_limit: Duration::from_secs(u64::from(self.config.room.retry_time_s)),
            outage: None,
            follower: None,
            session: None,
            next: None,
        };
        tokio::spawn(task.run(receiver));
        self.endpoints.retain(|endpoint| !endpoint.inputs.is_closed());
        self.endpoints.push(room.clone());
        room
    }
}

struct EndpointTask {
    options: EndpointOptions,
    /// What is played, as far as is known.
    stream: RemoteStream,
    retry_limit: Duration,
    /// The outage that is counted, if there is one.
    outage: Option<Retry>,
    follower: Option<Follower>,
    session: Option<(Session, UnboundedReceiver<EndpointEvent>)>,
    /// When another session is made.
    next: Option<Instant>,
}

/// The next event of the session; waits forever without one.
async fn next_event(session: &mut Option<(Session, UnboundedReceiver<EndpointEvent>)>) -> Option<EndpointEvent> {
    match session {
        Some((_, events)) => events.recv().await,
        None => std::future::pending().await,
    }
}

/// A moment; never without one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

impl EndpointTask {
    async fn run(mut self, mut inputs: UnboundedReceiver<RoomInput>) {
        loop {
            let given_up = self.session.is_some().then(|| self.outage_end()).flatten();
            let goes_on = tokio::select! {
                biased;
                input = inputs.recv() => input.is_some_and(|input| self.input(input)),
                event = next_event(&mut self.session) => self.event(event),
                () = at(self.next) => self.begin(),
                () = at(given_up) => self.give_up("the connection did not come back"),
            };
            if !goes_on {
                return;
            }
        }
    }

    fn tell(&self, news: RoomNews) {
        if let Some(follower) = &self.follower {
            (follower.tell)(news);
        }
    }

    fn input(&mut self, input: RoomInput) -> bool {
        match input {
            RoomInput::Follow(follower) => {
                self.follower = Some(follower);
                let session = self.session();
                let stream = (self.options.direction == Direction::Play).then(|| self.stream.clone());
                self.tell(RoomNews::Now { session: Some(session), stream });
            }
            RoomInput::Unfollow(_) | RoomInput::Logout => return false,
            RoomInput::Network { network, gained } => {
                if let Some((session, _)) = &self.session {
                    session.network_changed(network);
                }
                // What was tried in vain may succeed now.
                if let Some(outage) = self.outage.as_mut().filter(|_| gained && self.next.is_some()) {
                    outage.hope();
                    self.next = Some(Instant::now());
                }
            }
            // Nobody asks an endpoint for what rooms have.
            _ => {}
        }
        true
    }

    /// Makes a session. Whoever follows gives it something to do.
    fn session(&mut self) -> Session {
        let (tell, events) = unbounded_channel();
        let session = Session::endpoint(self.options.clone(), tell);
        self.session = Some((session.clone(), events));
        session
    }

    /// Another session, after one that ended.
    fn begin(&mut self) -> bool {
        self.next = None;
        let session = self.session();
        if self.options.direction == Direction::Play {
            self.tell(RoomNews::Stream(self.stream.clone()));
        }
        self.tell(RoomNews::Up(session));
        true
    }

    fn event(&mut self, event: Option<EndpointEvent>) -> bool {
        match event {
            Some(EndpointEvent::Up) => self.outage = None,
            Some(EndpointEvent::Resumed) => {
                self.outage = None;
                self.tell(RoomNews::Resumed);
            }
            Some(EndpointEvent::Interrupted) => {
                self.count_outage();
                self.tell(RoomNews::Interrupted);
            }
            Some(EndpointEvent::Sends(audio, video)) => {
                (self.stream.has_audio, self.stream.has_video) = (audio, video);
                self.tell(RoomNews::Stream(self.stream.clone()));
            }
            Some(EndpointEvent::Media(receiver)) => self.tell(RoomNews::Media(receiver)),
            Some(EndpointEvent::MediaEnded(kind)) => self.tell(RoomNews::MediaEnded(kind)),
            Some(EndpointEvent::Over(end, lessons)) => {
                self.options.lessons = lessons;
                return self.over(end);
            }
            None => return self.over(End::Again { why: "the session ended".to_owned(), after: None }),
        }
        true
    }

    fn over(&mut self, end: End) -> bool {
        self.session = None;
        (self.stream.has_audio, self.stream.has_video) = (true, true);
        match end {
            End::Refused { code, message } => {
                let refused = SignalError::Refused { code, message };
                let what = format!("Stream '{}'", self.stream.stream_id);
                let message = EngineError::from_signal(&refused, &what, code).message;
                self.tell(RoomNews::Gone { code, message });
                false
            }
            End::NotYet { after } => {
                // As in a room: a stream that is not there is no failure, and is waited for.
                self.outage = None;
                self.tell(RoomNews::Down);
                self.tell(RoomNews::Now { session: None, stream: None });
                self.next = Some(Instant::now() + after.unwrap_or(NOT_YET).max(NOT_YET));
                true
            }
            End::Again { why, after } => {
                log::warn!("stream '{}': {why}", self.stream.stream_id);
                self.count_outage();
                self.tell(RoomNews::Down);
                let Some(pause) = self.outage.as_mut().and_then(|outage| outage.failed(Monotonic::now())) else {
                    return self.give_up(&why);
                };
                self.next = Some(Instant::now() + pause.max(after.unwrap_or_default()));
                true
            }
        }
    }

    /// Begins to count the time of an outage, unless one is counted already.
    fn count_outage(&mut self) {
        self.outage.get_or_insert_with(|| Retry::new(Monotonic::now(), self.retry_limit));
    }

    /// When the outage has lasted too long.
    fn outage_end(&self) -> Option<Instant> {
        let outage = self.outage.as_ref()?;
        Some(Instant::now() + outage.left(Monotonic::now()).unwrap_or_default())
    }

    fn give_up(&self, why: &str) -> bool {
        let code = match self.options.direction {
            Direction::Publish => GIVEN_UP,
            Direction::Play => PLAY_FAILED,
        };
        self.tell(RoomNews::Gone { code, message: format!("Stream '{}': {why}", self.stream.stream_id) });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_web_address_and_no_room() {
        let endpoint = |url: &str| Endpoint { url: url.to_owned(), token: String::new() };
        assert!(check(&endpoint("https://h/whip"), "").is_ok());
        for (url, room) in [("ws://h/whip", ""), ("h/whip", ""), ("https://h/whip", "lobby")] {
            assert_eq!(check(&endpoint(url), room).unwrap_err().code, 1_000_017, "{url} {room}");
        }
    }
}
