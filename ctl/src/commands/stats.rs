//! `stats`.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::MissedTickBehavior;

use super::ended;
use super::status::{size, summary};
use crate::bus::{Daemon, Object, Objects};
use crate::failure::Failure;
use crate::output::{Output, Shown};
use crate::table::Table;
use crate::value::number;

/// Shows how publishing and playing go, once or every second.
pub async fn stats(daemon: &Daemon, watch: bool, output: Output) -> Result<(), Failure> {
    if !watch {
        let objects = daemon.objects().await?;
        return output.answer(&figures(&objects), || lines(&objects));
    }
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let watching = async {
        let mut shown = Shown::default();
        loop {
            seconds.tick().await;
            let objects = daemon.objects().await?;
            output.replace(&mut shown, &figures(&objects), || lines(&objects))?;
        }
    };
    tokio::select! {
        outcome = watching => outcome,
        outcome = ended() => outcome,
    }
}

fn figures(objects: &Objects) -> Value {
    let entries = |kind| -> Value {
        let keys = ["stream_id", "channel", "room_id", "state", "width", "height", "video_codec", "quality"];
        objects.of(kind).map(|object| summary(object, &keys)).collect()
    };
    json!({"publishers": entries("Publisher"), "players": entries("Player")})
}

fn lines(objects: &Objects) -> String {
    let mut table = Table::new(&["STREAM", "WAY", "STATE", "SIZE", "FPS", "VIDEO", "AUDIO", "RTT", "LOSS"]);
    for (kind, way, fps) in [("Publisher", "out", "video_send_fps"), ("Player", "in", "video_render_fps")] {
        for object in objects.of(kind) {
            table.row(row(object, way, fps));
        }
    }
    table.lines("Nothing is published or played.")
}

fn row(object: &Object, way: &str, fps: &str) -> [String; 9] {
    let nothing = Map::new();
    let quality = object.fields.get("quality").and_then(Value::as_object).unwrap_or(&nothing);
    let with = |text: String, unit: &str| if text.is_empty() { text } else { format!("{text} {unit}") };
    let loss = quality.get("packet_lost_rate").and_then(Value::as_f64);
    [
        object.text("stream_id"),
        way.to_string(),
        object.text("state"),
        size(&object.fields),
        number(quality, fps, 1),
        with(number(quality, "video_kbps", 0), "kbit/s"),
        with(number(quality, "audio_kbps", 0), "kbit/s"),
        with(number(quality, "rtt", 0), "ms"),
        loss.map_or_else(String::new, |loss| format!("{:.1} %", loss * 100.0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_measured_is_left_blank() {
        let Value::Object(fields) = json!({
            "stream_id": "s", "state": "playing", "width": 640, "height": 480,
            "quality": {"video_render_fps": 29.97, "video_kbps": 812.4, "packet_lost_rate": 0.0125},
        }) else {
            panic!("an object is needed")
        };
        let object = Object { kind: "Player".into(), path: "/org/zegod1/player/1".into(), fields };
        let row = row(&object, "in", "video_render_fps");
        assert_eq!(row, ["s", "in", "playing", "640x480", "30.0", "812 kbit/s", "", "", "1.2 %"].map(String::from));
    }
}
