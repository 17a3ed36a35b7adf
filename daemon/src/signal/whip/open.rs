//! The beginning of a session: offer, answer, and the connection that comes of them.

use std::time::Duration;

use reqwest::Url;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use super::http::{Client, shown};
use super::reply::{self, End};
use super::{CONNECT_TIME, Direction, EndpointOptions, Lessons, fragment, link, restart};
use crate::audio::Channels;
use crate::network::Path;
use crate::rtc::{IceServer, MediaKind, Peer, PeerEvent, PeerState, RtcError};
use crate::signal::Publication;

/// For the candidates that go with the offer. Those of our own interfaces are there at once; servers are asked for the others,
/// which are told later.
const GATHER_TIME: Duration = Duration::from_millis(300);
/// The same when nothing can be told later.
const GATHER_FIRST_TIME: Duration = Duration::from_secs(5);
/// For media to get through by itself, while there is something more to try: servers that the endpoint named, or an offer with
/// candidates that it does not take later.
const FIRST_TIME: Duration = Duration::from_millis(2500);
/// For the endpoint's name to be looked up once more.
const LOOKUP_TIME: Duration = Duration::from_millis(500);

/// What is to be sent, or to be received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// ZEGO's stream id; of what is sent, others may see it.
    pub(super) stream_id: String,
    /// Sound with so many channels.
    pub(super) audio: Option<Channels>,
    /// Pictures.
    pub(super) video: bool,
}

/// A session that has begun.
pub(super) struct Live {
    pub(super) peer: Peer,
    pub(super) news: UnboundedReceiver<PeerEvent>,
    /// Tracks that came and went while something else was waited for.
    pub(super) tracks: Vec<PeerEvent>,
    /// Sections on which we receive.
    pub(super) sections: Vec<(String, MediaKind)>,
    /// The session at the endpoint.
    pub(super) url: Url,
    /// Name of the ICE session at the endpoint, when it has one.
    pub(super) etag: Option<String>,
    /// Our newest offer.
    pub(super) offer: String,
    /// The newest answer.
    pub(super) answer: String,
    /// Candidates can be told later, as far as is known.
    pub(super) trickles: bool,
    pub(super) wanted: Wanted,
    pub(super) publication: Publication,
    /// The way to the endpoint.
    pub(super) path: Path,
}

/// A failure of our own.
pub(super) fn failed(error: &RtcError) -> End {
    End::again(error.to_string())
}

/// Begins a session. What was learnt comes back with a failure.
pub(super) async fn open(
    client: Client,
    options: EndpointOptions,
    wanted: Wanted,
) -> Result<Box<Live>, (End, Lessons)> {
    let mut lessons = options.lessons.clone();
    let opened = attempt(&client, &options, wanted, &mut lessons).await;
    opened.map_err(|end| (end, lessons))
}

async fn attempt(
    client: &Client,
    options: &EndpointOptions,
    wanted: Wanted,
    lessons: &mut Lessons,
) -> Result<Box<Live>, End> {
    let mut network = options.network.clone();
    network.ice_servers.extend(lessons.ice_servers.iter().cloned());
    let (tell, news) = unbounded_channel();
    let peer = Peer::new(&network, tell).await.map_err(|error| failed(&error))?;
    let mut live = match begin(client, options, wanted, lessons, peer.clone(), news).await {
        Ok(live) => live,
        Err(end) => {
            peer.close().await;
            return Err(end);
        }
    };
    // Credentials are others each time.
    let mut more = lessons.ice_servers.clone();
    more.retain(|server| !network.ice_servers.iter().any(|known| known.urls == server.urls));
    let up = if more.is_empty() {
        live.connected(client, CONNECT_TIME).await
    } else {
        network.ice_servers.extend(more);
        live.connected_by(client, &network.ice_servers).await
    };
    match up {
        Ok(()) => Ok(live),
        Err(end) => {
            lessons.gather_first |= !live.trickles;
            live.end(client).await;
            Err(end)
        }
    }
}

/// Offers, and takes the answer.
async fn begin(
    client: &Client,
    options: &EndpointOptions,
    wanted: Wanted,
    lessons: &mut Lessons,
    peer: Peer,
    mut news: UnboundedReceiver<PeerEvent>,
) -> Result<Box<Live>, End> {
    let publication = match options.direction {
        Direction::Publish => add_senders(&peer, &wanted).await.map_err(|error| failed(&error))?,
        Direction::Play => {
            let added = peer.add_receivers(usize::from(wanted.audio.is_some()), usize::from(wanted.video)).await;
            added.map_err(|error| failed(&error))?;
            Publication { audio: None, video: None }
        }
    };
    let offer = peer.create_offer(false).await.map_err(|error| failed(&error))?;
    let mut tracks = Vec::new();
    let trickles = !lessons.gather_first;
    let candidates = gather(&mut news, &mut tracks, trickles).await;
    let answer = client.post(&options.url, fragment::with_candidates(&offer, &candidates)).await?;
    if !matches!(answer.status, 200 | 201) {
        return Err(reply::refusal(options.direction, &options.token, &answer));
    }
    lessons.ice_servers = link::ice_servers(answer.all("link"));
    let Some(url) = answer.header("location").and_then(|location| answer.url.join(location).ok()) else {
        return Err(End::protocol(format!("{} names no session (Location)", shown(&answer.url))));
    };
    let accepted = peer.accept_answer(&answer.body).await;
    let lacks_codec = publication.audio.iter().chain(&publication.video).any(|sender| sender.codec().is_none());
    let end = match accepted {
        Err(error) => Some(reply::unusable(options.direction, &answer, &error.to_string())),
        Ok(()) if lacks_codec => Some(reply::no_codec(&answer)),
        Ok(()) => None,
    };
    if let Some(end) = end {
        client.delete(&url).await;
        return Err(end);
    }
    Ok(Box::new(Live {
        peer,
        news,
        tracks,
        sections: Vec::new(),
        url,
        etag: answer.header("etag").map(str::to_owned),
        offer,
        answer: answer.body,
        trickles,
        wanted,
        publication,
        path: Path::new(servers(&options.url).await),
    }))
}

