//! `play`, `stop`, `layer`, `preview`.

use std::collections::HashMap;

use futures_util::StreamExt;
use serde_json::{Value, json};
use zbus::Variant;
use zbus::proxy::CacheProperties;
use zego_protocol::proxy::PlayerProxy;
use zego_protocol::state::ZegoPlayerState;

use super::ended;
use super::room::token;
use super::view::{Prepared, give_canvas, reader_gone};
use crate::arguments::{BusChoice, Layer, Play, Preview, ViewTarget};
use crate::bus::{Daemon, Object};
use crate::failure::Failure;
use crate::output::Output;

/// Kinds of view that `play` and `preview` make and that stay when they end; `stop` and `preview --stop` free them.
const LASTING_KINDS: [&str; 3] = ["kms", "v4l2", "null"];

/// Plays a stream. With a pipe it stays until it is ended or the reader is gone, because the view does not outlive it.
pub async fn play(bus: &BusChoice, options: Play, output: Output) -> Result<(), Failure> {
    let prepared = Prepared::of(&options.canvas.view, output)?;
    // A token for rooms is not for whoever else.
    let whep_token = match &options.whep_token {
        Some(given) => token(Some(given))?,
        None => None,
    };
    let daemon = Daemon::on(bus).await?;
    let mut changes = daemon.engine.receive_player_state_update().await?;
    let shown = prepared.create(&daemon).await?;
    let view = shown.made;
    let mut config = HashMap::new();
    give_canvas(&mut config, &options.canvas, options.mirror.then_some(true), shown)?;
    if let Some(room) = &options.room {
        config.insert("room_id", Variant::new(room.as_str()));
    }
    if options.audio_only {
        config.insert("video", Variant::new(false));
    }
    if options.video_only {
        config.insert("audio", Variant::new(false));
        // Without a view a player plays sound only, unless it is told.
        config.insert("video", Variant::new(true));
    }
    if let Some(url) = &options.whep_url {
        config.insert("whep_url", Variant::new(url.as_str()));
    }
    if let Some(token) = &whep_token {
        config.insert("whep_token", Variant::new(token.as_str()));
    }
    if prepared.is_pipe() {
        config.insert("bind_to_caller", Variant::new(true));
    }
    let started = daemon.engine.start_playing(&options.stream, config).await;
    let (path, state) = match started {
        Ok(started) => started,
        Err(error) => {
            destroy(&daemon, view).await;
            return Err(error.into());
        }
    };
    let state = ZegoPlayerState::from_number(state).map_or("unknown", ZegoPlayerState::word);
    let object = json!({"player": path.as_str(), "stream_id": options.stream, "state": state, "view_id": shown.view});
    let line = match state {
        "playing" => format!("Playing stream {}.", options.stream),
        _ => format!("Stream {} is waited for.", options.stream),
    };
    tell(&options.canvas.view, &object, line, output)?;
    if !prepared.is_pipe() {
        return Ok(());
    }
    output.remark("Ctrl-C ends it.");
    let stopped = async {
        while let Some(change) = changes.next().await {
            let Ok(arguments) = change.args() else { continue };
            if *arguments.stream_id() == options.stream && *arguments.state() == ZegoPlayerState::NoPlay.number() {
                break;
            }
        }
    };
    tokio::select! {
        outcome = ended() => outcome?,
        () = reader_gone(&prepared) => {}
        () = stopped => {
            destroy(&daemon, view).await;
            return Ok(());
        }
        outcome = gone(&daemon) => return outcome,
    }
    let stopped = daemon.engine.stop_playing(&options.stream).await;
    destroy(&daemon, view).await;
    Ok(stopped?)
}

/// Stops playing a stream, and frees the view that `play` made for it.
pub async fn stop(daemon: &Daemon, stream: &str, output: Output) -> Result<(), Failure> {
    let objects = daemon.objects().await?;
    let view = objects
        .find("Player", "stream_id", stream)
        .and_then(|player| objects.find("View", "path", &player.text("view")))
        .filter(|view| LASTING_KINDS.contains(&view.text("kind").as_str()))
        .and_then(|view| view.fields.get("view_id").and_then(Value::as_u64));
    daemon.engine.stop_playing(stream).await?;
    destroy(daemon, view).await;
    output.answer(&json!({"stream_id": stream}), || format!("Stream {stream} is not played any more."))
}

