//! `devices`, `use`.

use serde_json::{Map, Value, json};
use zbus::ObjectPath;

use crate::bus::Daemon;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::Table;
use crate::value;

/// Lists cameras, microphones and speakers.
pub async fn list(daemon: &Daemon, output: Output) -> Result<(), Failure> {
    let objects = daemon.objects().await?;
    let mut table = Table::new(&["KIND", "STATE", "DEFAULT", "ID", "NAME", "VOLUME", "FORMATS"]);
    for device in objects.of("Device") {
        let owner = device.text("busy_owner");
        let state = device.text("state");
        table.row([
            device.text("kind"),
            if owner.is_empty() { state } else { format!("{state} ({owner})") },
            if value::flag(&device.fields, "default") { "yes".to_string() } else { String::new() },
            device.text("device_id"),
            device.text("name"),
            loudness(&device.fields),
            formats(&device.fields),
        ]);
    }
    output.answer(&json!({"devices": objects.list("Device")}), || {
        table.lines("There is no camera, microphone or speaker that zegod may use.")
    })
}

/// `100`, `muted`; empty for a camera.
fn loudness(fields: &Map<String, Value>) -> String {
    match (value::flag(fields, "muted"), fields.get("volume").and_then(Value::as_i64)) {
        (true, _) => "muted".to_string(),
        (false, Some(volume)) if volume >= 0 => volume.to_string(),
        (false, _) => String::new(),
    }
}

/// What a device offers, in short: `YUYV 640x480@30, MJPG 1280x720@30`, or `8-48 kHz, 1-2 ch`.
fn formats(fields: &Map<String, Value>) -> String {
    let list = fields.get("formats").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let words: Vec<String> = list.iter().filter_map(Value::as_object).map(format).collect();
    words.join(", ")
}

fn format(format: &Map<String, Value>) -> String {
    let number = |key: &str| format.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let range = |least: f64, most: f64| if least == most { format!("{least}") } else { format!("{least}-{most}") };
    if format.contains_key("pixel_format") {
        let rate = match number("fps") {
            0.0 => String::new(),
            fps => format!("@{:.0}", fps),
        };
        return format!("{} {}x{}{rate}", value::text(format, "pixel_format"), number("width"), number("height"));
    }
    let rates = range(number("min_rate") / 1000.0, number("max_rate") / 1000.0);
    format!("{rates} kHz, {} ch", range(number("min_channels"), number("max_channels")))
}

/// Uses another device for what it is.
pub async fn select(daemon: &Daemon, device_id: &str, channel: i32, output: Output) -> Result<(), Failure> {
    let objects = daemon.objects().await?;
    let device = objects
        .find("Device", "device_id", device_id)
        .ok_or_else(|| Failure::refused(1_006_002, &format!("There is no device '{device_id}'")))?;
    let path = ObjectPath::try_from(device.path.as_str())?;
    daemon.engine.use_device(&path, channel).await?;
    let kind = device.text("kind");
    output.answer(&json!({"device_id": device_id, "kind": kind, "channel": channel}), || {
        format!("The {kind} is {}.", device.text("name"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_volumes_are_told_in_short() {
        let short = |value: Value| formats(value.as_object().unwrap());
        let camera = json!({"pixel_format": "MJPG", "width": 1280, "height": 720, "fps": 29.97});
        let other = json!({"pixel_format": "H264", "width": 64, "height": 48, "fps": 0.0});
        assert_eq!(short(json!({"formats": [camera, other]})), "MJPG 1280x720@30, H264 64x48");
        let card = json!({"min_rate": 8000, "max_rate": 48000, "min_channels": 1, "max_channels": 1});
        assert_eq!(short(json!({"formats": [card]})), "8-48 kHz, 1 ch");
        assert_eq!(short(json!({"formats": []})), "");
        let loudness = |volume, muted| loudness(json!({"volume": volume, "muted": muted}).as_object().unwrap());
        assert_eq!(
            (loudness(70, false), loudness(70, true), loudness(-1, false)),
            ("70".into(), "muted".into(), String::new())
        );
    }
}
