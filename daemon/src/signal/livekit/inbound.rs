//! What comes in: the server's messages and the peer connection's news.

use std::time::SystemTime;

use livekit_protocol as proto;
use proto::data_packet::Value;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

use super::super::error::DisconnectReason;
use super::super::extra_info::{ROOM_ATTRIBUTE, RoomExtraInfo};
use super::super::room::Change;
use super::offers::Answer;
use super::server_clock::Sample;
use super::task::{End, Playing, Task};
use super::{SessionEvent, packets, refusal};
use crate::clock::Monotonic;
use crate::rtc::{MediaKind, MediaReceiver, PeerEvent};

impl Task {
    pub(super) async fn signal(&mut self, message: Response) -> Result<(), End> {
        match message {
            Response::Answer(answer) => self.answer(answer).await?,
            Response::Offer(offer) => self.server_offer(offer).await?,
            Response::Trickle(trickle) => {
                let subscriber = trickle.target() == proto::SignalTarget::Subscriber;
                let link = if subscriber { self.subscriber.as_ref() } else { Some(&self.publisher) };
                if let Some(link) = link
                    && let Err(error) = link.peer.add_candidate(&trickle.candidate_init).await
                {
                    log::debug!("{error}");
                }
            }
            Response::Update(update) => {
                // After a reconnection the server lists everybody, us too; who is not in it left meanwhile.
                let own = self.room.own_identity();
                let own = update.participants.iter().find(|person| person.identity == own);
                if let Some(own) = own {
                    self.listed(&own.sid)?;
                    if let Some(permission) = &own.permission {
                        self.may_change_attributes = permission.can_update_metadata;
                    }
                }
                let everybody = self.resynchronise && own.is_some();
                let changes = if everybody {
                    self.resynchronise = false;
                    self.room.replace(&update.participants)
                } else {
                    self.room.apply(&update.participants)
                };
                self.changed(changes);
                if !self.server_is_ours {
                    self.people_s_extra_info();
                }
            }
            Response::RoomUpdate(update) => {
                if let Some(info) = update.room.and_then(|room| RoomExtraInfo::of_room(&room.metadata))
                    && self.extra_info.as_ref() != Some(&info)
                {
                    self.extra_info = Some(info.clone());
                    self.tell(SessionEvent::RoomExtraInfo(info));
                }
            }
            Response::TrackPublished(published) => {
                self.published.accepted(&published.cid, published.track);
                if let Some(sid) = self.published.muted_early(&published.cid) {
                    self.send(Request::Mute(proto::MuteTrackRequest { sid, muted: true }));
                }
            }
            Response::RequestResponse(response) => self.request_answered(&response).await,
            Response::MediaSectionsRequirement(more) => {
                let (audio, video) = (more.num_audios as usize, more.num_videos as usize);
                self.publisher.peer.add_receivers(audio.min(64), video.min(64)).await.map_err(lost)?;
                self.offers.request();
            }
            Response::PongResp(pong) => self.pong(&pong),
            Response::Leave(leave) => return self.server_leaves(&leave),
            Response::SubscriptionResponse(response) if response.err != 0 => {
                log::warn!("the server does not send track {}: error {}", response.track_sid, response.err);
            }
            Response::Mute(mute) => log::info!("the server wishes track {} muted: {}", mute.sid, mute.muted),
            _ => {}
        }
        Ok(())
    }

    fn pong(&mut self, pong: &proto::Pong) {
        let sample = Sample::new(pong, SystemTime::now(), Monotonic::now());
        let Some(clock) = sample.and_then(|sample| self.server_clock.take(sample)) else { return };
        self.publisher.peer.set_server_clock(clock);
        if let Some(subscriber) = &self.subscriber {
            subscriber.peer.set_server_clock(clock);
        }
    }

