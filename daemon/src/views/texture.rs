//! Textures: views whose pixels a client reads out of shared memory and draws itself.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::clock::Monotonic;
use crate::picture::Picture;
use crate::views::draw::{colour_to_yuv, copy_planes, draw_xr24, paint_around_xr24};
use crate::views::place::{Rectangle, crop, place};
use crate::views::scale::Scaler;
use crate::views::slots::Slots;
use crate::views::{Canvas, OpenedTexture, TextureFormat, View, ViewError, ViewKind};

/// Largest side of a texture.
const LIMIT: u32 = 8192;
/// Clients that are woken at a time. Who opens a texture more often loses the oldest eventfd.
const OPENINGS: usize = 64;

/// The view of kind `texture`.
pub(super) struct Texture {
    id: u64,
    format: TextureFormat,
    shown: AtomicU64,
    state: Mutex<State>,
}

struct State {
    canvas: Canvas,
    slots: Slots,
    /// Frames written so far, over all memories.
    number: u64,
    wakeups: Vec<OwnedFd>,
    scaler: Scaler,
    /// What was painted around the picture in each slot; painting it again is spared.
    borders: Vec<Option<(Rectangle, u32)>>,
}

impl Texture {
    pub(super) fn new(id: u64, width: u32, height: u32, format: TextureFormat) -> Result<Self, ViewError> {
        let slots = new_slots(width, height, format)?;
        let borders = vec![None; slots.layout().slot_count as usize];
        let state = State {
            canvas: Canvas::default(),
            slots,
            number: 0,
            wakeups: Vec::new(),
            scaler: Scaler::default(),
            borders,
        };
        Ok(Self { id, format, shown: AtomicU64::new(0), state: Mutex::new(state) })
    }

    /// Gives it new memory of another size. `YU12` has the source's size, so nothing happens.
    pub(super) fn resize(&self, width: u32, height: u32) -> Result<(), ViewError> {
        check(width, height)?;
        let mut state = self.lock();
        let layout = state.slots.layout();
        if self.format == TextureFormat::Yu12 || (layout.width, layout.height) == (width, height) {
            return Ok(());
        }
        state.replace(new_slots(width, height, self.format)?).retire();
        Ok(())
    }

