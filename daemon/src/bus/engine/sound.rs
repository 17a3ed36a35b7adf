//! The verbs about sound levels: a caller without a name, on a connection without a bus, can be told nothing.

use zbus::message::Header;

use super::{EngineInterface, Given, Outcome};
use crate::bus::callers::Bound;
use crate::bus::requests;

impl EngineInterface {
    pub(super) async fn start_levels(&self, header: &Header<'_>, options: Given) -> Outcome<()> {
        let options = requests::sound_levels(options)?;
        let listener = self.engine.listen_to_levels().await?;
        if let Some(caller) = header.sender() {
            self.levels.start(caller.to_owned().into(), options, listener);
            self.callers.bind(header, Bound::SoundLevels).await;
        }
        Ok(())
    }

    pub(super) async fn stop_levels(&self, header: &Header<'_>) -> Outcome<()> {
        if let Some(caller) = header.sender() {
            self.levels.stop(&caller.to_owned().into());
        }
        Ok(())
    }
}
