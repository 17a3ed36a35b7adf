//! Telephone calls: while there is one, the audio devices are somebody else's.

use super::core::Core;
use super::error::EngineError;
use super::handle::{Engine, Task};

impl Core {
    fn set_call_active(&mut self, active: bool) {
        if self.info.call_active == active {
            return;
        }
        log::info!("{}", if active { "a telephone call has the sound now" } else { "the telephone call is over" });
        if let Some(playback) = &self.playback {
            playback.set_suspended(active);
        }
        let (captures, tasks) = (self.captures.clone(), self.tasks.clone());
        tokio::spawn(async move {
            captures.suspend_microphones(active).await;
            let task: Task = Box::new(|core| core.tell_channels(false, false));
            let _ = tasks.send(task);
        });
        self.change_info(|info| info.call_active = active);
    }
}

impl Engine {
    /// Releases microphone and speaker while a telephone call needs them (`true`), and takes them up again after it. Publishing
    /// and playing go on meanwhile, without sound.
    ///
    /// # Errors
    /// None but an engine that has ended.
    pub async fn set_call_active(&self, active: bool) -> Result<(), EngineError> {
        self.with(move |core| {
            core.set_call_active(active);
            Ok(())
        })
        .await
    }
}
