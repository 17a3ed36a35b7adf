//! Sound level monitors: each caller who asked is told, and nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};
use zbus::Connection;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::object_server::SignalEmitter;
use zego_protocol::names;

use super::engine::EngineInterface;
use crate::engine::{LevelListener, SoundLevels};

/// What a caller wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LevelOptions {
    /// How often.
    pub(super) interval: Duration,
    /// Voice or noise, too.
    pub(super) voice: bool,
}

/// The monitors that run, one for each caller.
#[derive(Clone)]
pub(super) struct LevelMonitors {
    connection: Connection,
    running: Arc<Mutex<HashMap<OwnedUniqueName, AbortHandle>>>,
}

impl LevelMonitors {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, running: Arc::default() }
    }

    /// Tells a caller from now on; what it asked for before is over.
    pub(super) fn start(&self, caller: OwnedUniqueName, options: LevelOptions, listener: LevelListener) {
        let to = SignalEmitter::from_parts(
            self.connection.clone(),
            zbus::ObjectPath::from_static_str_unchecked(names::ROOT_PATH),
        )
        .set_destination(BusName::Unique(caller.clone().into()));
        let task = tokio::spawn(async move {
            let mut ticks = interval(options.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let Some(levels) = listener.read().await else { return };
                if let Err(error) = tell(&to, options.voice, levels).await {
                    log::debug!("sound levels could not be told: {error}");
                }
            }
        });
        if let Some(before) = self.running().insert(caller, task.abort_handle()) {
            before.abort();
        }
    }

    /// Tells a caller no more; one who never asked is fine.
    pub(super) fn stop(&self, caller: &OwnedUniqueName) {
        if let Some(task) = self.running().remove(caller) {
            task.abort();
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<OwnedUniqueName, AbortHandle>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn tell(to: &SignalEmitter<'_>, voice: bool, levels: SoundLevels) -> zbus::Result<()> {
    EngineInterface::captured_sound_level_update(to, levels.captured.level).await?;
    let remote = levels.remote.iter().map(|(stream, sound)| (stream.clone(), sound.level)).collect();
    EngineInterface::remote_sound_level_update(to, remote).await?;
    if voice {
        EngineInterface::captured_voice_activity_update(to, levels.captured.voice).await?;
        let remote = levels.remote.into_iter().map(|(stream, sound)| (stream, sound.voice)).collect();
        EngineInterface::remote_voice_activity_update(to, remote).await?;
    }
    Ok(())
}
