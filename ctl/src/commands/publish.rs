//! `publish`, `unpublish`, `stream-info`.

use std::collections::HashMap;

use serde_json::json;
use zbus::Variant;
use zego_protocol::state::ZegoPublisherState;

use super::room::token;
use crate::arguments::Publish;
use crate::bus::Daemon;
use crate::failure::Failure;
use crate::output::Output;

/// Publishes a stream.
pub async fn publish(daemon: &Daemon, options: Publish, output: Output) -> Result<(), Failure> {
    let mut config = HashMap::from([("channel", Variant::new(options.channel))]);
    if let Some(room) = &options.room {
        config.insert("room_id", Variant::new(room.as_str()));
    }
    // A token for rooms is not for whoever else.
    let whip_token = match &options.whip_token {
        Some(given) => token(Some(given))?,
        None => None,
    };
    if let Some(url) = &options.whip_url {
        config.insert("whip_url", Variant::new(url.as_str()));
    }
    if let Some(token) = &whip_token {
        config.insert("whip_token", Variant::new(token.as_str()));
    }
    if options.audio_only {
        config.insert("video", Variant::new(false));
    }
    if options.video_only {
        config.insert("audio", Variant::new(false));
    }
    if let Some(info) = &options.info {
        config.insert("extra_info", Variant::new(info.as_str()));
    }
    let (path, state) = daemon.engine.start_publishing(&options.stream, config).await?;
    let state = ZegoPublisherState::from_number(state).map_or("unknown", ZegoPublisherState::word);
    let object = json!({
        "publisher": path.as_str(), "stream_id": options.stream, "channel": options.channel, "state": state,
    });
    output.answer(&object, || match state {
        "publishing" => format!("Publishing stream {}.", options.stream),
        _ => format!("Stream {} is not published yet; zegod goes on trying.", options.stream),
    })
}

/// Ends publishing.
pub async fn unpublish(daemon: &Daemon, stream: Option<String>, output: Output) -> Result<(), Failure> {
    let id = stream.unwrap_or_default();
    daemon.engine.stop_publishing(&id).await?;
    output.answer(&json!({"stream_id": id}), || match id.as_str() {
        "" => "Nothing is published on the main channel any more.".to_string(),
        id => format!("Stream {id} is not published any more."),
    })
}

/// Changes the text of a stream that is published.
pub async fn stream_info(daemon: &Daemon, stream: &str, text: &str, output: Output) -> Result<(), Failure> {
    daemon.engine.set_stream_extra_info(stream, text).await?;
    output.answer(&json!({"stream_id": stream, "extra_info": text}), || format!("Stream {stream} has a new text."))
}
