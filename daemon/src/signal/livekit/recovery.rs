//! A session whose link broke, and how it is taken up again.
//!
//! Three things say that it broke: the signalling connection ends, media falls silent (ICE consent, RFC 7675: seconds before a
//! silent TCP connection is noticed), or the network says so. Each leads to the same: the signalling connection is made anew until the
//! server has us back, then ICE restarts unless media went on all the time.

use std::sync::Arc;
use std::time::Duration;

use livekit_protocol as proto;
use livekit_signaling::SignalClient;
use proto::signal_request::Message as Request;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::error::DisconnectReason;
use super::health::{Input, Media, Told};
use super::refusal::{self, Resume};
use super::task::{ANSWER_TIME, Task};
use super::{Search, SessionEvent};
use crate::clock::Monotonic;
use crate::network::{Network, PathChange};
use crate::retry::Retry;
use crate::rtc::PeerState;

impl Task {
    pub(super) fn media_state(&mut self, state: PeerState, target: proto::SignalTarget) {
        // With two connections, the one that always has something to carry counts.
        if target == proto::SignalTarget::Subscriber {
            return;
        }
        log::debug!("the media connection is {state:?}");
        match state {
            PeerState::Connected => self.link(Input::MediaUp),
            PeerState::Disconnected => {
                let was_up = self.health.media() == Media::Up;
                self.link(Input::MediaDown);
                if was_up {
                    self.signal_lost("nothing is heard on the media connection");
                }
            }
            PeerState::Failed => {
                self.link(Input::MediaDown);
                if self.health.signal_up() {
                    self.offers.request_restart();
                }
            }
            PeerState::New | PeerState::Connecting | PeerState::Closed => {}
        }
    }

    /// Takes what happened to the link, and tells when it is broken and when it is whole again.
    fn link(&mut self, input: Input) {
        match self.health.take(input, Instant::now()) {
            Some(Told::Reconnecting) => self.tell(SessionEvent::Reconnecting),
            Some(Told::Reconnected) => self.tell(SessionEvent::Reconnected),
            None => {}
        }
    }

    /// The network changed: what that means for this session.
    pub(super) fn network_changed(&mut self, network: &Network) {
        match self.path.look(network) {
            PathChange::Unchanged => {}
            PathChange::Lost => self.way_lost(),
            PathChange::Found => self.reconnect_now("the way to the server is back"),
            PathChange::Moved => {
                self.moved = true;
                self.reconnect_now("the way to the server is another one");
            }
        }
    }

    /// Without a way nothing is heard of media either. ICE finds that out only after some seconds: it must not be when the way, and
    /// the signalling connection, are back already.
    fn way_lost(&mut self) {
        self.link(Input::MediaDown);
        self.signal_lost("there is no way to the server any more");
    }

    fn reconnect_now(&mut self, why: &str) {
        if self.resuming.is_some() {
            log::info!("{why}");
            self.hurry.notify_one();
        } else {
            self.signal_lost(why);
        }
    }

    pub(super) fn signal_lost(&mut self, reason: &str) {
        if self.resuming.is_some() {
            return;
        }
        log::info!("the session is taken up again: {reason}");
        self.offers.lost();
        (self.answer_deadline, self.list_deadline) = (None, None);
        self.to_tell.clear();
        self.link(Input::SignalLost);
        let reason = if self.health.media() == Media::Down {
            proto::ReconnectReason::RrPublisherFailed
        } else {
            proto::ReconnectReason::RrSignalDisconnected
        };
        // A hurry of an earlier outage is over.
        self.hurry = Arc::default();
        let found = self.search.clone().map(|search| (search, self.server.clone()));
        self.resuming = Some(tokio::spawn(resume(Arc::clone(&self.client), reason, Arc::clone(&self.hurry), found)));
    }

    /// The server took us back; it needs to know where we are.
    pub(super) fn resumed(&mut self) {
        self.list_deadline = None;
        // Attempts may be quicker than the news of the network that lets them succeed.
        match self.path.look(&Network::now()) {
            PathChange::Moved => self.moved = true,
            PathChange::Lost => return self.way_lost(),
            PathChange::Found | PathChange::Unchanged => {}
        }
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
        // What was told while nobody noticed yet that the link was broken did not arrive.
        self.repeat_device_states();
        for (sid, muted) in self.published.mutes() {
            self.send(Request::Mute(proto::MuteTrackRequest { sid, muted }));
        }
        for stream_id in self.wants.with_layers() {
            self.tell_layer(&stream_id);
        }
        self.repeat_texts();
        self.published.wait_again(Instant::now() + ANSWER_TIME);
        let moved = std::mem::take(&mut self.moved);
        if self.health.media() == Media::Up && !moved {
            // Media went on all the time. What was not answered is offered again.
            self.offers.request();
        } else {
            self.link(Input::MediaDown);
            self.offers.request_restart();
        }
        let client = Arc::clone(&self.client);
        tokio::spawn(async move { client.set_reconnected().await });
        self.link(Input::SignalBack);
    }
}

/// Takes the session up again: attempts until one succeeds or none ever can. Whoever started it sets the limit. A `hurry` begins
/// another attempt at once, and gives up one that is on its way: it began in a network that is no more. A server that was `found` is
/// given up when others are there and it is not. Gives the relays that the server names now.
async fn resume(
    client: Arc<SignalClient>,
    reason: proto::ReconnectReason,
    hurry: Arc<Notify>,
    found: Option<(Search, String)>,
) -> Result<Vec<proto::IceServer>, DisconnectReason> {
    // Closing must not be interrupted: the client would take it to go on for ever.
    client.close().await;
    let mut retry = Retry::new(Monotonic::now(), Duration::MAX);
    loop {
        let attempt = tokio::select! {
            attempt = client.restart(reason) => Some(attempt),
            () = hurry.notified() => None,
        };
        match attempt.map(|attempt| attempt.map_err(refusal::resume)) {
            Some(Ok(answer)) => return Ok(answer.ice_servers),
            Some(Err(Resume::Over(reason))) => return Err(reason),
            Some(Err(Resume::Again(error))) => log::debug!("not reconnected yet: {error}"),
            None => {
                retry.hope();
                continue;
            }
        }
        let pause = retry.failed(Monotonic::now()).unwrap_or_default();
        let is_elsewhere = async {
            match &found {
                Some((search, server)) => search.is_elsewhere(server).await,
                None => false,
            }
        };
        let waited = async { tokio::join!(tokio::time::sleep(pause), is_elsewhere).1 };
        tokio::select! {
            is_elsewhere = waited => if is_elsewhere {
                return Err(DisconnectReason::ConnectionLost("another room server is there instead".to_owned()));
            },
            () = hurry.notified() => retry.hope(),
        }
    }
}
