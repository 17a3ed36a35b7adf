//! Views: where pictures go.
//!
//! A view takes decoded pictures from a decoder's or a camera's thread and never holds that thread up. [`Views`] keeps them
//! by the number that clients know.

mod canvas;
mod draw;
mod error;
mod memory;
mod null;
mod pipe;
mod place;
mod scale;
mod slots;
mod texture;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use canvas::{Canvas, ViewMode};
pub use error::ViewError;

use crate::clock::Monotonic;
use crate::picture::Picture;

/// What a view is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ViewKind {
    /// Shared memory that the client draws itself.
    Texture,
    /// Y4M to a descriptor of the client.
    Pipe,
    /// Nowhere; it counts.
    Null,
}

impl ViewKind {
    /// The word for it on the bus.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Texture => "texture",
            Self::Pipe => "pipe",
            Self::Null => "null",
        }
    }
}

/// The pixels of a texture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TextureFormat {
    /// `XR24`: bytes B, G, R, X at the size the client asked for.
    #[default]
    Xr24,
    /// `YU12`: planes Y, U, V at the source's size, without conversion.
    Yu12,
}

impl TextureFormat {
    /// The DRM fourcc.
    #[must_use]
    pub const fn fourcc(self) -> &'static str {
        match self {
            Self::Xr24 => "XR24",
            Self::Yu12 => "YU12",
        }
    }

    /// The format of a fourcc, if there is one.
    #[must_use]
    pub fn from_fourcc(text: &str) -> Option<Self> {
        [Self::Xr24, Self::Yu12].into_iter().find(|format| format.fourcc() == text)
    }
}

/// How a texture's memory is laid out: the header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Layout version, 1.
    pub version: u32,
    /// Number of slots, 3 or more.
    pub slot_count: u32,
    /// Bytes of a slot.
    pub slot_size: u32,
    /// Offset of the first slot in bytes.
    pub first_slot: u32,
    /// Texture width in pixels.
    pub width: u32,
    /// Texture height in pixels.
    pub height: u32,
    /// Bytes of a row (of Y; U and V have half of it).
    pub stride: u32,
    /// DRM fourcc.
    pub fourcc: &'static str,
}

/// What a client gets to read a texture with.
#[derive(Debug)]
pub struct OpenedTexture {
    /// The sealed memory, to be mapped read-only.
    pub memory: OwnedFd,
    /// An eventfd of this client's own, incremented once a frame.
    pub wakeup: OwnedFd,
    /// The memory's layout.
    pub layout: Layout,
}

/// How many views there can be at once. They outlive their callers, so one that starts again and again and never destroys
/// its views would use up the memory.
pub const VIEW_MAX: usize = 64;

/// Somewhere that pictures go. All methods may be called from any thread.
pub trait View: Send + Sync {
    /// The number by which clients know it.
    fn id(&self) -> u64;
    /// What it is.
    fn kind(&self) -> ViewKind;
    /// Its size in pixels; 0x0 when it takes whatever comes and nothing came yet.
    fn size(&self) -> (u32, u32);
    /// Pictures shown so far.
    fn frames_shown(&self) -> u64;
    /// How pictures are fitted in, from the next one on.
    fn set_canvas(&self, canvas: Canvas);
    /// Shows a picture. Never blocks; when the view cannot keep up, older pictures go.
    fn show(&self, picture: &Picture<'_>, captured_at: Option<Monotonic>);
    /// Shows the background: nobody plays here any more.
    fn clear(&self);
}

/// All views, by number. Cheap to share; a view that is destroyed while somebody shows pictures on it lives until they let go.
#[derive(Default)]
pub struct Views {
    last: AtomicU64,
    views: Mutex<BTreeMap<u64, Entry>>,
}

enum Entry {
    Texture(Arc<texture::Texture>),
    /// A view that nobody opens: a pipe or a null view.
    Other(Arc<dyn View>),
}

impl Entry {
    fn view(&self) -> Arc<dyn View> {
        match self {
            Self::Texture(view) => view.clone(),
            Self::Other(view) => view.clone(),
        }
    }
}

impl Views {
    /// No views yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a texture of the given size in pixels, each side 1 to 8192. One in `YU12` takes the source's size with its first
    /// picture.
    ///
    /// # Errors
    /// [`ViewError::Size`], [`ViewError::TooMany`], or [`ViewError::Io`] when memory runs out.
    pub fn create_texture(&self, width: u32, height: u32, format: TextureFormat) -> Result<u64, ViewError> {
        self.add(|id| Ok(Entry::Texture(Arc::new(texture::Texture::new(id, width, height, format)?))))
    }