async fn add_senders(peer: &Peer, wanted: &Wanted) -> Result<Publication, RtcError> {
    let mut publication = Publication { audio: None, video: None };
    if let Some(channels) = wanted.audio {
        let sender = peer.add_sender(MediaKind::Audio, &wanted.stream_id, "audio").await?;
        if channels == Channels::Stereo {
            sender.send_stereo();
        }
        publication.audio = Some(sender);
    }
    if wanted.video {
        publication.video = Some(peer.add_sender(MediaKind::Video, &wanted.stream_id, "video").await?);
    }
    Ok(publication)
}

/// The addresses that an endpoint has.
async fn servers(url: &Url) -> Vec<std::net::SocketAddr> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Vec::new() };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    // It was found a moment ago; if not any more, its way is not watched.
    let found = tokio::time::timeout(LOOKUP_TIME, tokio::net::lookup_host((host, port))).await;
    found.ok().and_then(Result::ok).map(Iterator::collect).unwrap_or_default()
}

/// The candidates that are found in time: those at hand when others can be told later (it `trickles`), else all.
pub(super) async fn gather(
    news: &mut UnboundedReceiver<PeerEvent>,
    tracks: &mut Vec<PeerEvent>,
    trickles: bool,
) -> Vec<String> {
    let end = Instant::now() + if trickles { GATHER_TIME } else { GATHER_FIRST_TIME };
    let mut candidates = Vec::new();
    while let Ok(Some(event)) = timeout_at(end, news.recv()).await {
        match event {
            PeerEvent::LocalCandidate(json) => candidates.extend(fragment::candidate(&json)),
            PeerEvent::Gathered => break,
            event @ (PeerEvent::Track { .. } | PeerEvent::TrackEnded { .. }) => tracks.push(event),
            PeerEvent::State(_) | PeerEvent::Data { .. } => {}
        }
    }
    candidates
}

impl Live {
    /// Waits until media can flow, by `servers` as well when it does not get through by itself: the endpoint named some of them when
    /// ours had been asked already, and they are asked whenever ICE begins anew (RFC 9725, section 4.6).
    async fn connected_by(&mut self, client: &Client, servers: &[IceServer]) -> Result<(), End> {
        self.peer.set_ice_servers(servers).await.map_err(|error| failed(&error))?;
        if self.connected(client, FIRST_TIME).await.is_ok() {
            return Ok(());
        }
        log::info!("{}: media does not get through: it is to be relayed", shown(&self.url));
        restart::again(self, client).await.map_err(restart::Failure::into_end)
    }

    /// Waits so long until media can flow; candidates that are found meanwhile are told.
    pub(super) async fn connected(&mut self, client: &Client, time: Duration) -> Result<(), End> {
        let mut end = Instant::now() + time;
        loop {
            let event = timeout_at(end, self.news.recv()).await;
            match event.map_err(|_| End::again("no way for media is found".to_owned()))? {
                Some(PeerEvent::State(PeerState::Connected)) => return Ok(()),
                Some(PeerEvent::State(PeerState::Failed | PeerState::Closed)) | None => {
                    return Err(End::again("the media connection does not come up".to_owned()));
                }
                Some(PeerEvent::LocalCandidate(json)) => {
                    let trickled = self.trickles;
                    self.trickle(client, &json).await;
                    if trickled && !self.trickles {
                        end = end.min(Instant::now() + FIRST_TIME);
                    }
                }
                Some(event @ (PeerEvent::Track { .. } | PeerEvent::TrackEnded { .. })) => self.tracks.push(event),
                Some(PeerEvent::State(_) | PeerEvent::Gathered | PeerEvent::Data { .. }) => {}
            }
        }
    }

    /// Tells a candidate of ours that was not in the offer.
    async fn trickle(&mut self, client: &Client, json: &str) {
        let Some(candidate) = fragment::candidate(json) else { return };
        let Some(tag) = self.etag.clone().filter(|_| self.trickles) else {
            self.trickles = false;
            return;
        };
        match client.patch(&self.url, &tag, fragment::of_offer(&self.offer, &[candidate])).await {
            Ok(answer) if matches!(answer.status, 200..=299) => {}
            Ok(answer) => {
                log::debug!("{} takes no candidates later: it answers {}", shown(&self.url), answer.status);
                self.trickles = false;
            }
            // Others may do.
            Err(end) => log::debug!("a candidate is not told: {end:?}"),
        }
    }

    /// Forgets news of an ICE session that is over; tracks stay.
    pub(super) fn forget_states(&mut self) {
        while let Ok(event) = self.news.try_recv() {
            if matches!(event, PeerEvent::Track { .. } | PeerEvent::TrackEnded { .. }) {
                self.tracks.push(event);
            }
        }
    }

    /// Ends the session here and at the endpoint.
    pub(super) async fn end(&self, client: &Client) {
        tokio::join!(client.delete(&self.url), self.peer.close());
    }
}
