//! `audio`.

use std::collections::HashMap;

use serde_json::json;
use zbus::Variant;

use crate::arguments::Audio;
use crate::bus::Daemon;
use crate::failure::Failure;
use crate::output::Output;

/// Sets how the sound of a publish channel is encoded.
pub async fn audio(daemon: &Daemon, options: &Audio, output: Output) -> Result<(), Failure> {
    let Audio { preset, bitrate, channels, channel } = *options;
    let mut config = HashMap::new();
    if let Some(preset) = preset {
        config.insert("preset", Variant::new(preset));
    }
    if let Some(bitrate) = bitrate {
        config.insert("bitrate", Variant::new(bitrate));
    }
    if let Some(channels) = channels {
        config.insert("channels", Variant::new(channels));
    }
    daemon.engine.set_audio_config(config, channel).await?;
    let object = json!({"channel": channel, "preset": preset, "bitrate": bitrate, "channels": channels});
    output.answer(&object, || format!("The sound of publish channel {channel} is set."))
}
