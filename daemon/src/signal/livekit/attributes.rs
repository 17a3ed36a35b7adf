//! Our own attributes: requests to the server to change them, and its answers.

use std::collections::HashMap;

use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use tokio::sync::oneshot;
use tokio::time::Instant;
use zego_protocol::state::ZegoRemoteDeviceState;

use super::super::device_state;
use super::super::error::SignalError;
use super::commands::Reply;
use super::refusal;
use super::task::{ANSWER_TIME, Task};
use crate::rtc::MediaKind;

/// A change that the server has not answered.
pub(super) struct Pending {
    reply: Reply<Result<(), SignalError>>,
    deadline: Instant,
}

/// Changes that the server has not answered, by the number of the request.
#[derive(Default)]
pub(super) struct Changes {
    pending: HashMap<u32, Pending>,
}

impl Changes {
    /// The server answered a request; whether it was one of these.
    fn answered(&mut self, id: u32, outcome: Result<(), SignalError>) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        // Whoever asked may have given up.
        let _ = pending.reply.send(outcome);
        true
    }

    /// Gives up those that the server did not answer in time.
    pub(super) fn expire(&mut self, now: Instant) {
        let late: Vec<u32> =
            self.pending.iter().filter(|(_, pending)| pending.deadline <= now).map(|(id, _)| *id).collect();
        for id in late {
            self.answered(id, Err(SignalError::Timeout("changing an attribute")));
        }
    }

    /// When [`Self::expire`] is to be called.
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
        let deadline = Instant::now() + ANSWER_TIME;
        self.changes.pending.insert(self.requests, Pending { reply, deadline });
        self.send(Request::UpdateMetadata(proto::UpdateParticipantMetadata {
            attributes: HashMap::from([(name, text)]),
            request_id: self.requests,
            ..Default::default()
        }));
    }

    /// Refuses a text for a stream that is not published yet, when the server would not take it.
    pub(super) fn may_attach_text(&self) -> Result<(), SignalError> {
        if self.server_is_ours || self.may_change_attributes { Ok(()) } else { Err(refusal::no_attributes()) }
    }

    /// Takes the answer to a request; whether it was for a change of attributes.
    pub(super) fn attribute_answered(&mut self, response: &proto::RequestResponse) -> bool {
        let outcome = refusal::attribute(response).map_or(Ok(()), Err);
        if let Err(error) = &outcome {
            log::warn!("an attribute was not changed: {error}");
        }
        self.changes.answered(response.request_id, outcome)
    }
}
