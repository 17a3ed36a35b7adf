//! The speaker that plays everything.

use std::sync::{Arc, Mutex, PoisonError};

use super::capture::blocking;
use super::core::Core;
use super::devices::DeviceTable;
use super::error::EngineError;
use super::handle::{Reply, Task};
use crate::devices::registry::DeviceSource;
use crate::devices::speaker::SpeakerSink;
use crate::media::MediaEvent;
use crate::media::playback::{Playback, SpeakerUse};

impl Core {
    /// The speaker, prepared when it is needed first.
    pub(super) fn playback(&mut self) -> Playback {
        if let Some(playback) = &self.playback {
            return playback.clone();
        }
        let tasks = self.tasks.clone();
        let events = Arc::new(move |event| {
            if let MediaEvent::DeviceFailed(error) = event {
                let error = EngineError::from(&error);
                let task: Task = Box::new(move |core| core.speaker_failed(error));
                let _ = tasks.send(task);
            }
        });
        let playback = Playback::start(self.configured.speaker(), events, shows_use(self.table.clone()));
        playback.set_muted(self.info.speaker_muted);
        playback.set_suspended(self.info.call_active);
        playback.set_gain(self.table.gain(&DeviceSource::Speaker(playback.sink())));
        self.playback = Some(playback.clone());
        playback
    }

    /// Plays on another speaker from now on.
    pub(super) fn use_speaker(&mut self, sink: SpeakerSink, reply: Reply<()>) {
        let (playback, table) = (self.playback(), self.table.clone());
        tokio::spawn(async move {
            let gain = table.gain(&DeviceSource::Speaker(sink.clone()));
            let switched = blocking(move || playback.switch(sink).map(|()| playback.set_gain(gain))).await;
            let _ = reply.send(switched);
        });
    }

    fn speaker_failed(&mut self, error: EngineError) {
        if let Some(playback) = &self.playback {
            let source = DeviceSource::Speaker(playback.sink());
            self.device_failed(&source, error);
        }
    }
}

/// Lets the device object show whether the speaker is open.
fn shows_use(table: Arc<DeviceTable>) -> SpeakerUse {
    let held = Mutex::new(None);
    Arc::new(move |sink| {
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = held.take() {
            table.set_in_use(&before, false);
        }
        if let Some(sink) = sink {
            let source = DeviceSource::Speaker(sink.clone());
            table.set_in_use(&source, true);
            *held = Some(source);
        }
    })
}