/// Chooses between the sizes of a played stream.
pub async fn layer(daemon: &Daemon, stream: &str, layer: Layer, output: Output) -> Result<(), Failure> {
    let objects = daemon.objects().await?;
    let player = objects.find("Player", "stream_id", stream);
    let player = player.ok_or_else(|| Failure::refused(1_004_011, &format!("Stream '{stream}' is not played here")))?;
    let player = PlayerProxy::builder(&daemon.connection)
        .path(player.path.as_str())
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    player.set_video_layer(layer.word()).await?;
    output.answer(&json!({"stream_id": stream, "layer": layer.word()}), || {
        format!("Of stream {stream} the size is {}.", layer.word())
    })
}

/// The views of `preview` that stay when it ends, and that show the preview of some channel now.
async fn preview_views(daemon: &Daemon) -> Result<Vec<u64>, Failure> {
    let objects = daemon.objects().await?;
    let shows =
        |view: &&Object| view.text("source") == "preview" && LASTING_KINDS.contains(&view.text("kind").as_str());
    Ok(objects.of("View").filter(shows).filter_map(|view| view.fields.get("view_id").and_then(Value::as_u64)).collect())
}

/// Starts the preview, or stops it and frees the view that was made for it.
pub async fn preview(bus: &BusChoice, options: Preview, output: Output) -> Result<(), Failure> {
    if options.stop {
        let daemon = Daemon::on(bus).await?;
        let before = preview_views(&daemon).await?;
        daemon.engine.stop_preview(options.channel).await?;
        let still = preview_views(&daemon).await?;
        for view in before.into_iter().filter(|view| !still.contains(view)) {
            destroy(&daemon, Some(view)).await;
        }
        return output.answer(&json!({"channel": options.channel}), || "The preview has ended.".to_string());
    }
    let prepared = Prepared::of(&options.canvas.view, output)?;
    let daemon = Daemon::on(bus).await?;
    let shown = prepared.create(&daemon).await?;
    let view = shown.made;
    let mut canvas = HashMap::from([("channel", Variant::new(options.channel))]);
    give_canvas(&mut canvas, &options.canvas, options.no_mirror.then_some(false), shown)?;
    if let Err(error) = daemon.engine.start_preview(canvas).await {
        destroy(&daemon, view).await;
        return Err(error.into());
    }
    let object = json!({"channel": options.channel, "view_id": shown.view});
    tell(&options.canvas.view, &object, "The preview runs.".to_string(), output)?;
    if !prepared.is_pipe() {
        return Ok(());
    }
    output.remark("Ctrl-C ends it.");
    tokio::select! {
        outcome = ended() => outcome?,
        () = reader_gone(&prepared) => {}
        outcome = gone(&daemon) => return outcome,
    }
    let stopped = daemon.engine.stop_preview(options.channel).await;
    destroy(&daemon, view).await;
    Ok(stopped?)
}

/// The answer; on standard error when standard output carries the picture.
fn tell(view: &ViewTarget, object: &Value, line: String, output: Output) -> Result<(), Failure> {
    if matches!(view, ViewTarget::Pipe(path) if path.as_os_str() == "-") {
        output.remark(&line);
        return Ok(());
    }
    output.answer(object, || line)
}

/// Frees a view. It may be gone already, with its player or with the daemon; then there is nothing to free.
async fn destroy(daemon: &Daemon, view: Option<u64>) {
    if let Some(view) = view {
        let _ = daemon.engine.destroy_platform_view(view).await;
    }
}

/// Waits until the daemon leaves the bus.
async fn gone(daemon: &Daemon) -> Result<(), Failure> {
    let mut owners = daemon.engine.inner().receive_owner_changed().await?;
    while let Some(owner) = owners.next().await {
        if owner.is_none() {
            break;
        }
    }
    Err(Failure::NoDaemon("zegod has ended".to_string()))
}
