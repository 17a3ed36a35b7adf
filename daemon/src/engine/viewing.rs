//! The verbs about views.

use std::sync::Arc;

use super::core::Core;
use super::error::EngineError;
use super::event::{Change, EngineEvent, ViewInfo};
use super::handle::Engine;
use super::request::{CanvasRequest, PlatformTarget};
use crate::views::{Canvas, OpenedTexture, TextureFormat, View, ViewKind, ViewMode};

impl Core {
    /// The view of a canvas, set up as the canvas says; `preview` are mirrored unless it says otherwise.
    pub(super) fn view_for(&self, canvas: &CanvasRequest, preview: bool) -> Result<Option<Arc<dyn View>>, EngineError> {
        let mode = ViewMode::from_number(canvas.mode).ok_or_else(|| {
            EngineError::argument(&format!("view_mode {} does not exist; use 0 (fit), 1 (fill) or 2", canvas.mode))
        })?;
        if canvas.background > 0x00ff_ffff {
            return Err(EngineError::argument("background_color is out of range; use 0xRRGGBB"));
        }
        let Some(id) = canvas.view else { return Ok(None) };
        let view = self.views.get(id)?;
        let mirror = canvas.mirror.unwrap_or(preview);
        view.set_canvas(Canvas { mode, background: canvas.background, mirror });
        Ok(Some(view))
    }

    /// Takes note of what a view shows now.
    pub(super) fn view_shows(&self, id: u64, source: &str) {
        self.tell_view(id, source);
    }

    /// Takes note that a view shows nothing any more.
    pub(super) fn view_is_free(&self, id: Option<u64>) {
        if let Some(id) = id {
            self.tell_view(id, "");
        }
    }

    fn tell_view(&self, id: u64, source: &str) {
        if let Ok(view) = self.views.get(id) {
            self.news.tell(EngineEvent::View(Change::Changed(info_of(view.as_ref(), source))));
        }
    }

    fn created_view(&self, id: u64) -> Result<u64, EngineError> {
        let view = self.views.get(id)?;
        self.news.tell(EngineEvent::View(Change::Added(info_of(view.as_ref(), ""))));
        Ok(id)
    }

    fn create_texture(&mut self, width: u32, height: u32, format: TextureFormat) -> Result<u64, EngineError> {
        self.ensure_created();
        let id = self.views.create_texture(width, height, format)?;
        self.created_view(id)
    }

    fn create_platform_view(&mut self, target: PlatformTarget) -> Result<u64, EngineError> {
        self.ensure_created();
        let id = match target {
            PlatformTarget::Null => self.views.create_null()?,
            PlatformTarget::Pipe(descriptor) => self.views.create_pipe(descriptor)?,
        };
        self.created_view(id)
    }

    /// Destroys a view of the right kind; what was shown there goes on without.
    fn destroy_view(&mut self, id: u64, texture: bool) -> Result<(), EngineError> {
        let view = self.views.get(id)?;
        if (view.kind() == ViewKind::Texture) != texture {
            let message = if texture {
                format!("View {id} is not a texture; use DestroyPlatformView")
            } else {
                format!("View {id} is a texture; use DestroyTextureRenderer")
            };
            return Err(EngineError::no_view(&message));
        }
        drop(view);
        self.leave_view(id);
        self.views.destroy(id)?;
        self.news.tell(EngineEvent::View(Change::Removed(id)));
        Ok(())
    }

    /// Has everybody who shows pictures in a view stop it: a view shows one thing at a time.
    pub(super) fn leave_view(&mut self, id: u64) {
        for entry in self.channels.values_mut().filter(|entry| entry.preview == Some(id)) {
            entry.preview = None;
            entry.channel.tell(super::channel::ChannelInput::LeaveView);
        }
        for entry in self.players.values_mut().filter(|entry| entry.view == Some(id)) {
            entry.view = None;
            entry.player.tell(super::player::PlayerInput::LeaveView);
        }
    }
}

fn info_of(view: &dyn View, source: &str) -> ViewInfo {
    let (width, height) = view.size();
    ViewInfo { id: view.id(), kind: view.kind().as_str(), width, height, source: source.to_owned() }
}

impl Engine {
    /// CreateTextureRenderer: the view's id.
    ///
    /// # Errors
    /// A size that no texture can have; too many views; no memory.
    pub async fn create_texture(&self, width: u32, height: u32, format: TextureFormat) -> Result<u64, EngineError> {
        self.with(move |core| core.create_texture(width, height, format)).await
    }

    /// UpdateTextureRendererSize.
    ///
    /// # Errors
    /// No such texture, or a size that none can have.
    pub async fn update_texture_size(&self, id: u64, width: u32, height: u32) -> Result<(), EngineError> {
        self.with(move |core| {
            core.views.update_texture_size(id, width, height)?;
            let view = core.views.get(id)?;
            let player = core.players.iter().find(|(_, entry)| entry.view == Some(id));
            let source = match player {
                Some((stream_id, _)) => stream_id.clone(),
                None if core.channels.values().any(|entry| entry.preview == Some(id)) => "preview".to_owned(),
                None => String::new(),
            };
            core.news.tell(EngineEvent::View(Change::Changed(info_of(view.as_ref(), &source))));
            Ok(())
        })
        .await
    }

    /// OpenTexture: what a client reads a texture with.
    ///
    /// # Errors
    /// No such texture.
    pub async fn open_texture(&self, id: u64) -> Result<OpenedTexture, EngineError> {
        self.with(move |core| Ok(core.views.open_texture(id)?)).await
    }

    /// DestroyTextureRenderer.
    ///
    /// # Errors
    /// No such texture.
    pub async fn destroy_texture(&self, id: u64) -> Result<(), EngineError> {
        self.with(move |core| core.destroy_view(id, true)).await
    }

    /// CreatePlatformView: the view's id.
    ///
    /// # Errors
    /// A descriptor that cannot be written to; too many views.
    pub async fn create_platform_view(&self, target: PlatformTarget) -> Result<u64, EngineError> {
        self.with(move |core| core.create_platform_view(target)).await
    }

    /// DestroyPlatformView.
    ///
    /// # Errors
    /// No such view, or a texture.
    pub async fn destroy_platform_view(&self, id: u64) -> Result<(), EngineError> {
        self.with(move |core| core.destroy_view(id, false)).await
    }

    /// How many pictures a view has shown, and its size now.
    #[must_use]
    pub fn view_counters(&self, id: u64) -> Option<(u64, (u32, u32))> {
        self.views.get(id).ok().map(|view| (view.frames_shown(), view.size()))
    }
}
