//! A room's extra information: set by us, changed by others, put back after the server forgot it.

use std::time::Duration;

use tokio::sync::oneshot;

use super::inputs::RoomInput;
use super::state::Phase;
use super::task::RoomTask;
use crate::clock::Monotonic;
use crate::engine::error::EngineError;
use crate::engine::event::EngineEvent;
use crate::engine::message::Window;
use crate::engine::token;
use crate::signal::RoomExtraInfo;

/// How often it may be set: so many times in this time.
const LIMIT: (usize, Duration) = (10, Duration::from_secs(1));

/// What a room's task knows of it.
#[derive(Default)]
pub(super) struct ExtraInfo {
    /// The newest.
    info: Option<RoomExtraInfo>,
    /// How often it was changed, by whomever.
    changes: u64,
    set: Window,
}

impl RoomTask {
    /// SetRoomExtraInfo; `reply` hears what the server says.
    pub(super) fn set_extra_info(
        &mut self,
        key: String,
        value: String,
        reply: oneshot::Sender<Result<(), EngineError>>,
    ) {
        let room = format!("Room '{}'", self.info.room_id);
        let (Phase::Connected, Some((session, _))) = (self.phase, &self.session) else {
            let _ = reply.send(Err(EngineError::new(1_002_052, &format!("{room} is not connected"))));
            return;
        };
        if let Some(other) = self.extra_info.info.as_ref().filter(|info| info.key != key) {
            let detail = format!("{room} has extra information under the key '{}'", other.key);
            let _ = reply.send(Err(EngineError::new(1_002_017, &detail)));
            return;
        }
        if !self.extra_info.set.take(LIMIT, Monotonic::now()) {
            let detail = format!("The extra information of {room} is set too often");
            let _ = reply.send(Err(EngineError::new(1_002_071, &detail)));
            return;
        }
        let time_ms = token::unix_now_ms();
        let info = RoomExtraInfo { key, value, user_id: self.info.user.id.clone(), time_ms };
        let (session, inputs) = (session.clone(), self.inputs.clone());
        let changes = self.extra_info.changes;
        tokio::spawn(async move {
            let set = session.set_room_extra_info(info.clone()).await;
            let set = set.map_err(|error| EngineError::from_signal(&error, &room, 1_002_052));
            // The room shows it before the call returns.
            let _ = inputs.send(RoomInput::ExtraInfoSet { info, changes, set, reply });
        });
    }

    /// The server answered; `changes` counts those before the call.
    pub(super) fn extra_info_set(
        &mut self,
        info: RoomExtraInfo,
        changes: u64,
        set: Result<(), EngineError>,
        reply: oneshot::Sender<Result<(), EngineError>>,
    ) {
        // A server that keeps it with the room has told us already, with its own time.
        if set.is_ok() && changes == self.extra_info.changes {
            self.show(info);
        }
        let _ = reply.send(set);
    }

    /// Somebody changed it. Whoever did is not told.
    pub(super) fn extra_info_is(&mut self, info: RoomExtraInfo) {
        if self.extra_info.info.as_ref() == Some(&info) {
            return;
        }
        self.show(info.clone());
        if info.user_id != self.info.user.id {
            self.news.tell(EngineEvent::RoomExtraInfo { room_id: self.info.room_id.clone(), info });
        }
    }

    /// What a session that has just begun found.
    pub(super) fn found_extra_info(&mut self, found: Option<RoomExtraInfo>) {
        match (found, self.extra_info.info.clone()) {
            (Some(info), _) => self.extra_info_is(info),
            // The server forgot it, and it was ours: it is restored like everything else.
            (None, Some(ours)) if ours.user_id == self.info.user.id => {
                let Some((session, _)) = &self.session else { return };
                let session = session.clone();
                tokio::spawn(async move {
                    if let Err(error) = session.set_room_extra_info(ours).await {
                        log::warn!("the room's extra information could not be restored: {error}");
                    }
                });
            }
            // Whoever set it will restore it, or it ended with the room.
            (None, Some(_)) => {
                self.extra_info.info = None;
                self.change(|info, _| info.extra_info.clear());
            }
            (None, None) => {}
        }
    }

    fn show(&mut self, info: RoomExtraInfo) {
        let shown = vec![(info.key.clone(), info.value.clone())];
        self.extra_info.info = Some(info);
        self.extra_info.changes += 1;
        self.change(|room, _| room.extra_info = shown);
    }
}
