//! The verbs about the engine itself, its encoders and devices.

use zbus::ObjectPath;

use super::{EngineInterface, Given, Outcome};
use crate::bus::requests;
use crate::bus::values::Dictionary;

impl EngineInterface {
    pub(super) async fn create(&self, profile: Given) -> Outcome<()> {
        self.engine.create(requests::profile(profile)?).await
    }

    pub(super) async fn set_video(&self, config: Given, channel: i32) -> Outcome<()> {
        self.engine.set_video(channel, requests::video(config)?).await
    }

    pub(super) async fn set_audio(&self, config: Given, channel: i32) -> Outcome<()> {
        self.engine.set_audio(channel, requests::audio(config)?).await
    }

    pub(super) async fn use_object(&self, device: &ObjectPath<'_>, channel: i32) -> Outcome<()> {
        self.engine.use_device(requests::device_number(device)?, channel).await
    }

    pub(super) async fn diagnostics(&self) -> Outcome<Dictionary> {
        let found = self.engine.diagnostics().await?;
        Ok(found.into_iter().map(|(key, value)| (key.to_owned(), requests::diagnostic(value))).collect())
    }
}
