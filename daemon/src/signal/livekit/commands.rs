//! What the engine asks for.

use std::sync::Arc;

use bytes::Bytes;
use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use tokio::sync::oneshot;
use tokio::time::Instant;
use zego_protocol::state::ZegoRemoteDeviceState;

use super::super::error::SignalError;
use super::super::extra_info::{ROOM_ATTRIBUTE, RoomExtraInfo};
use super::super::room::EXTRA_INFO_ATTRIBUTE;
use super::layer::LayerWish;
use super::task::{ANSWER_TIME, End, Task};
use super::{DataMessage, Publication, PublishRequest, Told};
use crate::audio::Channels;
use crate::network::Network;
use crate::rtc::{MediaKind, Peer};

/// Somebody else has a stream of that id.
const STREAM_EXISTS: i32 = 1_003_028;

pub(in crate::signal) type Reply<T> = oneshot::Sender<T>;

/// What the handle asks the task.
pub(in crate::signal) enum Command {
    Publish(PublishRequest, Reply<Result<Publication, SignalError>>),
    Unpublish(String, Reply<Result<Told, SignalError>>),
    ShowDevice(String, MediaKind, ZegoRemoteDeviceState),
    Subscribe(String, bool, bool, LayerWish, Reply<Result<(), SignalError>>),
    Unsubscribe(String, Reply<()>),
    ExtraInfo(String, String, Reply<Result<(), SignalError>>),
    RoomExtraInfo(RoomExtraInfo, Reply<Result<(), SignalError>>),
    Data(DataMessage, Reply<(Peer, Vec<Bytes>)>),
    Peers(Reply<Vec<Peer>>),
    Network(Arc<Network>),
    Leave(Reply<()>),
}

impl Task {
    pub(super) async fn command(&mut self, command: Command) -> Result<(), End> {
        // An answer that nobody waits for any more is not missed.
        match command {
            Command::Publish(request, reply) => self.publish(request, reply).await,
            Command::Unpublish(stream_id, reply) => {
                self.forget_device_states(&stream_id);
                let early = self.published.unoffered(&stream_id);
                let mut cids = self.published.remove(&stream_id);
                let known = !cids.is_empty();
                cids.retain(|cid| !early.contains(cid));
                self.remove_senders(cids).await;
                self.forget_text(&stream_id);
                let told = if early.is_empty() { self.offers.next_id() } else { self.offers.next_id() + 1 };
                self.leaving.extend(early);
                let _ =
                    reply.send(if known { Ok(self.told(told)) } else { Err(SignalError::UnknownStream(stream_id)) });
            }
            Command::ShowDevice(stream_id, kind, state) => self.show_device(&stream_id, kind, state),
            Command::Subscribe(stream_id, audio, video, layer, reply) => {
                let known = !self.room.tracks(&stream_id).is_empty();
                if known {
                    let before = self.wants.of(&stream_id);
                    self.wants.set(&stream_id, audio, video);
                    self.update_subscriptions();
                    if self.wants.set_layer(&stream_id, layer) {
                        self.tell_layer(&stream_id);
                    }
                    self.tell_again(&stream_id, |kind| match kind {
                        MediaKind::Audio => audio && !before.0,
                        MediaKind::Video => video && !before.1,
                    });
                }
                let _ = reply.send(if known { Ok(()) } else { Err(SignalError::UnknownStream(stream_id)) });
            }
            Command::Unsubscribe(stream_id, reply) => {
                self.wants.remove(&stream_id);
                self.update_subscriptions();
                let _ = reply.send(());
            }
            Command::ExtraInfo(stream_id, text, reply) => {
                if self.published.has(&stream_id) {
                    self.set_extra_info(&stream_id, text, reply);
                } else {
                    let _ = reply.send(Err(SignalError::UnknownStream(stream_id)));
                }
            }
            Command::RoomExtraInfo(info, reply) => {
                self.set_attribute(ROOM_ATTRIBUTE.to_owned(), info.attribute(), reply);
                self.carried = Some(info);
            }
            Command::Data(message, reply) => {
                let packets = message.packets(&mut self.sequence);
                let _ = reply.send((self.publisher.peer.clone(), packets));
            }
            Command::Peers(reply) => {
                let subscriber = self.subscriber.iter().map(|link| link.peer.clone());
                let _ = reply.send(std::iter::once(self.publisher.peer.clone()).chain(subscriber).collect());
            }
            Command::Network(network) => self.network_changed(&network),
            Command::Leave(reply) => return Err(End::Left(Some(reply))),
        }
        Ok(())
    }

    /// Resolves when the server has answered that offer.
    fn told(&mut self, offer: u32) -> Told {
        let (tell, told) = oneshot::channel();
        // While the connection is broken nobody can be told: the receiver hears at once that it is not.
        if self.health.signal_up() {
            self.to_tell.push((offer, tell));
        }
        told
    }

    async fn publish(&mut self, request: PublishRequest, reply: Reply<Result<Publication, SignalError>>) {
        let stream_id = request.stream_id.clone();
        let kinds = [(MediaKind::Audio, request.audio.is_some()), (MediaKind::Video, request.video.is_some())];
        let kinds: Vec<MediaKind> = kinds.into_iter().filter(|(_, wished)| *wished).map(|(kind, _)| kind).collect();
        if kinds.iter().any(|&kind| self.published.has_kind(&stream_id, kind)) {
            let message = format!("stream {stream_id} is published already");
            let _ = reply.send(Err(SignalError::Refused { code: STREAM_EXISTS, message }));
            return;
        }
        // Our own server knows best, and of every room; others do not care.
        if !self.server_is_ours
            && let Some(owner) = self.room.owner(&stream_id)
        {
            let message = format!("stream {stream_id} is being published by user {owner}");
            let _ = reply.send(Err(SignalError::Refused { code: STREAM_EXISTS, message }));
            return;
        }
        if !request.extra_info.is_empty()
            && let Err(error) = self.may_attach_text()
        {
            let _ = reply.send(Err(error));
            return;
        }
        if kinds.is_empty() {
            let _ = reply.send(Ok(Publication { audio: None, video: None }));
            return;
        }
        let mut cids = Vec::new();
        for kind in kinds {
            let cid = self.published.cid(kind);
            let sender = match self.publisher.peer.add_sender(kind, &stream_id, &cid).await {
                Ok(sender) => sender,
                Err(error) => {
                    let _ = reply.send(Err(error.into()));
                    self.published.forget(&cids);
                    self.remove_senders(cids).await;
                    return;
                }
            };
            cids.push(cid.clone());
            if kind == MediaKind::Audio && request.audio == Some(Channels::Stereo) {
                sender.send_stereo();
            }
            let add = self.published.add(&request, cid, sender);
            // With a broken link the server is asked when it is back.
            if self.health.signal_up() {
                self.send(Request::AddTrack(add));
            }
        }
        self.published.wait(&stream_id, cids, Instant::now() + ANSWER_TIME, reply);
        // The server reads in order: it knows the tracks when it reads the offer, without a round trip in between.
        self.offers.request();
        if !request.extra_info.is_empty() {
            self.send_extra_info(&stream_id, &request.extra_info);
            self.extra_infos.insert(stream_id, request.extra_info);
        }
    }

    /// Changes a stream's text; a refusal is in the log, and does not end the stream.
    pub(super) fn send_extra_info(&mut self, stream_id: &str, text: &str) {
        let (reply, _) = oneshot::channel();
        self.set_attribute(format!("{EXTRA_INFO_ATTRIBUTE}{stream_id}"), text.to_owned(), reply);
    }
}
