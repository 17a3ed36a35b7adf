//! The view that shows nothing and counts.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Monotonic;
use crate::picture::Picture;
use crate::views::{Canvas, View, ViewKind};

/// The view `null`.
#[derive(Debug)]
pub(super) struct NullView {
    id: u64,
    frames: AtomicU64,
    /// Width in the upper, height in the lower half.
    size: AtomicU64,
}

impl NullView {
    pub(super) const fn new(id: u64) -> Self {
        Self { id, frames: AtomicU64::new(0), size: AtomicU64::new(0) }
    }
}

impl View for NullView {
    fn id(&self) -> u64 {
        self.id
    }

    fn kind(&self) -> ViewKind {
        ViewKind::Null
    }

    fn size(&self) -> (u32, u32) {
        let size = self.size.load(Ordering::Relaxed);
        ((size >> 32) as u32, size as u32)
    }

    fn frames_shown(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    fn set_canvas(&self, _canvas: Canvas) {}

    fn show(&self, picture: &Picture<'_>, _captured_at: Option<Monotonic>) {
        self.size.store((picture.width as u64) << 32 | picture.height as u64, Ordering::Relaxed);
        self.frames.fetch_add(1, Ordering::Relaxed);
    }

    fn clear(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::PictureBuffer;
    use crate::views::{ViewError, Views};

    #[test]
    fn it_counts_what_it_is_shown() {
        let views = Views::new();
        let id = views.create_null().unwrap();
        let view = views.get(id).unwrap();
        assert_eq!((view.id(), view.kind(), view.size(), view.frames_shown()), (id, ViewKind::Null, (0, 0), 0));
        let picture = PictureBuffer::new(64, 48);
        view.show(&picture.picture(), None);
        view.show(&picture.picture(), None);
        assert_eq!((view.size(), view.frames_shown()), ((64, 48), 2));
    }

    #[test]
    fn a_destroyed_view_still_takes_pictures_from_whoever_holds_it() {
        let views = Views::new();
        let (first, second) = (views.create_null().unwrap(), views.create_null().unwrap());
        assert_ne!(first, second);
        let held = views.get(first).unwrap();
        views.destroy(first).unwrap();
        held.show(&PictureBuffer::new(4, 2).picture(), None);
        assert_eq!(held.frames_shown(), 1);
        assert!(matches!(views.get(first), Err(ViewError::NotFound { id }) if id == first));
        assert!(matches!(views.destroy(first), Err(ViewError::NotFound { .. })));
        assert_eq!(views.list().len(), 1);
        assert_ne!(views.create_null().unwrap(), first, "numbers are not used again");
    }
}
