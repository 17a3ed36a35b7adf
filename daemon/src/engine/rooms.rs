//! The verbs about rooms.

use std::time::Duration;

use tokio::sync::oneshot;
use zego_protocol::id;
use zego_protocol::state::ZegoRoomState;

use super::core::{Core, RoomEntry};
use super::error::EngineError;
use super::event::{RemoteStream, User};
use super::handle::{Engine, Reply};
use super::message;
use super::request::{Login, MessageKind, StreamLists};
use super::room::{RoomInput, RoomSetup, start};
use super::token;
use crate::config::is_room_server;
use crate::rtc::{IceServer, NetworkConfig};
use crate::signal::JoinOptions;

/// How long a call waits for its outcome; after it, the outcome is told by signals.
pub(super) const PATIENCE: Duration = Duration::from_secs(14);
/// How many rooms can be logged in at once, where several can.
const ROOM_MAX: usize = 5;

/// A login on its way: the room's number, and its outcome when it is known.
type LoggingIn = (u64, oneshot::Receiver<Result<ZegoRoomState, EngineError>>);

impl Core {
    fn login(&mut self, login: Login) -> Result<LoggingIn, EngineError> {
        id::room_id(&login.room_id)?;
        id::user_id(&login.user_id)?;
        id::user_name(&login.user_name)?;
        let server = if login.server.is_empty() { self.config.room.server.clone() } else { login.server.clone() };
        if server.is_empty() {
            let message = "No room server is known; give 'server' a ws:// or wss:// URL, or set [room] server";
            return Err(EngineError::argument(message));
        }
        if !is_room_server(&server) {
            return Err(EngineError::argument(&format!("'{server}' is not a room server; give a ws:// or wss:// URL")));
        }
        self.ensure_created();
        self.check_room_is_free(&login)?;
        if login.max_members != 0 {
            log::warn!("room '{}': max_member_count is the server's to keep, and is not sent", login.room_id);
        }
        if login.token.is_empty() {
            let detail = format!("Room '{}' needs a token and none was given", login.room_id);
            return Err(EngineError::new(1_002_067, &detail));
        }
        // What is wrong with the token shows before a server is asked, but as a login that failed.
        let now = token::unix_now_s();
        let refusal = token::check_login(&login.token, self.info.app_id, &login.user_id, &login.room_id, now).err();
        let number = self.next_number();
        let user_name = if login.user_name.is_empty() { login.user_id.clone() } else { login.user_name.clone() };
        let (outcome, outcome_is) = oneshot::channel();
        let room_id = login.room_id.clone();
        let ended = self.later(move |core| {
            if core.rooms.get(&room_id).is_some_and(|entry| entry.room.number == number) {
                core.rooms.remove(&room_id);
            }
            core.rest_if_idle();
        });
        let setup = RoomSetup {
            number,
            options: JoinOptions {
                server,
                token: login.token.clone(),
                room_id: login.room_id.clone(),
                user_id: login.user_id.clone(),
                user_name,
                network: self.network(),
            },
            refusal,
            user_notices: login.user_notices,
            retry_limit: Duration::from_secs(u64::from(self.config.room.retry_time_s)),
            news: self.news.clone(),
            stream_numbers: self.stream_numbers.clone(),
            outcome,
            ended,
        };
        let (room, task) = start(setup);
        let entry = RoomEntry { room, user_id: login.user_id, token: login.token, task };
        self.rooms.insert(login.room_id, entry);
        Ok((number, outcome_is))
    }

    fn check_room_is_free(&self, login: &Login) -> Result<(), EngineError> {
        let room_id = &login.room_id;
        if self.rooms.contains_key(room_id) {
            return Err(EngineError::new(1_002_001, &format!("Room '{room_id}' is logged in already")));
        }
        let Some((other, entry)) = self.rooms.iter().next() else { return Ok(()) };
        if !self.several_rooms {
            let detail = format!("Room '{other}' is logged in, and the engine takes one room at a time");
            return Err(EngineError::new(1_002_001, &detail));
        }
        if entry.user_id != login.user_id {
            let detail = format!("Room '{other}' is logged in as user '{}', not '{}'", entry.user_id, login.user_id);
            return Err(EngineError::new(1_002_018, &detail));
        }
        if self.rooms.len() >= ROOM_MAX {
            return Err(EngineError::new(1_002_037, &format!("{ROOM_MAX} rooms are logged in")));
        }
        Ok(())
    }

