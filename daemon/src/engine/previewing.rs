//! The verbs about the preview.

use tokio::sync::oneshot;
use zego_protocol::id;

use super::channel::ChannelInput;
use super::core::Core;
use super::error::EngineError;
use super::handle::Engine;
use super::publishing::{Outcome, in_time};
use super::request::CanvasRequest;

impl Core {
    pub(super) fn stop_all_previews(&mut self) {
        let freed: Vec<Option<u64>> = self
            .channels
            .values_mut()
            .filter(|entry| entry.previewing)
            .map(|entry| {
                entry.previewing = false;
                let (reply, _) = oneshot::channel();
                entry.channel.tell(ChannelInput::StopPreview(reply));
                entry.preview.take()
            })
            .collect();
        for view in freed {
            self.view_is_free(view);
        }
    }

    fn start_preview(&mut self, canvas: &CanvasRequest, channel: i32) -> Result<Outcome<()>, EngineError> {
        id::channel(channel)?;
        self.ensure_created();
        let view = self.view_for(canvas, true)?;
        let shown = view.as_ref().map(|view| view.id());
        if let Some(id) = shown {
            self.leave_view(id);
        }
        let entry = self.channel(channel)?;
        entry.previewing = true;
        let freed = std::mem::replace(&mut entry.preview, shown).filter(|old| Some(*old) != shown);
        let (opened, is_open) = oneshot::channel();
        entry.channel.tell(ChannelInput::Preview(view, opened));
        self.view_is_free(freed);
        if let Some(view) = shown {
            self.view_shows(view, "preview");
        }
        Ok(is_open)
    }

    fn preview_ended(&mut self, channel: i32) {
        if let Some(entry) = self.channels.get_mut(&channel) {
            entry.previewing = false;
            let freed = entry.preview.take();
            self.view_is_free(freed);
            self.rest_if_idle();
        }
    }
}

impl Engine {
    /// StartPreview: returns when the camera is open.
    ///
    /// # Errors
    /// No such view or channel, a camera that fails.
    pub async fn start_preview(&self, canvas: CanvasRequest, channel: i32) -> Result<(), EngineError> {
        let outcome = self.with(move |core| core.start_preview(&canvas, channel)).await?;
        let result = in_time(outcome).await.map(|_| ());
        if result.is_err() {
            self.with(move |core| {
                core.preview_ended(channel);
                Ok(())
            })
            .await?;
        }
        result
    }

    /// StopPreview; none running is fine.
    ///
    /// # Errors
    /// No such channel.
    pub async fn stop_preview(&self, channel: i32) -> Result<(), EngineError> {
        id::channel(channel)?;
        self.ask(move |core, reply| {
            core.preview_ended(channel);
            match core.channels.get(&channel) {
                Some(entry) => entry.channel.tell(ChannelInput::StopPreview(reply)),
                None => {
                    let _ = reply.send(Ok(()));
                }
            }
        })
        .await
    }
}
