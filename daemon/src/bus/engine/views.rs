//! The verbs about views and the preview.

use zbus::Fd;
use zbus::message::Header;

use super::{EngineInterface, Given, Outcome};
use crate::bus::callers::Bound;
use crate::bus::requests;
use crate::bus::values::Dictionary;

impl EngineInterface {
    pub(super) async fn preview(&self, canvas: Given) -> Outcome<()> {
        let (canvas, channel) = requests::preview(canvas)?;
        self.engine.start_preview(canvas, channel).await
    }

    pub(super) async fn create_texture(
        &self,
        header: &Header<'_>,
        width: u32,
        height: u32,
        options: Given,
    ) -> Outcome<u64> {
        let (format, bind) = requests::texture(options)?;
        let id = self.engine.create_texture(width, height, format).await?;
        if bind {
            self.callers.bind(header, Bound::Texture(id)).await;
        }
        Ok(id)
    }

    pub(super) async fn texture(&self, view_id: u64) -> Outcome<(Fd<'static>, Fd<'static>, Dictionary)> {
        let opened = self.engine.open_texture(view_id).await?;
        let layout = requests::layout(&opened.layout);
        Ok((Fd::from(opened.memory), Fd::from(opened.wakeup), layout))
    }

    pub(super) async fn create_view(&self, header: &Header<'_>, target: Given) -> Outcome<u64> {
        let (target, bind) = requests::platform_target(target)?;
        let id = self.engine.create_platform_view(target).await?;
        if bind {
            self.callers.bind(header, Bound::View(id)).await;
        }
        Ok(id)
    }
}
