//! The verbs about rooms.

use std::time::Duration;

use tokio::sync::{oneshot, watch};
use zego_protocol::id;
use zego_protocol::state::ZegoRoomState;
use zego_protocol::token::peek;

use super::channel::ChannelInput;
use super::configured::trust;
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
use crate::signal::{JoinOptions, Membership, Search, Session, SignalError};

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
            let message = "No room server is known; give 'server' a ws:// or wss:// URL or auto, or set [room] server";
            return Err(EngineError::argument(message));
        }
        if !is_room_server(&server) {
            return Err(not_a_server(&server));
        }
        self.ensure_created();
        self.check_room_is_free(&login)?;
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
        self.leaving.retain(|room| room.has_changed().is_ok());
        let after = self.leaving.clone();
        let (left, leaving) = watch::channel(());
        let room_id = login.room_id.clone();
        let ended = self.later(move |core| {
            if core.rooms.get(&room_id).is_some_and(|entry| entry.room.number == number) {
                core.leaving.extend(core.rooms.remove(&room_id).map(|entry| entry.left));
            }
            core.rest_if_idle();
        });
        let app_id = match self.info.app_id {
            0 => peek(&login.token).map(|claims| claims.app_id),
            number => Some(number.to_string()),
        };
        let options = JoinOptions {
            server,
            search: Search::new(app_id, trust(&self.config).is_pinned()),
            token: login.token,
            room_id: login.room_id.clone(),
            user_id: login.user_id,
            user_name,
            membership: Membership {
                login: format!("{:016x}", token::random()),
                returns: false,
                quiet: !login.user_notices,
                max_members: login.max_members,
            },
            network: self.network_config(),
        };
        let setup = RoomSetup {
            number,
            options: options.clone(),
            refusal,
            user_notices: login.user_notices,
            retry_limit: Duration::from_secs(u64::from(self.config.room.retry_time_s)),
            news: self.news.clone(),
            stream_numbers: self.stream_numbers.clone(),
            after,
            left,
            outcome,
            ended,
        };
        let (room, task) = start(setup);
        let entry = RoomEntry { room, options, user_notices: login.user_notices, task, left: leaving };
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
        let user_id = &entry.options.user_id;
        if *user_id != login.user_id {
            let detail = format!("Room '{other}' is logged in as user '{user_id}', not '{}'", login.user_id);
            return Err(EngineError::new(1_002_018, &detail));
        }
        if self.rooms.len() >= ROOM_MAX {
            return Err(EngineError::new(1_002_037, &format!("{ROOM_MAX} rooms are logged in")));
        }
        Ok(())
    }

    /// The login that SwitchRoom makes after it has left `from`, checked as far as it can be before.
    fn switched(&self, from: &str, to: Login) -> Result<Login, EngineError> {
        let missing = || EngineError::new(1_002_002, &format!("Room '{from}' is not logged in"));
        let entry = self.rooms.get(from).ok_or_else(missing)?;
        if self.rooms.contains_key(&to.room_id) {
            return Err(EngineError::new(1_002_001, &format!("Room '{}' is logged in already", to.room_id)));
        }
        if to.token.is_empty() {
            let detail = format!("Room '{}' needs a token and none was given", to.room_id);
            return Err(EngineError::new(1_002_067, &detail));
        }
        let old = &entry.options;
        let server = if to.server.is_empty() { old.server.clone() } else { to.server.clone() };
        if !is_room_server(&server) {
            return Err(not_a_server(&server));
        }
        Ok(Login {
            user_id: old.user_id.clone(),
            user_name: old.user_name.clone(),
            server,
            user_notices: to.user_notices || entry.user_notices,
            ..to
        })
    }

    pub(super) fn network_config(&self) -> NetworkConfig {
        let network = &self.config.network;
        let server = |entry: &crate::config::IceServerEntry| IceServer {
            urls: entry.urls.clone(),
            username: entry.username.clone(),
            credential: entry.credential.clone(),
        };
        NetworkConfig {
            ice_servers: network.ice_servers.iter().map(server).collect(),
            interfaces: network.interfaces.clone(),
            link_local: None,
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
        self.leaving.extend(left.iter().map(|entry| entry.left.clone()));
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

fn not_a_server(server: &str) -> EngineError {
    EngineError::argument(&format!("'{server}' is not a room server; give a ws:// or wss:// URL, or auto"))
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

    /// SwitchRoom: publishing and playing end, the preview goes on. Who we are stays the same, and where no server is given, so
    /// does that.
    ///
    /// # Errors
    /// As [`Engine::logout`] and [`Engine::login`]; a mistake in the arguments leaves the old room as it is.
    pub async fn switch_room(&self, from: &str, to: Login) -> Result<(u64, ZegoRoomState), EngineError> {
        let from = from.to_owned();
        id::room_id(&from)?;
        id::room_id(&to.room_id)?;
        let old = from.clone();
        let to = self.with(move |core| core.switched(&old, to)).await?;
        self.ask(move |core, reply| core.logout(&from, true, reply)).await?;
        self.login(to).await
    }

    /// RenewToken: it is used from the next login, come-back or publishing on.
    ///
    /// # Errors
    /// A token that is not good for this room; 1002082 for one without the right to publish, where there was one.
    pub async fn renew_token(&self, room_id: &str, token: &str) -> Result<(), EngineError> {
        let (room_id, token) = (room_id.to_owned(), token.to_owned());
        let (number, options) = self
            .with(move |core| {
                let app_id = core.info.app_id;
                let missing = || EngineError::new(1_002_002, &format!("Room '{room_id}' is not logged in"));
                let entry = core.rooms.get(&room_id).ok_or_else(missing)?;
                token::check_login(&token, app_id, &entry.options.user_id, &room_id, token::unix_now_s())?;
                token::check_renewal(&entry.options.token, &token, &room_id)?;
                Ok((entry.room.number, JoinOptions { token, ..entry.options.clone() }))
            })
            .await?;
        let what = format!("Room '{}'", options.room_id);
        match Session::renew_token(&options).await {
            Ok(()) => {}
            Err(SignalError::Refused { code, message }) => {
                return Err(EngineError::told(code, &format!("{what}: {message}")));
            }
            // A server that is away, or has no such address, checks it when we come back.
            Err(error) => log::info!("{what}: the server could not be asked about the new token: {error}"),
        }
        self.with(move |core| {
            // A room that was left meanwhile needs no token.
            if let Some(entry) = core.rooms.values_mut().find(|entry| entry.room.number == number) {
                entry.options.token.clone_from(&options.token);
                entry.room.tell(RoomInput::RenewToken(options.token));
            }
            Ok(())
        })
        .await
    }

    /// SetRoomExtraInfo: returns when the server has taken it.
    ///
    /// # Errors
    /// 1002014 to 1002017 for key and value, 1002002 for the room, 1002071 when it comes too often, 1002052 without a connection,
    /// 1000006 on a server that does not let the token do that.
    pub async fn set_room_extra_info(&self, room_id: &str, key: &str, value: &str) -> Result<(), EngineError> {
        id::room_id(room_id)?;
        id::room_extra_info_key(key)?;
        id::room_extra_info_value(value)?;
        let (room_id, key, value) = (room_id.to_owned(), key.to_owned(), value.to_owned());
        self.ask(move |core, reply| match core.room_entry(&room_id, 1_002_002) {
            Ok(entry) => entry.room.tell(RoomInput::SetExtraInfo { key, value, reply }),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
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
                let user = User { id: entry.options.user_id.clone(), name: entry.options.user_name.clone() };
                let number = entry.room.number;
                let mut published = Vec::new();
                for entry in core.channels.values() {
                    let Some(stream) = entry.publishing.as_ref().filter(|stream| stream.room == number) else {
                        continue;
                    };
                    let stream = RemoteStream {
                        stream_id: stream.stream_id.clone(),
                        user: user.clone(),
                        extra_info: stream.extra_info.clone(),
                        ..RemoteStream::default()
                    };
                    let (reply, kinds) = oneshot::channel();
                    entry.channel.tell(ChannelInput::Kinds(reply));
                    published.push((stream, kinds));
                }
                Ok((others, published))
            })
            .await?;
        let others = others.await.map_err(|_| EngineError::new(1_002_002, "The room was left meanwhile"))?;
        let mut streams = Vec::new();
        for (stream, kinds) in published {
            // One that has ended meanwhile is not published any more.
            if let Ok(Ok((has_audio, has_video))) = kinds.await {
                streams.push(RemoteStream { has_audio, has_video, ..stream });
            }
        }
        let published = streams;
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
