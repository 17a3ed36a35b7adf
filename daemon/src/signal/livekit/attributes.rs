//! Our own attributes: requests to the server to change them, and its answers.

use std::collections::HashMap;

use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use tokio::time::Instant;

use super::super::error::SignalError;
use super::commands::Reply;
use super::refusal;
use super::task::{ANSWER_TIME, Task};

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