    async fn answer(&mut self, answer: proto::SessionDescription) -> Result<(), End> {
        if self.offers.answered(answer.id) == Answer::Ignore {
            log::debug!("an answer to offer {} comes too late", answer.id);
            return Ok(());
        }
        self.answer_deadline = None;
        self.section_tracks = answer.mid_to_track_id.clone();
        let newest = self.offers.newest_id();
        for (_, tell) in self.to_tell.extract_if(.., |(offer, _)| *offer <= newest) {
            // Nobody may wait any more.
            let _ = tell.send(());
        }
        self.publisher.peer.accept_answer(&answer.sdp).await.map_err(lost)?;
        self.newest_answer = Some(answer);
        Ok(())
    }

    async fn server_offer(&mut self, offer: proto::SessionDescription) -> Result<(), End> {
        let Some(subscriber) = &self.subscriber else { return Ok(()) };
        self.section_tracks = offer.mid_to_track_id;
        let sdp = subscriber.peer.accept_offer(&offer.sdp).await.map_err(lost)?;
        self.send(Request::Answer(proto::SessionDescription {
            r#type: "answer".to_owned(),
            sdp,
            id: offer.id,
            ..Default::default()
        }));
        Ok(())
    }

    fn server_leaves(&mut self, leave: &proto::LeaveRequest) -> Result<(), End> {
        match leave.action() {
            proto::leave_request::Action::Resume => {
                self.signal_lost("the server asks for it");
                Ok(())
            }
            proto::leave_request::Action::Reconnect => Err(End::Ended(match refusal::leave(leave.reason) {
                DisconnectReason::Other(_) => DisconnectReason::StateMismatch,
                reason => reason,
            })),
            proto::leave_request::Action::Disconnect => Err(End::Ended(refusal::leave(leave.reason))),
        }
    }

    async fn request_answered(&mut self, response: &proto::RequestResponse) {
        if self.attribute_answered(response) {
            return;
        }
        let Some(error) = refusal::request(response) else { return };
        match &response.request {
            Some(proto::request_response::Request::AddTrack(add)) => {
                let cids = self.published.refused(&add.cid, error);
                self.remove_senders(cids).await;
            }
            _ => log::warn!("the server refused request {}: {error}", response.request_id),
        }
    }

    /// Tells what changed in the room, and the server what of it is wanted.
    fn changed(&mut self, changes: Vec<Change>) {
        for change in changes {
            let event = match change {
                Change::StreamRemoved(stream, reason) => {
                    self.wants.remove(&stream.stream_id);
                    SessionEvent::StreamRemoved(stream, reason)
                }
                Change::UserLeft(user) => SessionEvent::UserLeft(user),
                Change::UserJoined(user) => SessionEvent::UserJoined(user),
                Change::StreamAdded(stream) => SessionEvent::StreamAdded(stream),
                Change::StreamChanged(stream) => SessionEvent::StreamChanged(stream),
            };
            self.tell(event);
        }
        let others = self.room.people().len();
        if std::mem::replace(&mut self.others, others) != others {
            self.tell(SessionEvent::Others(others));
        }
        self.update_subscriptions();
        for _ in 0..self.unnamed.len() {
            if let Some((section, sid, receiver)) = self.unnamed.pop_front() {
                self.track(section, sid, receiver);
            }
        }
    }

    /// Where the server does not keep the room's extra information, the participants do: the newest one counts, and when whoever
    /// carries it goes, those who stay carry it on.
    fn people_s_extra_info(&mut self) {
        let carried = RoomExtraInfo::of_people(self.room.people());
        let time = |info: &Option<RoomExtraInfo>| info.as_ref().map(|info| info.time_ms);
        if let Some(info) = carried.clone().filter(|_| time(&carried) > time(&self.extra_info)) {
            self.extra_info = Some(info.clone());
            self.tell(SessionEvent::RoomExtraInfo(info));
        }
        let orphan = self
            .extra_info
            .clone()
            .filter(|info| time(&carried) < Some(info.time_ms) && self.carried.as_ref() != Some(info));
        if let Some(info) = orphan {
            let (reply, _) = tokio::sync::oneshot::channel();
            self.set_attribute(ROOM_ATTRIBUTE.to_owned(), info.attribute(), reply);
            self.carried = Some(info);
        }
    }

