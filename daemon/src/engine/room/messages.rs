//! Messages of a room: those that are sent, and those that arrive.

use tokio::sync::oneshot;

use super::state::Phase;
use super::task::RoomTask;
use crate::clock::Monotonic;
use crate::engine::error::EngineError;
use crate::engine::event::{EngineEvent, Message, User};
use crate::engine::message;
use crate::engine::request::MessageKind;
use crate::engine::token;
use crate::signal::DataMessage;

impl RoomTask {
    /// Sends a message; `reply` gets its number.
    pub(super) fn send(
        &mut self,
        kind: MessageKind,
        text: String,
        to: Vec<String>,
        reply: oneshot::Sender<Result<u64, EngineError>>,
    ) {
        let room_id = &self.info.room_id;
        let session = match (self.phase, &self.session) {
            (Phase::Connected, Some((session, _))) => session.clone(),
            _ => {
                let failure = EngineError::new(1_009_010, &format!("Room '{room_id}' is not connected"));
                let _ = reply.send(Err(failure));
                return;
            }
        };
        if let Err(error) = self.paces.take(kind, to.len(), room_id, Monotonic::now()) {
            let _ = reply.send(Err(error));
            return;
        }
        let sent_at_ms = token::unix_now_ms();
        let id = self.numbers.next(sent_at_ms);
        let what = format!("The message to room '{room_id}'");
        let message = DataMessage {
            topic: kind.topic().to_owned(),
            payload: text.into_bytes(),
            reliable: kind.is_reliable(),
            to,
            id: id.to_string(),
            sent_at_ms,
            as_text: true,
        };
        tokio::spawn(async move {
            let sent = session.send_data(message).await;
            let sent = sent.map(|()| id).map_err(|error| EngineError::from_signal(&error, &what, 1_009_010));
            let _ = reply.send(sent);
        });
    }

    /// Takes a message of somebody else. A sender that does not number or date it leaves that to us.
    pub(super) fn message(
        &mut self,
        from: User,
        topic: &str,
        payload: &[u8],
        id: Option<&str>,
        sent_at_ms: Option<u64>,
    ) {
        let Some(kind) = MessageKind::from_topic(topic) else { return };
        let Ok(text) = std::str::from_utf8(payload) else {
            log::warn!("room '{}': a message of user '{}' is not UTF-8", self.info.room_id, from.id);
            return;
        };
        self.paces.heard(kind, Monotonic::now());
        let now_ms = token::unix_now_ms();
        let message = Message {
            room_id: self.info.room_id.clone(),
            from,
            text: text.to_owned(),
            id: id.map_or_else(|| self.numbers.next(now_ms), message::number_of),
            sent_at_ms: sent_at_ms.unwrap_or(now_ms),
        };
        self.news.tell(match kind {
            MessageKind::Broadcast => EngineEvent::Broadcast(message),
            MessageKind::Barrage => EngineEvent::Barrage(message),
            MessageKind::Command => EngineEvent::Command(message),
        });
    }
}