    fn network(&self) -> NetworkConfig {
        let network = &self.config.network;
        let server = |entry: &crate::config::IceServerEntry| IceServer {
            urls: entry.urls.clone(),
            username: entry.username.clone(),
            credential: entry.credential.clone(),
        };
        NetworkConfig {
            ice_servers: network.ice_servers.iter().map(server).collect(),
            interfaces: network.interfaces.clone(),
        }
    }

    /// LogoutRoom; "" = all rooms. `keep_preview` for SwitchRoom.
    fn logout(&mut self, room_id: &str, keep_preview: bool, reply: Reply<()>) {
        let left: Vec<RoomEntry> = if room_id.is_empty() {
            std::mem::take(&mut self.rooms).into_values().collect()
        } else {
            match self.rooms.remove(room_id) {
                Some(entry) => vec![entry],
                None => {
                    let error = EngineError::new(1_002_002, &format!("Room '{room_id}' is not logged in"));
                    let _ = reply.send(Err(error));
                    return;
                }
            }
        };
        if self.rooms.is_empty() && !keep_preview {
            self.stop_all_previews();
        }
        let mut waits = Vec::new();
        for entry in &left {
            waits.append(&mut self.end_streams_of(entry.room.number));
        }
        tokio::spawn(async move {
            // What is published and played ends first, then the room.
            for wait in waits {
                let _ = tokio::time::timeout(Duration::from_secs(2), wait).await;
            }
            for entry in left {
                entry.room.tell(RoomInput::Logout);
                let _ = tokio::time::timeout(PATIENCE, entry.task).await;
            }
            let _ = reply.send(Ok(()));
        });
    }

    /// The entry of a room; "" = the only one. `missing` and `empty` are the codes for several rooms and none named.
    pub(super) fn room_entry(&self, room_id: &str, missing: i32) -> Result<&RoomEntry, EngineError> {
        if self.rooms.is_empty() {
            return Err(EngineError::new(1_000_002, "No room is logged in"));
        }
        if !room_id.is_empty() {
            return self
                .rooms
                .get(room_id)
                .ok_or_else(|| EngineError::new(1_002_002, &format!("Room '{room_id}' is not logged in")));
        }
        let mut entries = self.rooms.values();
        match (entries.next(), entries.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(EngineError::new(missing, "Several rooms are logged in and none was named")),
        }
    }

    fn send(&mut self, kind: MessageKind, room_id: &str, text: String, to: Vec<String>, reply: Reply<u64>) {
        let sent = || -> Result<_, EngineError> {
            id::room_id(room_id)?;
            message::check(&text)?;
            for user in &to {
                id::user_id(user)?;
            }
            Ok(self.room_entry(room_id, 1_002_002)?.room.clone())
        };
        match sent() {
            Ok(room) => room.tell(RoomInput::Send { kind, text, to, reply }),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }
}

impl Engine {
    /// LoginRoom: the number of the room's object and the state that was reached. With no answer for a while, or
    /// without `wait`, the state is "connecting" and the login goes on.
    ///
    /// # Errors
    /// Illegal ids, a room that is logged in already, a refused token, a full room, an unreachable server.
    pub async fn login(&self, login: Login) -> Result<(u64, ZegoRoomState), EngineError> {
        let wait = login.wait;
        let (number, outcome) = self.with(move |core| core.login(login)).await?;
        if !wait {
            return Ok((number, ZegoRoomState::Connecting));
        }
        match tokio::time::timeout(PATIENCE, outcome).await {
            Ok(Ok(outcome)) => outcome.map(|state| (number, state)),
            Ok(Err(_)) => Err(EngineError::internal("The room ended without an outcome")),
            Err(_) => Ok((number, ZegoRoomState::Connecting)),
        }
    }

    /// LogoutRoom: publishing and playing in it end; "" = all rooms, also if there is none.
    ///
    /// # Errors
    /// 1002002 for a room that is not logged in.
    pub async fn logout(&self, room_id: &str) -> Result<(), EngineError> {
        let room_id = room_id.to_owned();
        self.ask(move |core, reply| core.logout(&room_id, false, reply)).await
    }