    /// Descriptors for one more reader.
    pub(super) fn open(&self) -> Result<OpenedTexture, ViewError> {
        let failed = |source| ViewError::Io { action: "opening a texture", source };
        let mut state = self.lock();
        let memory = state.slots.descriptor().map_err(failed)?;
        // Blocking for the client's comfort; `wake` looks before it writes.
        let ours = eventfd(0, EventfdFlags::CLOEXEC).map_err(ViewError::io("making an eventfd"))?;
        let wakeup = ours.try_clone().map_err(failed)?;
        if state.wakeups.len() == OPENINGS {
            state.wakeups.remove(0);
        }
        state.wakeups.push(ours);
        Ok(OpenedTexture { memory, wakeup, layout: state.slots.layout() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in the middle of a frame leaves its slot's lock odd, which readers understand.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View for Texture {
    fn id(&self) -> u64 {
        self.id
    }

    fn kind(&self) -> ViewKind {
        ViewKind::Texture
    }

    fn size(&self) -> (u32, u32) {
        let layout = self.lock().slots.layout();
        (layout.width, layout.height)
    }

    fn frames_shown(&self) -> u64 {
        self.shown.load(Ordering::Relaxed)
    }

    fn set_canvas(&self, canvas: Canvas) {
        self.lock().canvas = canvas;
    }

    fn show(&self, picture: &Picture<'_>, captured_at: Option<Monotonic>) {
        let mut state = self.lock();
        match self.format {
            TextureFormat::Xr24 => state.show_xr24(picture, captured_at),
            TextureFormat::Yu12 => state.show_yu12(picture, captured_at),
        }
        drop(state);
        self.shown.fetch_add(1, Ordering::Relaxed);
    }

    fn clear(&self) {
        let mut state = self.lock();
        let colour = state.canvas.background;
        let layout = state.slots.layout();
        let format = self.format;
        state.write(None, (0, 0), |pixels, _| match format {
            TextureFormat::Xr24 => {
                let nowhere = Rectangle { x: 0, y: 0, width: 0, height: 0 };
                paint_around_xr24(pixels, layout.stride as usize, nowhere, colour);
            }
            TextureFormat::Yu12 => {
                let [y, u, v] = colour_to_yuv(colour);
                let luma = layout.width as usize * layout.height as usize;
                pixels[..luma].fill(y);
                pixels[luma..luma * 5 / 4].fill(u);
                pixels[luma * 5 / 4..].fill(v);
            }
        });
        state.borders.fill(None);
    }
}

impl Drop for Texture {
    fn drop(&mut self) {
        // Whoever still reads it learns that nothing more will come.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.slots.supersede();
        state.wake();
    }
}

impl State {
    fn show_xr24(&mut self, picture: &Picture<'_>, captured_at: Option<Monotonic>) {
        let layout = self.slots.layout();
        let stride = layout.stride as usize;
        let canvas = self.canvas;
        let (from, to) =
            place((picture.width, picture.height), (layout.width as usize, layout.height as usize), canvas.mode);
        let part = crop(picture, from);
        let border = Some((to, canvas.background));
        let slot = Slots::index_of(self.number + 1);
        let painted = self.borders[slot] == border;
        self.borders[slot] = border;
        let size = (picture.width as u32, picture.height as u32);
        self.write(captured_at, size, |pixels, scaler| {
            if !painted {
                paint_around_xr24(pixels, stride, to, canvas.background);
            }
            if (part.width, part.height) == (to.width, to.height) {
                draw_xr24(&part, pixels, stride, to, canvas.mirror);
            } else {
                draw_xr24(&scaler.scale(&part, to.width, to.height), pixels, stride, to, canvas.mirror);
            }
        });
    }

    fn show_yu12(&mut self, picture: &Picture<'_>, captured_at: Option<Monotonic>) {
        let layout = self.slots.layout();
        let size = (picture.width as u32, picture.height as u32);
        let mut superseded = None;
        if (layout.width, layout.height) != size {
            match new_slots(size.0, size.1, TextureFormat::Yu12) {
                Ok(slots) => superseded = Some(self.replace(slots)),
                Err(error) => {
                    log::error!("a picture is not shown: {error}");
                    return;
                }
            }
        }
        let mirror = self.canvas.mirror;
        self.write(captured_at, size, |pixels, _| copy_planes(picture, pixels, mirror));
        // The picture is there before anybody is sent to look for it.
        if let Some(superseded) = superseded {
            superseded.retire();
        }
    }

    fn write(&mut self, captured_at: Option<Monotonic>, size: (u32, u32), draw: impl FnOnce(&mut [u8], &mut Scaler)) {
        self.number += 1;
        let scaler = &mut self.scaler;
        self.slots.write(self.number, captured_at, size, |pixels| draw(pixels, scaler));
        self.wake();
    }

    fn wake(&self) {
        self.wakeups.iter().for_each(wake);
    }

    /// Puts new memory in place. The old one is still to be retired.
    fn replace(&mut self, slots: Slots) -> Superseded {
        self.borders.fill(None);
        Superseded { slots: std::mem::replace(&mut self.slots, slots), wakeups: std::mem::take(&mut self.wakeups) }
    }
}

/// Memory that was replaced, and those who look at it.
struct Superseded {
    slots: Slots,
    wakeups: Vec<OwnedFd>,
}

impl Superseded {
    /// Sends its readers to the new memory: one last signal, after which they open the texture again.
    fn retire(self) {
        self.slots.supersede();
        self.wakeups.iter().for_each(wake);
    }
}

/// Adds one to a reader's eventfd. One whose counter is full (only on purpose) is passed over.
fn wake(eventfd: &OwnedFd) {
    let mut ready = [PollFd::new(eventfd, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut ready, Some(&now)) == Ok(1) {
        let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
    }
}

fn check(width: u32, height: u32) -> Result<(), ViewError> {
    let sides = 1..=LIMIT;
    if sides.contains(&width) && sides.contains(&height) { Ok(()) } else { Err(ViewError::Size { width, height }) }
}

fn new_slots(width: u32, height: u32, format: TextureFormat) -> Result<Slots, ViewError> {
    check(width, height)?;
    let (width, height) = match format {
        TextureFormat::Xr24 => (width, height),
        TextureFormat::Yu12 => (width.next_multiple_of(2), height.next_multiple_of(2)),
    };
    Slots::new(width, height, format).map_err(|source| ViewError::Io { action: "making a texture's memory", source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bar;
    use crate::picture::PictureBuffer;
    use crate::views::slots::reader::Reader;
    use crate::views::{ViewMode, Views};

    fn picture(counter: u16, width: usize, height: usize) -> PictureBuffer {
        let mut picture = PictureBuffer::new(width, height);
        let planes = picture.planes_mut();
        planes.y.fill(100);
        planes.u.fill(128);
        planes.v.fill(128);
        bar::draw(picture.planes_mut(), width, counter, Monotonic::from_millis(55));
        picture
    }

    /// Reads the bar of a grey picture at any scale, out of its fifth row: that is in the bar's middle, or its upper half.
    fn bar_of(pixels: &[u8], stride: usize, width: usize) -> Option<(u16, u16)> {
        let row: Vec<u8> = pixels[4 * stride..].as_chunks::<4>().0.iter().take(width).map(|pixel| pixel[1]).collect();
        bar::read(&row.repeat(bar::ROWS), width, width)
    }

    fn count(wakeup: &OwnedFd) -> u64 {
        let mut ready = [PollFd::new(wakeup, PollFlags::IN)];
        if poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) != Ok(1) {
            return 0;
        }
        let mut value = [0; 8];
        rustix::io::read(wakeup, &mut value).unwrap();
        u64::from_ne_bytes(value)
    }

    #[test]
    fn the_bar_reads_back_from_xr24_at_the_same_and_at_other_sizes() {
        for (width, height) in [(320, 240), (640, 480), (1280, 960)] {
            let views = Views::new();
            let id = views.create_texture(width, height, TextureFormat::Xr24).unwrap();
            let opened = views.open_texture(id).unwrap();
            let reader = Reader::new(&opened.memory);
            let view = views.get(id).unwrap();
            for counter in [1, 2, 40_000] {
                view.show(&picture(counter, 640, 480).picture(), Some(Monotonic::from_millis(9)));
                let frame = reader.newest().unwrap();
                assert_eq!((frame.captured_at, frame.source), (9_000_000, (640, 480)));
                let stride = opened.layout.stride as usize;
                assert_eq!(bar_of(&frame.pixels, stride, width as usize), Some((counter, 55)), "{width}x{height}");
            }
            assert_eq!(view.frames_shown(), 3);
        }
    }

    #[test]
    fn yu12_has_the_source_size_and_its_very_bytes() {
        let views = Views::new();
        let id = views.create_texture(640, 480, TextureFormat::Yu12).unwrap();
        let first = views.open_texture(id).unwrap();
        let early = Reader::new(&first.memory);
        let view = views.get(id).unwrap();
        let source = picture(77, 320, 180);
        view.show(&source.picture(), None);
        assert!(early.superseded() && early.newest().is_none(), "the size changed");
        assert_eq!(count(&first.wakeup), 1, "one last signal");
        let opened = views.open_texture(id).unwrap();
        assert_eq!(
            (opened.layout.fourcc, opened.layout.width, opened.layout.height, opened.layout.stride),
            ("YU12", 320, 180, 320)
        );
        let frame = Reader::new(&opened.memory).newest().unwrap();
        assert_eq!(frame.pixels, source.bytes());
        assert_eq!(bar::read(&frame.pixels, 320, 320), Some((77, 55)));
        view.show(&source.picture(), None);
        assert_eq!((count(&first.wakeup), count(&opened.wakeup)), (0, 1));
    }

    #[test]
    fn every_opening_has_an_eventfd_of_its_own_that_counts_frames() {
        let views = Views::new();
        let id = views.create_texture(64, 48, TextureFormat::Xr24).unwrap();
        let (one, other) = (views.open_texture(id).unwrap(), views.open_texture(id).unwrap());
        let view = views.get(id).unwrap();
        for counter in 0..5 {
            view.show(&picture(counter, 64, 48).picture(), None);
        }
        assert_eq!(count(&one.wakeup), 5);
        view.show(&picture(5, 64, 48).picture(), None);
        assert_eq!((count(&one.wakeup), count(&other.wakeup)), (1, 6));
        // One that was filled up on purpose holds nobody up.
        rustix::io::write(&one.wakeup, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        view.show(&picture(6, 64, 48).picture(), None);
        assert_eq!(count(&other.wakeup), 1);
    }

    #[test]
    fn another_size_supersedes_the_memory_and_the_old_mapping_stays_readable() {
        let views = Views::new();
        let id = views.create_texture(640, 480, TextureFormat::Xr24).unwrap();
        let old = views.open_texture(id).unwrap();
        let reader = Reader::new(&old.memory);
        let view = views.get(id).unwrap();
        view.show(&picture(1, 640, 480).picture(), None);
        assert!(!reader.superseded());
        views.update_texture_size(id, 1280, 720).unwrap();
        assert!(reader.superseded());
        assert_eq!(count(&old.wakeup), 2, "a frame, and the last signal");
        view.show(&picture(2, 640, 480).picture(), None);
        assert_eq!(count(&old.wakeup), 0);
        assert_eq!(reader.newest().unwrap().number, 1);
        let new = views.open_texture(id).unwrap();
        assert_eq!((new.layout.width, new.layout.height, view.size()), (1280, 720, (1280, 720)));
        assert_eq!(Reader::new(&new.memory).newest().unwrap().number, 2, "numbers go on");
        views.update_texture_size(id, 1280, 720).unwrap();
        assert!(!Reader::new(&new.memory).superseded(), "the same size changes nothing");
    }

    #[test]
    fn aspect_background_and_mirror_follow_the_canvas() {
        let views = Views::new();
        let id = views.create_texture(320, 120, TextureFormat::Xr24).unwrap();
        let opened = views.open_texture(id).unwrap();
        let reader = Reader::new(&opened.memory);
        let view = views.get(id).unwrap();
        let mut source = picture(0, 160, 120);
        source.planes_mut().y[60 * 160..61 * 160].fill(16);
        source.planes_mut().y[60 * 160..60 * 160 + 20].fill(235);
        let pixel = |x: usize, y: usize| -> [u8; 3] {
            let frame = reader.newest().unwrap();
            frame.pixels[y * 1280 + x * 4..][..3].try_into().unwrap()
        };
        let (white, black, blue) = ([255; 3], [0; 3], [0xff, 0x20, 0x10]);
        let show = |mode, mirror| {
            view.set_canvas(Canvas { mode, background: 0x10_20_ff, mirror });
            // More than there are slots, so that each one was painted with this canvas.
            (0..4).for_each(|_| view.show(&source.picture(), None));
        };
        show(ViewMode::AspectFit, false);
        assert_eq!((pixel(79, 60), pixel(84, 60), pixel(230, 60), pixel(240, 60)), (blue, white, black, blue));
        show(ViewMode::AspectFit, true);
        assert_eq!((pixel(79, 60), pixel(84, 60), pixel(235, 60), pixel(240, 60)), (blue, black, white, blue));
        show(ViewMode::ScaleToFill, false);
        assert_eq!((pixel(2, 60), pixel(310, 60)), (white, black));
        show(ViewMode::AspectFill, false);
        // The middle 60 of 120 rows, twice as large: row 60 of the picture is row 60 of the view.
        assert_eq!((pixel(2, 61)[1] > 200, pixel(310, 61)[1] < 40), (true, true));
        view.clear();
        assert_eq!((pixel(0, 0), pixel(160, 60)), (blue, blue));
        assert_eq!(reader.newest().unwrap().source, (0, 0));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let views = Views::new();
        for (width, height) in [(0, 480), (640, 0), (8193, 16), (u32::MAX, u32::MAX)] {
            let error = views.create_texture(width, height, TextureFormat::Xr24).unwrap_err();
            assert!(matches!(error, ViewError::Size { .. }) && error.code() == 1_000_017, "{error}");
        }
        let id = views.create_texture(64, 48, TextureFormat::Xr24).unwrap();
        assert!(matches!(views.update_texture_size(id, 0, 1), Err(ViewError::Size { .. })));
        let null = views.create_null().unwrap();
        assert!(matches!(views.open_texture(null), Err(ViewError::NotATexture { .. })));
        assert!(matches!(views.open_texture(999), Err(ViewError::NotFound { .. })));
    }

    #[test]
    fn a_texture_destroyed_while_pictures_come_is_safe() {
        let views = Views::new();
        let id = views.create_texture(320, 240, TextureFormat::Xr24).unwrap();
        let opened = views.open_texture(id).unwrap();
        let reader = Reader::new(&opened.memory);
        let view = views.get(id).unwrap();
        let producer =
            std::thread::spawn(move || (0..200).for_each(|n| view.show(&picture(n, 320, 240).picture(), None)));
        views.destroy(id).unwrap();
        producer.join().unwrap();
        assert!(reader.superseded(), "the reader learns that nothing more comes");
        assert_eq!(reader.newest().unwrap().number, 200);
    }
}
