//! How loud it is: what the sound level monitors are told.

use std::collections::BTreeMap;

use super::core::Core;
use super::error::EngineError;
use super::handle::Engine;
use crate::clock::Monotonic;
use crate::media::meter::{Seat, SoundReading};

/// How loud everything is now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SoundLevels {
    /// What the microphone hears; silence while it is muted or closed.
    pub captured: SoundReading,
    /// Each stream that is played, as it was received.
    pub remote: BTreeMap<String, SoundReading>,
}

/// Somebody who wants to know how loud it is: sound is measured as long as one lives.
pub struct LevelListener {
    engine: Engine,
    _seat: Seat,
}

impl LevelListener {
    /// How loud it is now; nothing when the engine is destroyed.
    pub async fn read(&self) -> Option<SoundLevels> {
        self.engine.with(|core| Ok(core.sound_levels(Monotonic::now()))).await.unwrap_or(None)
    }
}

impl Core {
    fn sound_levels(&self, now: Monotonic) -> Option<SoundLevels> {
        if !self.info.created {
            return None;
        }
        let captured = if self.info.microphone_muted { SoundReading::default() } else { self.captures.sound(now) };
        let remote = self.players.iter().map(|(stream_id, entry)| (stream_id.clone(), entry.meter.reading(now)));
        Some(SoundLevels { captured, remote: remote.collect() })
    }
}

impl Engine {
    /// StartSoundLevelMonitor: sound is measured until the listener is dropped.
    ///
    /// # Errors
    /// None but an engine that has ended.
    pub async fn listen_to_levels(&self) -> Result<LevelListener, EngineError> {
        let engine = self.clone();
        self.with(move |core| {
            core.ensure_created();
            Ok(LevelListener { engine, _seat: core.audience.join() })
        })
        .await
    }
}
