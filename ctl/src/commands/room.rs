//! `login`, `logout`, `switch`, `renew-token`, `extra-info`, `users`, `streams`.

use std::collections::HashMap;
use std::io::Read;

use serde_json::{Value, json};
use zbus::Variant;

use crate::arguments::Login;
use crate::bus::{Daemon, room_word};
use crate::failure::Failure;
use crate::output::Output;
use crate::table::Table;
use crate::value;

/// Logs in to a room.
pub async fn login(daemon: &Daemon, options: Login, output: Output) -> Result<(), Failure> {
    let token = token(options.token.as_deref())?;
    let mut config = HashMap::from([("is_user_status_notify", Variant::new(true))]);
    if let Some(token) = &token {
        config.insert("token", Variant::new(token.as_str()));
    }
    if let Some(server) = &options.server {
        config.insert("server", Variant::new(server.as_str()));
    }
    if options.max_members != 0 {
        config.insert("max_member_count", Variant::new(options.max_members));
    }
    if options.no_wait {
        config.insert("wait", Variant::new(false));
    }
    let name = options.name.as_deref().unwrap_or_default();
    let outcome = daemon.engine.login_room(&options.room, &options.user, name, config).await;
    let (path, state) = outcome.map_err(|error| {
        let failure = Failure::from(error);
        if token.is_some() || failure.code() != Some(1_002_067) {
            return failure;
        }
        failure.with_hint(|| {
            format!(
                "Make one with `zegoctl token --app-id N --secret S --user {} --room {}`, and give it with --token or \
                 in the environment variable ZEGO_TOKEN.",
                options.user, options.room
            )
        })
    })?;
    let state = room_word(state);
    let object = json!({"room": path.as_str(), "room_id": options.room, "user_id": options.user, "state": state});
    output.answer(&object, || match state {
        "connected" => format!("Logged in to room {} as {}.", options.room, options.user),
        _ => format!("Room {} is still {state}; zegod goes on trying. `zegoctl status` shows it.", options.room),
    })
}

/// A token as it was given: in words, on standard input, or by the environment.
pub(super) fn token(given: Option<&str>) -> Result<Option<String>, Failure> {
    match given {
        Some("-") => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| Failure::local(format!("The token cannot be read from standard input: {error}")))?;
            Ok(Some(text.trim().to_string()))
        }
        Some(token) => Ok(Some(token.to_string())),
        None => Ok(std::env::var("ZEGO_TOKEN").ok().filter(|token| !token.is_empty())),
    }
}

/// Logs out of a room or of all.
pub async fn logout(daemon: &Daemon, room: Option<String>, output: Output) -> Result<(), Failure> {
    let id = room.unwrap_or_default();
    daemon.engine.logout_room(&id).await?;
    output.answer(&json!({"room_id": id}), || match id.as_str() {
        "" => "Logged out of every room.".to_string(),
        id => format!("Logged out of room {id}."),
    })
}

/// Leaves one room for another.
pub async fn switch(
    daemon: &Daemon,
    from: &str,
    to: &str,
    given: Option<&str>,
    server: Option<&str>,
    wait: bool,
    output: Output,
) -> Result<(), Failure> {
    let mut config = HashMap::from([("wait", Variant::new(wait))]);
    let token = token(given)?;
    if let Some(token) = &token {
        config.insert("token", Variant::new(token.as_str()));
    }
    if let Some(server) = server {
        config.insert("server", Variant::new(server));
    }
    let (path, state) = daemon.engine.switch_room(from, to, config).await?;
    let state = room_word(state);
    output.answer(&json!({"room": path.as_str(), "room_id": to, "state": state}), || match state {
        "connected" => format!("Left room {from}, logged in to room {to}."),
        _ => format!("Left room {from}. Room {to} is still {state}; zegod goes on trying."),
    })
}

/// Replaces a room's token.
pub async fn renew_token(daemon: &Daemon, room: &str, given: Option<&str>, output: Output) -> Result<(), Failure> {
    let token = token(given)?.unwrap_or_default();
    daemon.engine.renew_token(room, &token).await?;
    output.answer(&json!({"room_id": room}), || format!("Room {room} has a new token."))
}

/// Sets a room's extra information.
pub async fn extra_info(daemon: &Daemon, room: &str, key: &str, value: &str, output: Output) -> Result<(), Failure> {
    daemon.engine.set_room_extra_info(room, key, value).await?;
    output.answer(&json!({"room_id": room, "key": key, "value": value}), || format!("Room {room}: {key} is {value}."))
}

/// Lists the other people in the rooms.
pub async fn users(daemon: &Daemon, room: Option<String>, output: Output) -> Result<(), Failure> {
    let objects = daemon.objects().await?;
    if let Some(id) = &room {
        objects.room(id)?;
    }
    let mut users = Vec::new();
    for object in objects.of("Room").filter(|object| room.as_ref().is_none_or(|id| object.text("room_id") == *id)) {
        for user in object.fields.get("users").and_then(Value::as_array).into_iter().flatten() {
            users.push(json!({"room_id": object.text("room_id"), "user_id": user[0], "user_name": user[1]}));
        }
    }
    let mut table = Table::new(&["ROOM", "USER", "NAME"]);
    for user in users.iter().filter_map(Value::as_object) {
        table.row(["room_id", "user_id", "user_name"].map(|key| value::text(user, key)));
    }
    output.answer(&json!({"users": users}), || table.lines("Nobody else is there."))
}

/// Lists the streams of other people in the rooms.
pub async fn streams(daemon: &Daemon, room: Option<String>, output: Output) -> Result<(), Failure> {
    let objects = daemon.objects().await?;
    if let Some(id) = &room {
        objects.room(id)?;
    }
    let mut streams = Vec::new();
    let mut table = Table::new(&["STREAM", "ROOM", "USER", "NAME", "SOUND", "PICTURE"]);
    let here = |object: &&crate::bus::Object| room.as_ref().is_none_or(|id| object.text("room_id") == *id);
    for object in objects.of("Stream").filter(here) {
        let media =
            |has: &str, muted: &str| match (value::flag(&object.fields, has), value::flag(&object.fields, muted)) {
                (false, _) => "no".to_string(),
                (true, false) => "yes".to_string(),
                (true, true) => "muted".to_string(),
            };
        table.row([
            object.text("stream_id"),
            object.text("room_id"),
            object.text("user_id"),
            object.text("user_name"),
            media("has_audio", "audio_muted"),
            media("has_video", "video_muted"),
        ]);
        streams.push(Value::Object(object.fields.clone()));
    }
    output.answer(&json!({"streams": streams}), || table.lines("Nobody else publishes."))
}
