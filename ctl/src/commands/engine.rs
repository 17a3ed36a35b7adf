//! `create-engine`, `destroy-engine`, `video-config`, `audio-config`, `diagnostics`: the engine and its settings.

use std::collections::HashMap;

use serde_json::{Value, json};
use zbus::Variant;

use crate::arguments::{AudioConfig, CreateEngine, VideoConfig};
use crate::bus::Daemon;
use crate::failure::Failure;
use crate::output::Output;
use crate::table::Table;
use crate::value::{properties, text};

/// Makes the engine; one that is there stays as it is.
pub async fn create(daemon: &Daemon, options: &CreateEngine, output: Output) -> Result<(), Failure> {
    let mut profile = HashMap::new();
    give(&mut profile, "app_id", options.app_id);
    give(&mut profile, "scenario", options.scenario);
    give(&mut profile, "room_mode", options.several_rooms.then_some(1_i32));
    daemon.engine.create_engine(profile).await?;
    output.answer(&json!({"state": "created"}), || "The engine is there.".to_string())
}

/// Ends everything.
pub async fn destroy(daemon: &Daemon, output: Output) -> Result<(), Failure> {
    daemon.engine.destroy_engine().await?;
    output.answer(&json!({"state": "destroyed"}), || "The engine is gone, and everything that ran.".to_string())
}

/// Sets how a channel's pictures are captured and encoded.
pub async fn video(daemon: &Daemon, options: &VideoConfig, output: Output) -> Result<(), Failure> {
    let mut config = HashMap::new();
    give(&mut config, "preset", options.preset);
    give(&mut config, "capture_width", options.capture_size.map(|size| size.width));
    give(&mut config, "capture_height", options.capture_size.map(|size| size.height));
    give(&mut config, "encode_width", options.size.map(|size| size.width));
    give(&mut config, "encode_height", options.size.map(|size| size.height));
    give(&mut config, "fps", options.fps);
    give(&mut config, "bitrate", options.bitrate);
    give(&mut config, "key_frame_interval", options.key_frame_interval);
    daemon.engine.set_video_config(config, options.channel).await?;
    output.answer(&json!({"channel": options.channel}), || format!("Channel {} sends so.", options.channel))
}

/// Sets how a channel's sound is encoded.
pub async fn audio(daemon: &Daemon, options: &AudioConfig, output: Output) -> Result<(), Failure> {
    let mut config = HashMap::new();
    give(&mut config, "preset", options.preset);
    give(&mut config, "bitrate", options.bitrate);
    give(&mut config, "channels", options.channels);
    daemon.engine.set_audio_config(config, options.channel).await?;
    output.answer(&json!({"channel": options.channel}), || format!("Channel {} sounds so.", options.channel))
}

/// Shows what a bug report needs.
pub async fn diagnostics(daemon: &Daemon, output: Output) -> Result<(), Failure> {
    let found = properties(&daemon.engine.get_diagnostics().await?);
    let mut table = Table::new(&["WHAT", "IS"]);
    for (key, value) in &found {
        let list = value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
        table.row([key.clone(), list.unwrap_or_else(|| text(&found, key))]);
    }
    output.answer(&json!(found), || table.lines("zegod says nothing."))
}

/// Adds an option that was given.
fn give<'a, T: Into<Variant<'a>>>(options: &mut HashMap<&'a str, Variant<'a>>, key: &'a str, value: Option<T>) {
    if let Some(value) = value {
        options.insert(key, value.into());
    }
}
