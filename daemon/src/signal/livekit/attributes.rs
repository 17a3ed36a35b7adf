//! Our own attributes: requests to the server to change them, and its answers.

use std::collections::HashMap;

use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use tokio::sync::oneshot;
use tokio::time::Instant;
use zego_protocol::state::ZegoRemoteDeviceState;

use super::super::device_state;
use super::super::error::SignalError;
use super::super::extra_info::ROOM_ATTRIBUTE;
use super::super::room::EXTRA_INFO_ATTRIBUTE;
use super::commands::Reply;
use super::refusal;
use super::task::{ANSWER_TIME, Task};
use crate::rtc::MediaKind;

/// The value of the room's extra information is too long.
const ROOM_TEXT_TOO_LONG: i32 = 1_002_016;
/// The extra information of a stream is too long.
const STREAM_TEXT_TOO_LONG: i32 = 1_003_051;

/// A change that the server has not answered.
pub(super) struct Pending {
    name: String,
    text: String,
    reply: Reply<Result<(), SignalError>>,
    deadline: Instant,
}

impl Pending {
    /// The stream whose text it changes, if it does that.
    fn stream_id(&self) -> Option<&str> {
        self.name.strip_prefix(EXTRA_INFO_ATTRIBUTE)
    }

    /// Whether it changes the room's text.
    fn is_of_room(&self) -> bool {
        self.name == ROOM_ATTRIBUTE
    }

    /// The request that asks for it.
    fn request(&self, id: u32) -> Request {
        Request::UpdateMetadata(proto::UpdateParticipantMetadata {
            attributes: HashMap::from([(self.name.clone(), self.text.clone())]),
            request_id: id,
            ..Default::default()
        })
    }
}

/// Changes that the server has not answered, by the number of the request.
#[derive(Default)]
pub(super) struct Changes {
    pending: HashMap<u32, Pending>,
}

impl Changes {
    /// Those of a stream's text.
    fn of_stream(&mut self, stream_id: &str) -> impl Iterator<Item = &mut Pending> {
        self.pending.values_mut().filter(move |pending| pending.stream_id() == Some(stream_id))
    }

    /// When [`Task::expire_changes`] is to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.deadline).min()
    }
}

impl Task {
    /// Shows the others the state of a device of ours: mutes its track or not, with the reason beside it.
    pub(super) fn show_device(&mut self, stream_id: &str, kind: MediaKind, state: ZegoRemoteDeviceState) {
        let Some((before, sid)) = self.published.set_state(stream_id, kind, state) else { return };
        let muted = state != ZegoRemoteDeviceState::Open;
        let mute = sid.map(|sid| Request::Mute(proto::MuteTrackRequest { sid, muted }));
        // The server tells in the order in which it hears: the reason is there for as long as the mute.
        if !muted && let Some(mute) = &mute {
            self.send(mute.clone());
        }
        let reason = device_state::text(kind, state);
        if reason != device_state::text(kind, before) {
            self.send_device_state(stream_id, kind, reason);
        }
        if muted && let Some(mute) = mute {
            self.send(mute);
        }
    }

    /// Tells the reasons again to a server that may not have heard them.
    pub(super) fn repeat_device_states(&mut self) {
        for (stream_id, kind, state) in self.published.states() {
            let reason = device_state::text(kind, state);
            if !reason.is_empty() {
                self.send_device_state(&stream_id, kind, reason);
            }
        }
    }

    /// Takes the reasons of a stream away, which is about to be unpublished.
    pub(super) fn forget_device_states(&mut self, stream_id: &str) {
        for (of, kind, state) in self.published.states() {
            if of == stream_id && !device_state::text(kind, state).is_empty() {
                self.send_device_state(stream_id, kind, String::new());
            }
        }
    }

    fn send_device_state(&mut self, stream_id: &str, kind: MediaKind, text: String) {
        if self.may_attach_text().is_err() {
            // The mute alone says enough.
            return;
        }
        let (reply, _) = oneshot::channel();
        self.set_attribute(device_state::attribute(kind, stream_id), text, reply);
    }

    /// Changes one of our attributes; an empty text removes it. `reply` hears what the server says.
    pub(super) fn set_attribute(&mut self, name: String, text: String, reply: Reply<Result<(), SignalError>>) {
        self.requests += 1;
        let pending = Pending { name, text, reply, deadline: Instant::now() + ANSWER_TIME };
        self.send(pending.request(self.requests));
        self.changes.pending.insert(self.requests, pending);
    }