    /// Logs out of the room of this object, if it is still that login.
    ///
    /// # Errors
    /// None but an engine that has ended.
    pub async fn end_room(&self, number: u64) -> Result<(), EngineError> {
        self.ask(move |core, reply| {
            let found = core.rooms.iter().find(|(_, entry)| entry.room.number == number).map(|(id, _)| id.clone());
            match found {
                Some(room_id) => core.logout(&room_id, false, reply),
                None => {
                    let _ = reply.send(Ok(()));
                }
            }
        })
        .await
    }

    /// SwitchRoom: publishing and playing end, the preview goes on. Who we are stays the same.
    ///
    /// # Errors
    /// As [`Engine::logout`] and [`Engine::login`].
    pub async fn switch_room(&self, from: &str, to: Login) -> Result<(u64, ZegoRoomState), EngineError> {
        let from = from.to_owned();
        id::room_id(&from)?;
        id::room_id(&to.room_id)?;
        if to.token.is_empty() {
            return Err(EngineError::new(
                1_002_067,
                &format!("Room '{}' needs a token and none was given", to.room_id),
            ));
        }
        let old = from.clone();
        let user_id = self
            .with(move |core| {
                let missing = || EngineError::new(1_002_002, &format!("Room '{old}' is not logged in"));
                Ok(core.rooms.get(&old).ok_or_else(missing)?.user_id.clone())
            })
            .await?;
        self.ask(move |core, reply| core.logout(&from, true, reply)).await?;
        self.login(Login { user_id, ..to }).await
    }

    /// RenewToken: it is used from the next login, come-back or publishing on.
    ///
    /// # Errors
    /// A token that cannot be for this room.
    pub async fn renew_token(&self, room_id: &str, token: &str) -> Result<(), EngineError> {
        let (room_id, token) = (room_id.to_owned(), token.to_owned());
        self.with(move |core| {
            let app_id = core.info.app_id;
            let missing = || EngineError::new(1_002_002, &format!("Room '{room_id}' is not logged in"));
            let entry = core.rooms.get_mut(&room_id).ok_or_else(missing)?;
            token::check_login(&token, app_id, &entry.user_id, &room_id, token::unix_now_s())?;
            entry.token.clone_from(&token);
            entry.room.tell(RoomInput::RenewToken(token));
            Ok(())
        })
        .await
    }

    /// GetRoomStreamList.
    ///
    /// # Errors
    /// 1002002 for a room that is not logged in.
    pub async fn room_streams(&self, room_id: &str) -> Result<StreamLists, EngineError> {
        let room_id = room_id.to_owned();
        let (others, published) = self
            .with(move |core| {
                let entry = core.room_entry(&room_id, 1_002_002)?;
                let (reply, others) = oneshot::channel();
                entry.room.tell(RoomInput::Streams(reply));
                let user = User { id: entry.user_id.clone(), name: String::new() };
                let number = entry.room.number;
                let published: Vec<RemoteStream> = core
                    .channels
                    .values()
                    .filter_map(|entry| entry.publishing.as_ref().filter(|published| published.room == number))
                    .map(|published| RemoteStream {
                        stream_id: published.stream_id.clone(),
                        user: user.clone(),
                        extra_info: published.extra_info.clone(),
                        has_audio: true,
                        has_video: true,
                        audio_muted: false,
                        video_muted: false,
                        size: (0, 0),
                    })
                    .collect();
                Ok((others, published))
            })
            .await?;
        let others = others.await.map_err(|_| EngineError::new(1_002_002, "The room was left meanwhile"))?;
        Ok(StreamLists { published, others })
    }

    /// SendBroadcastMessage, SendBarrageMessage, SendCustomCommand: the number of the message.
    ///
    /// # Errors
    /// 1009001, 1009002 for the text, 1009015 when it comes too soon, 1009010 when it cannot be sent.
    pub async fn send_message(
        &self,
        kind: MessageKind,
        room_id: &str,
        text: &str,
        to: Vec<String>,
    ) -> Result<u64, EngineError> {
        let (room_id, text) = (room_id.to_owned(), text.to_owned());
        self.ask(move |core, reply| core.send(kind, &room_id, text, to, reply)).await
    }
}
