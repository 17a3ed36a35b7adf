//! What the engine asks for.

use std::collections::HashMap;

use bytes::Bytes;
use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::error::SignalError;
use super::super::room::EXTRA_INFO_ATTRIBUTE;
use super::task::{ANSWER_TIME, End, Task};
use super::{Publication, PublishRequest, packets};
use crate::rtc::{MediaKind, Peer};

pub(super) type Reply<T> = oneshot::Sender<T>;

/// What the handle asks the task.
pub(super) enum Command {
    Publish(PublishRequest, Reply<Result<Publication, SignalError>>),
    Unpublish(String, Reply<Result<(), SignalError>>),
    Mute(String, MediaKind, bool, Reply<()>),
    Subscribe(String, bool, bool, Reply<Result<(), SignalError>>),
    Unsubscribe(String, Reply<()>),
    ExtraInfo(String, String, Reply<Result<(), SignalError>>),
    Data { topic: String, payload: Vec<u8>, reliable: bool, to: Vec<String>, reply: Reply<(Peer, Bytes)> },
    Peers(Reply<Vec<Peer>>),
    Leave(Reply<()>),
}

impl Task {
    pub(super) async fn command(&mut self, command: Command) -> Result<(), End> {
        // An answer that nobody waits for any more is not missed.
        match command {
            Command::Publish(request, reply) => self.publish(request, reply).await,
            Command::Unpublish(stream_id, reply) => {
                let cids = self.published.remove(&stream_id);
                let known = !cids.is_empty();
                self.remove_senders(cids).await;
                if self.extra_infos.remove(&stream_id).is_some() {
                    self.send_extra_info(&stream_id, "");
                }
                let _ = reply.send(if known { Ok(()) } else { Err(SignalError::UnknownStream(stream_id)) });
            }
            Command::Mute(stream_id, kind, muted, reply) => {
                if let Some(sid) = self.published.mute(&stream_id, kind, muted) {
                    self.send(Request::Mute(proto::MuteTrackRequest { sid, muted }));
                }
                let _ = reply.send(());
            }
            Command::Subscribe(stream_id, audio, video, reply) => {
                let known = !self.room.tracks(&stream_id).is_empty();
                if known {
                    let before = self.wants.of(&stream_id);
                    self.wants.set(&stream_id, audio, video);
                    self.update_subscriptions();
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
                let known = self.published.has(&stream_id);
                if known {
                    self.send_extra_info(&stream_id, &text);
                    self.extra_infos.insert(stream_id.clone(), text);
                }
                let _ = reply.send(if known { Ok(()) } else { Err(SignalError::UnknownStream(stream_id)) });
            }
            Command::Data { topic, payload, reliable, to, reply } => {
                self.sequence += u32::from(reliable);
                let bytes = packets::encode(&topic, payload, reliable, to, self.sequence);
                let _ = reply.send((self.publisher.peer.clone(), bytes));
            }
            Command::Peers(reply) => {
                let subscriber = self.subscriber.iter().map(|link| link.peer.clone());
                let _ = reply.send(std::iter::once(self.publisher.peer.clone()).chain(subscriber).collect());
            }
            Command::Leave(reply) => return Err(End::Left(Some(reply))),
        }
        Ok(())
    }

    async fn publish(&mut self, request: PublishRequest, reply: Reply<Result<Publication, SignalError>>) {
        let stream_id = request.stream_id.clone();
        if self.published.has(&stream_id) {
            let message = format!("stream {stream_id} is published already");
            let _ = reply.send(Err(SignalError::Refused { code: 1_003_028, message }));
            return;
        }
        let kinds = [(MediaKind::Audio, request.audio), (MediaKind::Video, request.video.is_some())];
        let kinds: Vec<MediaKind> = kinds.into_iter().filter(|(_, wished)| *wished).map(|(kind, _)| kind).collect();
        if kinds.is_empty() {
            let _ = reply.send(Ok(Publication { audio: None, video: None }));
            return;
        }
        for kind in kinds {
            let cid = self.published.cid(kind);
            let sender = match self.publisher.peer.add_sender(kind, &stream_id, &cid).await {
                Ok(sender) => sender,
                Err(error) => {
                    let _ = reply.send(Err(error.into()));
                    let cids = self.published.remove(&stream_id);
                    self.remove_senders(cids).await;
                    return;
                }
            };
            let add = self.published.add(&request, cid, sender);
            self.send(Request::AddTrack(add));
        }
        self.published.wait(&stream_id, Instant::now() + ANSWER_TIME, reply);
        // The server reads in order: it knows the tracks when it reads the offer, without a round trip in between.
        self.offers.request();
        if !request.extra_info.is_empty() {
            self.send_extra_info(&stream_id, &request.extra_info);
            self.extra_infos.insert(stream_id, request.extra_info);
        }
    }

    fn send_extra_info(&mut self, stream_id: &str, text: &str) {
        self.requests += 1;
        let attributes = HashMap::from([(format!("{EXTRA_INFO_ATTRIBUTE}{stream_id}"), text.to_owned())]);
        self.send(Request::UpdateMetadata(proto::UpdateParticipantMetadata {
            attributes,
            request_id: self.requests,
            ..Default::default()
        }));
    }
}
