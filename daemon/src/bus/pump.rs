//! The engine's news become objects, property changes and signals, in their order.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use zbus::Connection;
use zbus::object_server::SignalEmitter;
use zego_protocol::names;
use zego_protocol::state::{ZegoDataRecordState, ZegoDeviceException, ZegoUpdateType};

use super::callers::{Bound, Callers};
use super::device::DeviceObject;
use super::engine::EngineInterface;
use super::object::{Objects, look};
use super::player::PlayerObject;
use super::publisher::PublisherObject;
use super::room::RoomObject;
use super::stream::StreamObject;
use super::values;
use super::view::ViewObject;
use crate::devices::registry::{DeviceInfo, DeviceState};
use crate::engine::{Change, Engine, EngineEvent, EngineInfo, Message};

/// Handles the engine's news one after the other.
pub(super) struct Pump {
    emitter: SignalEmitter<'static>,
    state: Arc<Mutex<EngineInfo>>,
    callers: Callers,
    rooms: Objects<RoomObject>,
    streams: Objects<StreamObject>,
    publishers: Objects<PublisherObject>,
    players: Objects<PlayerObject>,
    devices: Objects<DeviceObject>,
    views: Objects<ViewObject>,
}

impl Pump {
    pub(super) fn new(connection: Connection, engine: Engine, state: Arc<Mutex<EngineInfo>>, callers: Callers) -> Self {
        let root = zbus::ObjectPath::from_static_str_unchecked(names::ROOT_PATH);
        Self {
            emitter: SignalEmitter::from_parts(connection.clone(), root),
            state,
            callers,
            rooms: Objects::new(connection.clone(), engine.clone()),
            streams: Objects::new(connection.clone(), engine.clone()),
            publishers: Objects::new(connection.clone(), engine.clone()),
            players: Objects::new(connection.clone(), engine.clone()),
            devices: Objects::new(connection.clone(), engine.clone()),
            views: Objects::new(connection, engine),
        }
    }

    /// Handles news until there are no more, and counts them in `handled`.
    pub(super) async fn run(mut self, mut events: UnboundedReceiver<EngineEvent>, handled: watch::Sender<u64>) {
        while let Some(event) = events.recv().await {
            if let Err(error) = self.handle(event).await {
                // The bus is gone, or about to be.
                log::debug!("a signal could not be sent: {error}");
            }
            handled.send_modify(|count| *count += 1);
        }
    }

    async fn handle(&mut self, event: EngineEvent) -> zbus::Result<()> {
        match event {
            EngineEvent::Engine(info) => self.engine(info).await,
            EngineEvent::Room(change) => {
                if let Change::Removed(number) = change {
                    self.callers.forget(|bound| *bound == Bound::Room(number));
                }
                self.rooms.apply(change).await
            }
            EngineEvent::Stream(change) => self.streams.apply(change).await,
            EngineEvent::Publisher(change) => {
                if let Change::Removed(channel) = change {
                    let is = |bound: &Bound| matches!(bound, Bound::Publisher(c, _) if u64::from(c.unsigned_abs()) == channel);
                    self.callers.forget(is);
                }
                self.publishers.apply(change).await
            }
            EngineEvent::Player(change) => {
                if let Change::Removed(number) = change {
                    self.callers.forget(|bound| *bound == Bound::Player(number));
                }
                self.players.apply(change).await
            }
            EngineEvent::Device(change) => self.device(change).await,
            EngineEvent::View(change) => {
                if let Change::Removed(id) = change {
                    self.callers
                        .forget(|bound| matches!(bound, Bound::View(bound) | Bound::Texture(bound) if *bound == id));
                }
                self.views.apply(change).await
            }
            EngineEvent::Recording { number, state, .. } if state != ZegoDataRecordState::Recording => {
                self.callers.forget(|bound| *bound == Bound::Recording(number));
                self.signal(event).await
            }
            other => self.signal(other).await,
        }
    }

