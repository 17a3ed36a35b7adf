//! `devices`, `use`.

use serde_json::json;
use zbus::ObjectPath;

use crate::bus::Daemon;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::Table;
use crate::value;

/// Lists cameras, microphones and speakers.
pub async fn list(daemon: &Daemon, output: Output) -> Result<(), Failure> {
    let objects = daemon.objects().await?;
    let mut table = Table::new(&["KIND", "STATE", "DEFAULT", "ID", "NAME"]);
    for device in objects.of("Device") {
        let owner = device.text("busy_owner");
        let state = device.text("state");
        table.row([
            device.text("kind"),
            if owner.is_empty() { state } else { format!("{state} ({owner})") },
            if value::flag(&device.fields, "default") { "yes".to_string() } else { String::new() },
            device.text("device_id"),
            device.text("name"),
        ]);
    }
    output.answer(&json!({"devices": objects.list("Device")}), || {
        table.lines("There is no camera, microphone or speaker that zegod may use.")
    })
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
