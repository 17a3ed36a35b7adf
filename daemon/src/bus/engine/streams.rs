//! The verbs about what is published, played and recorded.

use zbus::message::Header;
use zbus::{Fd, OwnedObjectPath};
use zego_protocol::names;

use super::{EngineInterface, Given, Outcome};
use crate::bus::callers::Bound;
use crate::bus::{requests, values};

impl EngineInterface {
    pub(super) async fn publish(
        &self,
        header: &Header<'_>,
        stream_id: String,
        config: Given,
    ) -> Outcome<(OwnedObjectPath, i32)> {
        let (publish, bind) = requests::publish(stream_id, config)?;
        let (channel, stream_id) = (publish.channel, publish.stream_id.clone());
        let state = self.engine.publish(publish).await?;
        if bind {
            self.callers.bind(header, Bound::Publisher(channel, stream_id)).await;
        }
        Ok((values::path(Some(names::publisher_path(u64::from(channel.unsigned_abs())))), state.number()))
    }

    pub(super) async fn play(
        &self,
        header: &Header<'_>,
        stream_id: String,
        config: Given,
    ) -> Outcome<(OwnedObjectPath, i32)> {
        let (play, bind) = requests::play(stream_id, config)?;
        let (number, state) = self.engine.play(play).await?;
        if bind {
            self.callers.bind(header, Bound::Player(number)).await;
        }
        Ok((values::path(Some(names::player_path(number))), state.number()))
    }

    pub(super) async fn snapshot(&self, stream_id: &str, options: Given) -> Outcome<Fd<'static>> {
        Ok(Fd::from(self.engine.snapshot(stream_id, requests::snapshot(options)?).await?))
    }

    pub(super) async fn record(
        &self,
        header: &Header<'_>,
        stream_id: String,
        file: Fd<'_>,
        options: Given,
    ) -> Outcome<()> {
        let number = self.engine.record(requests::record(stream_id, file, options)?).await?;
        self.callers.bind(header, Bound::Recording(number)).await;
        Ok(())
    }
}
