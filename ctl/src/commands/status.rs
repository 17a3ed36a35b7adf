//! `status`.

use serde_json::{Map, Value, json};

use crate::bus::{Daemon, Objects};
use crate::failure::Failure;
use crate::output::Output;
use crate::table::Table;
use crate::value::{flag, text};

/// Shows the engine, its rooms, what is published and played, and the views.
pub async fn status(daemon: &Daemon, output: Output) -> Result<(), Failure> {
    let engine = daemon.engine_properties().await?;
    let objects = daemon.objects().await?;
    let mut object = engine.clone();
    for (key, kind) in [("rooms", "Room"), ("publishers", "Publisher"), ("players", "Player"), ("views", "View")] {
        object.insert(key.to_string(), objects.list(kind));
    }
    output.answer(&Value::Object(object), || lines(&engine, &objects))
}

fn lines(engine: &Map<String, Value>, objects: &Objects) -> String {
    let app = match text(engine, "app_id").as_str() {
        "" | "0" => "no AppID".to_string(),
        id => format!("AppID {id}"),
    };
    let mut parts = vec![format!("zegod {}: engine {}, {app}", text(engine, "version"), text(engine, "state"))];
    for (key, what) in [("microphone_muted", "microphone muted"), ("speaker_muted", "speaker muted")] {
        if flag(engine, key) {
            parts.push(what.to_string());
        }
    }
    let mut rooms = Table::new(&["ROOM", "STATE", "REASON", "USER", "OTHERS", "SERVER"]);
    for room in objects.of("Room") {
        let others = room.fields.get("users").and_then(Value::as_array).map_or(0, Vec::len).to_string();
        let [id, state, reason, user, server] =
            ["room_id", "state", "reason", "user_id", "server"].map(|key| room.text(key));
        rooms.row([id, state, reason, user, others, server]);
    }
    let mut publishers = Table::new(&["PUBLISHED", "CHANNEL", "STATE", "SIZE", "CODEC", "ENCODER"]);
    for publisher in objects.of("Publisher") {
        let [id, channel, state, codec, encoder] =
            ["stream_id", "channel", "state", "video_codec", "video_encoder"].map(|key| publisher.text(key));
        publishers.row([id, channel, state, size(&publisher.fields), codec, encoder]);
    }
    let mut players = Table::new(&["PLAYED", "STATE", "SIZE", "CODEC", "DECODER", "VOLUME"]);
    for player in objects.of("Player") {
        let [id, state, codec, decoder, volume] =
            ["stream_id", "state", "video_codec", "video_decoder", "volume"].map(|key| player.text(key));
        players.row([id, state, size(&player.fields), codec, decoder, volume]);
    }
    let mut views = Table::new(&["VIEW", "KIND", "SIZE", "SHOWS", "PICTURES"]);
    for view in objects.of("View") {
        let [id, kind, source, shown] = ["view_id", "kind", "source", "frames_shown"].map(|key| view.text(key));
        views.row([id, kind, size(&view.fields), source, shown]);
    }
    let tables = [
        rooms.lines("No room is logged in."),
        publishers.lines("Nothing is published."),
        players.lines("Nothing is played."),
        views.lines("There is no view."),
    ];
    format!("{}\n\n{}", parts.join(", "), tables.join("\n\n"))
}

/// `640x480`; empty as long as it is not known.
pub fn size(fields: &Map<String, Value>) -> String {
    match (text(fields, "width").as_str(), text(fields, "height").as_str()) {
        ("" | "0", _) | (_, "" | "0") => String::new(),
        (width, height) => format!("{width}x{height}"),
    }
}

/// The entry of `status` and `stats` that names a stream's state.
pub fn summary(object: &crate::bus::Object, keys: &[&str]) -> Value {
    let fields = keys.iter().filter_map(|key| object.fields.get(*key).map(|value| ((*key).to_string(), value.clone())));
    json!(fields.collect::<Map<String, Value>>())
}