    pub(super) fn update_subscriptions(&mut self) {
        let difference = self.wants.difference(&self.room);
        let appeared = !difference.subscribe.is_empty();
        for (track_sids, subscribe) in [(difference.give_up, false), (difference.subscribe, true)] {
            if !track_sids.is_empty() {
                self.send(Request::Subscription(proto::UpdateSubscription {
                    track_sids,
                    subscribe,
                    ..Default::default()
                }));
            }
        }
        if !appeared {
            return;
        }
        for stream_id in self.wants.with_layers() {
            self.tell_layer(&stream_id);
        }
    }

    /// Tells the server which layer of a stream is wished for.
    pub(super) fn tell_layer(&self, stream_id: &str) {
        let (track_sids, layer) = self.wants.layer(stream_id, &self.room);
        if !track_sids.is_empty() {
            self.send(Request::TrackSetting(layer.settings(track_sids)));
        }
    }

    pub(super) fn media(&mut self, event: PeerEvent, target: proto::SignalTarget) {
        match event {
            PeerEvent::LocalCandidate(candidate_init) => {
                self.send(Request::Trickle(proto::TrickleRequest {
                    candidate_init,
                    target: target as i32,
                    r#final: false,
                }));
            }
            PeerEvent::Gathered => {}
            PeerEvent::State(state) => self.media_state(state, target),
            PeerEvent::Track { mid, stream_id, track_id, receiver } => {
                let sid = self.section_tracks.get(&mid).cloned().unwrap_or_else(|| sid_of(&stream_id, &track_id));
                self.track(mid, sid, receiver);
            }
            PeerEvent::TrackEnded { mid } => {
                self.unnamed.retain(|(section, _, _)| *section != mid);
                if let Some(ended) = self.playing.remove(&mid) {
                    log::debug!("track {} of {} ended", ended.sid, ended.stream_id);
                    self.tell(SessionEvent::MediaEnded { stream_id: ended.stream_id, kind: ended.kind });
                }
            }
            PeerEvent::Data { reliable, bytes } => {
                let message = match packets::decode(&bytes) {
                    Some((from, Value::User(user))) => Some(packets::message(from, user)),
                    // Texts, and calls and metrics of other programs.
                    Some((from, other)) => self.texts.take(&from, other),
                    None => None,
                };
                if let Some(packets::Message { from, topic, payload, id, sent_at_ms }) = message {
                    let from = self.room.user(&from);
                    self.tell(SessionEvent::Data { from, topic, payload, id, sent_at_ms, reliable });
                }
            }
        }
    }

    /// Tells again of media that arrives already: a stream that was given up and is wanted again before the server has
    /// taken note goes on in its section, and no new track announces it.
    pub(super) fn tell_again(&self, stream_id: &str, is_new: impl Fn(MediaKind) -> bool) {
        for playing in self.playing.values().filter(|playing| playing.stream_id == stream_id && is_new(playing.kind)) {
            self.tell(SessionEvent::Media { stream_id: stream_id.to_owned(), receiver: playing.receiver.clone() });
        }
    }

    fn track(&mut self, section: String, sid: String, receiver: MediaReceiver) {
        let Some(track) = self.room.track(&sid) else {
            self.unnamed.push_back((section, sid, receiver));
            return;
        };
        let playing = Playing { sid, stream_id: track.stream_id.clone(), kind: track.kind, receiver: receiver.clone() };
        self.playing.insert(section, playing);
        self.tell(SessionEvent::Media { stream_id: track.stream_id, receiver });
    }
}

/// The server's id of a track from `a=msid`: the track's part, or the second half of the stream's.
fn sid_of(stream_id: &str, track_id: &str) -> String {
    if track_id.starts_with("TR") {
        return track_id.to_owned();
    }
    stream_id.split_once('|').map_or(track_id, |(_, second)| second).to_owned()
}

fn lost(error: crate::rtc::RtcError) -> End {
    End::Ended(DisconnectReason::ConnectionLost(error.to_string()))
}
