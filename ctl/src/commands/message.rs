//! `message`.

use serde_json::json;

use crate::bus::Daemon;
use crate::failure::Failure;
use crate::output::Output;

/// Sends a broadcast message, a barrage message, or a custom command to some users.
pub async fn send(
    daemon: &Daemon,
    room: &str,
    text: &str,
    to: &[String],
    barrage: bool,
    output: Output,
) -> Result<(), Failure> {
    let (kind, id) = if !to.is_empty() {
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        daemon.engine.send_custom_command(room, text, &to).await?;
        ("custom_command", json!(null))
    } else if barrage {
        ("barrage", json!(daemon.engine.send_barrage_message(room, text).await?))
    } else {
        ("broadcast", json!(daemon.engine.send_broadcast_message(room, text).await?))
    };
    output.answer(&json!({"room_id": room, "kind": kind, "message_id": id}), || format!("Sent to room {room}."))
}