    /// Gives a texture another size: its memory is superseded, clients open it again. One in `YU12` keeps the source's size.
    ///
    /// # Errors
    /// [`ViewError::NotFound`], [`ViewError::NotATexture`], [`ViewError::Size`] or [`ViewError::Io`].
    pub fn update_texture_size(&self, id: u64, width: u32, height: u32) -> Result<(), ViewError> {
        self.texture(id)?.resize(width, height)
    }

    /// The descriptors by which a client reads a texture; a new eventfd with every call.
    ///
    /// # Errors
    /// [`ViewError::NotFound`], [`ViewError::NotATexture`] or [`ViewError::Io`].
    pub fn open_texture(&self, id: u64) -> Result<OpenedTexture, ViewError> {
        self.texture(id)?.open()
    }

    /// Makes a view that writes Y4M to a descriptor (pipe, FIFO, socket or file).
    ///
    /// # Errors
    /// [`ViewError::TooMany`], [`ViewError::NotWritable`], or [`ViewError::Io`] when the system refuses it.
    pub fn create_pipe(&self, descriptor: OwnedFd) -> Result<u64, ViewError> {
        self.add(|id| Ok(Entry::Other(Arc::new(pipe::PipeView::new(id, descriptor)?))))
    }

    /// Makes a view that only counts.
    ///
    /// # Errors
    /// [`ViewError::TooMany`].
    pub fn create_null(&self) -> Result<u64, ViewError> {
        self.add(|id| Ok(Entry::Other(Arc::new(null::NullView::new(id)))))
    }

    /// Forgets a view.
    ///
    /// # Errors
    /// [`ViewError::NotFound`].
    pub fn destroy(&self, id: u64) -> Result<(), ViewError> {
        // Dropped after the lock is free: a view may have something to finish.
        let removed = self.lock().remove(&id);
        removed.map(drop).ok_or(ViewError::NotFound { id })
    }

    /// Forgets all views.
    pub fn destroy_all(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    /// A view by its number.
    ///
    /// # Errors
    /// [`ViewError::NotFound`].
    pub fn get(&self, id: u64) -> Result<Arc<dyn View>, ViewError> {
        self.lock().get(&id).map(Entry::view).ok_or(ViewError::NotFound { id })
    }

    /// All views in the order they were made.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<dyn View>> {
        self.lock().values().map(Entry::view).collect()
    }

    fn add(&self, entry: impl FnOnce(u64) -> Result<Entry, ViewError>) -> Result<u64, ViewError> {
        // Views are only added by the engine's one task: nobody comes between this look and the insertion.
        if self.lock().len() >= VIEW_MAX {
            return Err(ViewError::TooMany { limit: VIEW_MAX });
        }
        let id = self.new_id();
        let entry = entry(id)?;
        self.lock().insert(id, entry);
        Ok(id)
    }

    /// Numbers start at 1 and are never used twice.
    fn new_id(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn texture(&self, id: u64) -> Result<Arc<texture::Texture>, ViewError> {
        match self.lock().get(&id) {
            Some(Entry::Texture(texture)) => Ok(Arc::clone(texture)),
            Some(Entry::Other(_)) => Err(ViewError::NotATexture { id }),
            None => Err(ViewError::NotFound { id }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        // Every change of the map is one call: a panic elsewhere cannot leave it half done.
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