    async fn engine(&self, info: EngineInfo) -> zbus::Result<()> {
        let before = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *state, info.clone())
        };
        let server = self.emitter.connection().object_server();
        let interface = server.interface::<_, EngineInterface>(names::ROOT_PATH).await?;
        let interface = interface.get().await;
        if before.created != info.created {
            interface.state_changed(&self.emitter).await?;
        }
        if before.app_id != info.app_id {
            interface.app_i_d_changed(&self.emitter).await?;
        }
        if before.microphone_muted != info.microphone_muted {
            interface.microphone_muted_changed(&self.emitter).await?;
        }
        if before.speaker_muted != info.speaker_muted {
            interface.speaker_muted_changed(&self.emitter).await?;
        }
        if before.call_active != info.call_active {
            interface.call_active_changed(&self.emitter).await?;
        }
        Ok(())
    }

    /// A device's object, and the signal that tells of it.
    async fn device(&mut self, change: Change<crate::engine::DeviceObject>) -> zbus::Result<()> {
        // One that the configuration names keeps its object while it is unplugged.
        let is_there = |device: &DeviceInfo| device.state != DeviceState::Unplugged;
        let (number, after) = match &change {
            Change::Added(object) | Change::Changed(object) => (object.number, Some(object.device.clone())),
            Change::Removed(number) => (*number, None),
        };
        let before = self.devices.get(number).map(|shared| look(shared).info.device.clone());
        let update = match (before.as_ref().is_some_and(is_there), after.as_ref().is_some_and(is_there)) {
            (false, true) => Some(ZegoUpdateType::Add),
            (true, false) => Some(ZegoUpdateType::Delete),
            (true, true) | (false, false) => None,
        };
        self.devices.apply(change).await?;
        if let (Some(update), Some(device)) = (update, after.or(before)) {
            let kind = device.kind.as_str();
            let path = values::path(Some(names::device_path(number)));
            EngineInterface::device_state(&self.emitter, kind, update.number(), path).await?;
        }
        Ok(())
    }

    async fn signal(&self, event: EngineEvent) -> zbus::Result<()> {
        let to = &self.emitter;
        match event {
            EngineEvent::RoomState { room_id, reason, code, message, room_session_id } => {
                let state = reason.state();
                let mut more = values::extended(state.word(), reason.word(), &message);
                more.insert("reason_code".to_owned(), reason.number().into());
                if let Some(id) = room_session_id {
                    more.insert("room_session_id".to_owned(), id.into());
                }
                EngineInterface::room_state_update(to, &room_id, state.number(), code, more).await
            }
            EngineEvent::RoomUsers { room_id, update, users } => {
                let users = users.iter().map(values::user).collect();
                EngineInterface::room_user_update(to, &room_id, update.number(), users).await
            }
            EngineEvent::RoomStreams { room_id, update, streams } => {
                let streams = streams.iter().map(|(stream, reason)| values::stream(stream, *reason)).collect();
                let more = values::extended(update.word(), "", "");
                EngineInterface::room_stream_update(to, &room_id, update.number(), streams, more).await
            }
            EngineEvent::OnlineCount { room_id, count } => {
                EngineInterface::room_online_user_count_update(to, &room_id, count).await
            }
            EngineEvent::RoomExtraInfo { room_id, info } => {
                let list = vec![(info.key, info.value, info.user_id, info.time_ms)];
                EngineInterface::room_extra_info_update(to, &room_id, list).await
            }
            EngineEvent::StreamExtraInfo { room_id, streams } => {
                EngineInterface::room_stream_extra_info_update(to, &room_id, streams).await
            }
            EngineEvent::TokenWillExpire { room_id, remaining_s } => {
                EngineInterface::room_token_will_expire(to, &room_id, remaining_s).await
            }
            EngineEvent::PublisherState { stream_id, state, code, message } => {
                let more = values::extended(state.word(), reason_of(code), &message);
                EngineInterface::publisher_state_update(to, &stream_id, state.number(), code, more).await
            }
            EngineEvent::PublisherQuality { channel, stream_id, quality } => {
                if let Some(shared) = self.publishers.get(u64::from(channel.unsigned_abs())) {
                    look(shared).quality.clone_from(&quality);
                }
                EngineInterface::publisher_quality_update(to, &stream_id, values::quality(&quality)).await
            }
            EngineEvent::PublisherFirstFrame { stream_id, kind } => {
                EngineInterface::publisher_first_frame(to, &stream_id, kind.word()).await
            }
            EngineEvent::PlayerState { stream_id, state, code, message } => {
                let more = values::extended(state.word(), reason_of(code), &message);
                EngineInterface::player_state_update(to, &stream_id, state.number(), code, more).await
            }
            EngineEvent::PlayerQuality { number, stream_id, quality } => {
                if let Some(shared) = self.players.get(number) {
                    look(shared).quality.clone_from(&quality);
                }
                EngineInterface::player_quality_update(to, &stream_id, values::quality(&quality)).await
            }
            EngineEvent::PlayerFirstFrame { stream_id, kind } => {
                EngineInterface::player_first_frame(to, &stream_id, kind.word()).await
            }
            EngineEvent::PlayerMedia { stream_id, event } => {
                EngineInterface::player_media_event(to, &stream_id, event.number()).await
            }
            EngineEvent::PlayerVideoSize { stream_id, width, height } => {
                let pixels = |size| i32::try_from(size).unwrap_or(i32::MAX);
                EngineInterface::player_video_size_changed(to, &stream_id, pixels(width), pixels(height)).await
            }
            EngineEvent::RemoteDevice { stream_id, camera, state } => {
                let device = if camera { "camera" } else { "microphone" };
                EngineInterface::remote_device_state_update(to, &stream_id, device, state.number()).await
            }
            EngineEvent::DeviceFailed { kind, number, error } => {
                let exception = ZegoDeviceException::from_code(error.code).number();
                let path = values::path(number.map(names::device_path));
                EngineInterface::local_device_exception(to, kind, exception, path, &error.message).await
            }
            EngineEvent::Recording { stream_id, state, code, message, duration_ms, size, .. } => {
                let mut more = values::extended(state.word(), reason_of(code), &message);
                more.insert("duration_ms".to_owned(), duration_ms.into());
                more.insert("size".to_owned(), size.into());
                EngineInterface::recording_state_update(to, &stream_id, state.number(), code, more).await
            }
            EngineEvent::Broadcast(Message { room_id, from, text, id, sent_at_ms }) => {
                let message = vec![(text, from.id, from.name, id, sent_at_ms)];
                EngineInterface::broadcast_message_received(to, &room_id, message).await
            }
            EngineEvent::Barrage(Message { room_id, from, text, id, sent_at_ms }) => {
                let message = vec![(text, from.id, from.name, id.to_string(), sent_at_ms)];
                EngineInterface::barrage_message_received(to, &room_id, message).await
            }
            EngineEvent::Command(Message { room_id, from, text, .. }) => {
                EngineInterface::custom_command_received(to, &room_id, &from.id, &from.name, &text).await
            }
            EngineEvent::NetworkMode(mode) => {
                let server = to.connection().object_server();
                let interface = server.interface::<_, EngineInterface>(names::ROOT_PATH).await?;
                interface.get().await.network_mode_changed(to).await?;
                EngineInterface::network_mode_is(to, mode.word()).await
            }
            // Objects and the engine were handled before.
            EngineEvent::Engine(_)
            | EngineEvent::Room(_)
            | EngineEvent::Stream(_)
            | EngineEvent::Publisher(_)
            | EngineEvent::Player(_)
            | EngineEvent::Device(_)
            | EngineEvent::View(_) => Ok(()),
        }
    }
}

/// The word for a code: the key of its row in the error table.
fn reason_of(code: i32) -> &'static str {
    zego_protocol::error::lookup(code).map_or("", |row| row.key)
}
