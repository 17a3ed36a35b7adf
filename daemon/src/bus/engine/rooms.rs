//! The verbs about rooms.

use zbus::OwnedObjectPath;
use zbus::message::Header;
use zego_protocol::names;
use zego_protocol::state::ZegoRoomState;

use super::{EngineInterface, Given, Outcome};
use crate::bus::callers::Bound;
use crate::bus::requests;
use crate::bus::values::{self, StreamValue};
use crate::engine::{EngineError, RemoteStream};

impl EngineInterface {
    pub(super) async fn log_in(
        &self,
        header: &Header<'_>,
        room_id: String,
        user_id: String,
        user_name: String,
        config: Given,
    ) -> Outcome<(OwnedObjectPath, i32)> {
        let (login, bind) = requests::login("LoginRoom", room_id, user_id, user_name, config)?;
        Ok(self.entered(header, bind, self.engine.login(login).await?).await)
    }

    pub(super) async fn switch(
        &self,
        header: &Header<'_>,
        from_room_id: &str,
        to_room_id: String,
        config: Given,
    ) -> Outcome<(OwnedObjectPath, i32)> {
        let (login, bind) = requests::login("SwitchRoom", to_room_id, String::new(), String::new(), config)?;
        Ok(self.entered(header, bind, self.engine.switch_room(from_room_id, login).await?).await)
    }

    /// A room's object and state; bound to the caller if that was asked for.
    async fn entered(
        &self,
        header: &Header<'_>,
        bind: bool,
        (number, state): (u64, ZegoRoomState),
    ) -> (OwnedObjectPath, i32) {
        if bind {
            self.callers.bind(header, Bound::Room(number)).await;
        }
        (values::path(Some(names::room_path(number))), state.number())
    }

    /// The streams of ours, if they are asked for, and those of others.
    pub(super) async fn room_streams(&self, room_id: &str, list: i32) -> Outcome<(Vec<StreamValue>, Vec<StreamValue>)> {
        if !(0..=1).contains(&list) {
            return Err(EngineError::argument(&format!("type {list} does not exist; use 0 or 1")));
        }
        let lists = self.engine.room_streams(room_id).await?;
        let all = |streams: &[RemoteStream]| streams.iter().map(|stream| values::stream(stream, None)).collect();
        let published = if list == 1 { all(&lists.published) } else { Vec::new() };
        Ok((published, all(&lists.others)))
    }
}