    /// Changes the text of a stream that is published: it holds once the server has taken it. Without a link the server is told when it
    /// is back, and nobody waits for that.
    pub(super) fn set_extra_info(&mut self, stream_id: &str, text: String, reply: Reply<Result<(), SignalError>>) {
        if self.health.signal_up() {
            self.set_attribute(format!("{EXTRA_INFO_ATTRIBUTE}{stream_id}"), text, reply);
            return;
        }
        let kept = self.may_attach_text();
        if kept.is_ok() {
            // An earlier change that was not answered must not come after this one.
            for pending in self.changes.of_stream(stream_id) {
                pending.text.clone_from(&text);
            }
            self.extra_infos.insert(stream_id.to_owned(), text);
        }
        // Whoever asked may have given up.
        let _ = reply.send(kept);
    }

    /// Tells every text again to a server that may not have heard it, and after them the changes that it has not answered.
    pub(super) fn repeat_texts(&mut self) {
        let is_text = |pending: &Pending| pending.is_of_room() || pending.stream_id().is_some();
        let unanswered = self.changes.pending.iter().filter(|(_, pending)| is_text(pending));
        let mut unanswered: Vec<(u32, Request)> = unanswered.map(|(id, pending)| (*id, pending.request(*id))).collect();
        unanswered.sort_unstable_by_key(|(id, _)| *id);
        for (stream_id, text) in self.extra_infos.clone() {
            self.send_extra_info(&stream_id, &text);
        }
        for (_, request) in unanswered {
            self.send(request);
        }
    }

    /// Forgets the text of a stream that has ended, also at the server.
    pub(super) fn forget_text(&mut self, stream_id: &str) {
        let is_changed = self.changes.of_stream(stream_id).next().is_some();
        if self.extra_infos.remove(stream_id).is_some() || is_changed {
            self.send_extra_info(stream_id, "");
        }
    }

    /// Gives up the changes that the server did not answer in time.
    pub(super) fn expire_changes(&mut self, now: Instant) {
        let pending = self.changes.pending.iter();
        let late: Vec<u32> = pending.filter(|(_, pending)| pending.deadline <= now).map(|(id, _)| *id).collect();
        for id in late {
            self.change_ended(id, Err(SignalError::Timeout("changing an attribute")));
        }
    }

    /// A change is known to hold, or not to; whether there was one of this number.
    fn change_ended(&mut self, id: u32, outcome: Result<(), SignalError>) -> bool {
        let Some(pending) = self.changes.pending.remove(&id) else { return false };
        if let Some(stream_id) = pending.stream_id().filter(|id| self.published.has(id)).map(str::to_owned) {
            match &outcome {
                Ok(()) => {
                    self.extra_infos.insert(stream_id, pending.text);
                }
                // The server may yet read the request: it then also reads that what was there is to be there, unless a later
                // change says what is.
                Err(SignalError::Timeout(_))
                    if self.health.signal_up() && self.changes.of_stream(&stream_id).next().is_none() =>
                {
                    let before = self.extra_infos.get(&stream_id).cloned().unwrap_or_default();
                    if before != pending.text {
                        self.send_extra_info(&stream_id, &before);
                    }
                }
                Err(_) => {}
            }
        }
        // Whoever asked may have given up.
        let _ = pending.reply.send(outcome);
        true
    }

    /// Refuses a text for a stream that is not published yet, when the server would not take it.
    pub(super) fn may_attach_text(&self) -> Result<(), SignalError> {
        if self.server_is_ours || self.may_change_attributes { Ok(()) } else { Err(refusal::no_attributes()) }
    }

    /// Takes the answer to a request; whether it was for a change of attributes.
    pub(super) fn attribute_answered(&mut self, response: &proto::RequestResponse) -> bool {
        let of_room = self.changes.pending.get(&response.request_id).is_some_and(Pending::is_of_room);
        let too_long = if of_room { ROOM_TEXT_TOO_LONG } else { STREAM_TEXT_TOO_LONG };
        let outcome = refusal::attribute(response, too_long).map_or(Ok(()), Err);
        if let Err(error) = &outcome {
            log::warn!("an attribute was not changed: {error}");
        }
        self.change_ended(response.request_id, outcome)
    }
}
