//! Pipes: views that write Y4M to a descriptor of the client.
//!
//! A picture is copied once, into a mailbox that holds one; a thread of the view's own writes it out. When the reader stalls,
//! newer pictures replace the one in the mailbox: only that reader loses pictures, and whoever shows them is never held up.

use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::{Errno, writev};

use crate::clock::Monotonic;
use crate::picture::{Picture, PictureBuffer, PicturePool};
use crate::views::draw::copy_planes;
use crate::views::scale::Scaler;
use crate::views::{Canvas, View, ViewError, ViewKind};

/// The view of kind `pipe`.
pub(super) struct PipeView {
    id: u64,
    pool: PicturePool,
    mailbox: Arc<Mailbox>,
    mirror: AtomicBool,
}

struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
    /// Readable once the view is gone: ends a wait for the reader.
    stop: OwnedFd,
    written: AtomicU64,
    /// Width in the upper, height in the lower half; of the stream, so it never changes.
    size: AtomicU64,
}

enum State {
    /// No picture yet, so no thread either.
    Fresh(OwnedFd),
    /// The thread runs; the picture is the next one to be written.
    Running(Option<PictureBuffer>),
    /// The view is gone; the thread writes what is left and ends.
    Stopping(Option<PictureBuffer>),
    /// The reader went away, or writing failed.
    Ended,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment: nothing is half done after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a picture; nothing once there will be no more.
    fn take(&self) -> Option<PictureBuffer> {
        let mut state = self.lock();
        loop {
            match &mut *state {
                State::Running(next) => {
                    if let Some(picture) = next.take() {
                        return Some(picture);
                    }
                }
                State::Stopping(next) => return next.take(),
                State::Fresh(_) | State::Ended => return None,
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl PipeView {
    pub(super) fn new(id: u64, descriptor: OwnedFd) -> Result<Self, ViewError> {
        let flags = fcntl_getfl(&descriptor).map_err(ViewError::io("looking at the pipe's descriptor"))?;
        if !flags.intersects(OFlags::WRONLY | OFlags::RDWR) {
            return Err(ViewError::NotWritable);
        }
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(ViewError::io("making an eventfd"))?;
        let mailbox = Mailbox {
            state: Mutex::new(State::Fresh(descriptor)),
            changed: Condvar::new(),
            stop,
            written: AtomicU64::new(0),
            size: AtomicU64::new(0),
        };
        // One in the mailbox, one being written, one being copied.
        Ok(Self { id, pool: PicturePool::new(3), mailbox: Arc::new(mailbox), mirror: AtomicBool::new(false) })
    }
}

impl View for PipeView {
    fn id(&self) -> u64 {
        self.id
    }

    fn kind(&self) -> ViewKind {
        ViewKind::Pipe
    }

    fn size(&self) -> (u32, u32) {
        let size = self.mailbox.size.load(Ordering::Relaxed);
        ((size >> 32) as u32, size as u32)
    }

    fn frames_shown(&self) -> u64 {
        self.mailbox.written.load(Ordering::Relaxed)
    }

    fn set_canvas(&self, canvas: Canvas) {
        self.mirror.store(canvas.mirror, Ordering::Relaxed);
    }

    fn show(&self, picture: &Picture<'_>, _captured_at: Option<Monotonic>) {
        if matches!(*self.mailbox.lock(), State::Ended | State::Stopping(_)) {
            return;
        }
        let mut copy = self.pool.take(picture.width, picture.height);
        copy_planes(picture, copy.bytes_mut(), self.mirror.load(Ordering::Relaxed));
        let mut state = self.mailbox.lock();
        match std::mem::replace(&mut *state, State::Ended) {
            State::Running(_) => *state = State::Running(Some(copy)),
            State::Fresh(descriptor) => {
                let size = (picture.width as u64) << 32 | picture.height as u64;
                self.mailbox.size.store(size, Ordering::Relaxed);
                let mailbox = Arc::clone(&self.mailbox);
                let thread = std::thread::Builder::new().name(format!("view-{}", self.id));
                match thread.spawn(move || Writer::new(descriptor, size).run(&mailbox)) {
                    Ok(_) => *state = State::Running(Some(copy)),
                    Err(error) => log::error!("view {} shows nothing: no thread for it: {error}", self.id),
                }
            }
            other => *state = other,
        }
        drop(state);
        self.mailbox.changed.notify_one();
    }

    fn clear(&self) {}
}

impl Drop for PipeView {
    fn drop(&mut self) {
        let mut state = self.mailbox.lock();
        *state = match std::mem::replace(&mut *state, State::Ended) {
            State::Running(next) => State::Stopping(next),
            _ => State::Ended,
        };
        drop(state);
        self.mailbox.changed.notify_one();
        let _ = rustix::io::write(&self.mailbox.stop, &1_u64.to_ne_bytes());
    }
}

/// The thread's part: owns the descriptor.
struct Writer {
    descriptor: OwnedFd,
    /// The descriptor's flags as the client gave it, to be left that way.
    flags: Option<OFlags>,
    width: usize,
    height: usize,
    scaler: Scaler,
}

impl Writer {
    fn new(descriptor: OwnedFd, size: u64) -> Self {
        // A wait for a pipe's or socket's reader must be able to end when the view is destroyed, so writing must not block.
        let regular =
            fstat(&descriptor).is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::RegularFile);
        let flags = if regular { None } else { fcntl_getfl(&descriptor).ok() };
        if let Some(flags) = flags {
            let _ = fcntl_setfl(&descriptor, flags | OFlags::NONBLOCK);
        }
        Self {
            descriptor,
            flags,
            width: (size >> 32) as usize,
            height: size as u32 as usize,
            scaler: Scaler::default(),
        }
    }

    fn run(mut self, mailbox: &Mailbox) {
        // The rate is nominal: pictures are written as they come.
        let header = format!("YUV4MPEG2 W{} H{} F30:1 Ip A1:1 C420jpeg\n", self.width, self.height);
        let mut lead = header + "FRAME\n";
        while let Some(picture) = mailbox.take() {
            let written = if (picture.width(), picture.height()) == (self.width, self.height) {
                self.write(mailbox, lead.as_bytes(), picture.bytes())
            } else {
                // A Y4M stream keeps its size.
                let mut scaled = PictureBuffer::new(self.width, self.height);
                copy_planes(&self.scaler.scale(&picture.picture(), self.width, self.height), scaled.bytes_mut(), false);
                self.write(mailbox, lead.as_bytes(), scaled.bytes())
            };
            match written {
                Ok(()) => {
                    mailbox.written.fetch_add(1, Ordering::Relaxed);
                }
                Err(Errno::PIPE | Errno::CONNRESET | Errno::CANCELED) => break,
                Err(errno) => {
                    log::warn!("a pipe view ends: writing to its descriptor failed: {errno}");
                    break;
                }
            }
            "FRAME\n".clone_into(&mut lead);
        }
        *mailbox.lock() = State::Ended;
    }

    /// Writes both parts whole. `CANCELED` when the view went away while the reader did not read.
    fn write(&self, mailbox: &Mailbox, lead: &[u8], pixels: &[u8]) -> Result<(), Errno> {
        let mut done = 0;
        while done < lead.len() + pixels.len() {
            let parts = [&lead[done.min(lead.len())..], &pixels[done.saturating_sub(lead.len())..]];
            match writev(&self.descriptor, &parts.map(IoSlice::new)) {
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait(mailbox)?,
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn wait(&self, mailbox: &Mailbox) -> Result<(), Errno> {
        let mut ready = [
            PollFd::new(&self.descriptor, PollFlags::OUT),
            PollFd::from_borrowed_fd(mailbox.stop.as_fd(), PollFlags::IN),
        ];
        match poll(&mut ready, None) {
            Ok(_) if ready[0].revents().is_empty() => Err(Errno::CANCELED),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(flags) = self.flags {
            let _ = fcntl_setfl(&self.descriptor, flags);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::time::Duration;

    use super::*;
    use crate::bar;

    fn picture(counter: u16, width: usize, height: usize) -> PictureBuffer {
        let mut picture = PictureBuffer::new(width, height);
        bar::draw(picture.planes_mut(), width, counter, Monotonic::from_millis(1));
        picture
    }

    fn pipe_view() -> (PipeView, File) {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        (PipeView::new(7, writer).unwrap(), File::from(reader))
    }

    fn counters(stream: &[u8], header: &str, width: usize, height: usize) -> Vec<u16> {
        let frames = stream.strip_prefix(header.as_bytes()).expect("the header comes first");
        let size = "FRAME\n".len() + width * height * 3 / 2;
        assert_eq!(frames.len() % size, 0, "whole frames only");
        let counter = |frame: &[u8]| {
            let pixels = frame.strip_prefix(b"FRAME\n").expect("a frame's line");
            bar::read(pixels, width, width).expect("an intact bar").0
        };
        frames.chunks_exact(size).map(counter).collect()
    }

    fn wait_for(view: &PipeView, frames: u64) {
        for _ in 0..5_000 {
            if view.frames_shown() == frames {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("{} frames were written, not {frames}", view.frames_shown());
    }

    #[test]
    fn a_reader_gets_a_y4m_stream_with_every_picture() {
        let (view, mut reader) = pipe_view();
        let all = std::thread::spawn(move || {
            let mut stream = Vec::new();
            reader.read_to_end(&mut stream).unwrap();
            stream
        });
        assert_eq!((view.kind(), view.size()), (ViewKind::Pipe, (0, 0)));
        for counter in 0..20 {
            view.show(&picture(counter, 160, 120).picture(), None);
            wait_for(&view, u64::from(counter) + 1);
        }
        assert_eq!(view.size(), (160, 120));
        drop(view);
        let header = "YUV4MPEG2 W160 H120 F30:1 Ip A1:1 C420jpeg\n";
        assert_eq!(counters(&all.join().unwrap(), header, 160, 120), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_stalled_reader_loses_pictures_and_holds_nobody_up() {
        let (view, mut reader) = pipe_view();
        view.show(&picture(0, 320, 240).picture(), None);
        // A writer that had not begun yet would skip this one, too.
        while !matches!(*view.mailbox.lock(), State::Running(None)) {
            std::thread::yield_now();
        }
        let before = Monotonic::now();
        for counter in 1..500 {
            view.show(&picture(counter, 320, 240).picture(), None);
        }
        assert!(Monotonic::now().since(before) < Duration::from_secs(5), "showing does not wait for the reader");
        // The pipe holds 64 KiB, less than one picture: none is complete yet.
        assert_eq!(view.frames_shown(), 0);
        let all = std::thread::spawn(move || {
            let mut stream = Vec::new();
            reader.read_to_end(&mut stream).unwrap();
            stream
        });
        wait_for(&view, 2);
        drop(view);
        let header = "YUV4MPEG2 W320 H240 F30:1 Ip A1:1 C420jpeg\n";
        let counters = counters(&all.join().unwrap(), header, 320, 240);
        assert_eq!(
            (counters.len(), counters[1]),
            (2, 499),
            "the one that was being written, then the newest: {counters:?}"
        );
    }

    #[test]
    fn a_reader_that_goes_away_ends_it_quietly() {
        let (view, reader) = pipe_view();
        view.show(&picture(0, 320, 240).picture(), None);
        drop(reader);
        for _ in 0..5_000 {
            if matches!(*view.mailbox.lock(), State::Ended) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(matches!(*view.mailbox.lock(), State::Ended));
        view.show(&picture(1, 320, 240).picture(), None);
        assert_eq!(view.frames_shown(), 0);
    }

    #[test]
    fn destroying_it_while_the_reader_stalls_ends_the_thread_and_leaves_the_flags_alone() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let theirs = writer.try_clone().unwrap();
        let view = PipeView::new(7, writer).unwrap();
        view.show(&picture(0, 320, 240).picture(), None);
        let mailbox = Arc::clone(&view.mailbox);
        while fcntl_getfl(&theirs).unwrap() & OFlags::NONBLOCK != OFlags::NONBLOCK {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(view);
        for _ in 0..5_000 {
            if Arc::strong_count(&mailbox) == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(Arc::strong_count(&mailbox), 1, "the thread has ended");
        assert_eq!(fcntl_getfl(&theirs).unwrap() & OFlags::NONBLOCK, OFlags::empty());
        drop(reader);
    }

    #[test]
    fn the_stream_keeps_its_size_when_the_pictures_change_theirs() {
        let (view, mut reader) = pipe_view();
        let all = std::thread::spawn(move || {
            let mut stream = Vec::new();
            reader.read_to_end(&mut stream).unwrap();
            stream
        });
        view.show(&picture(5, 320, 240).picture(), None);
        wait_for(&view, 1);
        view.show(&picture(6, 160, 120).picture(), None);
        wait_for(&view, 2);
        drop(view);
        let header = "YUV4MPEG2 W320 H240 F30:1 Ip A1:1 C420jpeg\n";
        let stream = all.join().unwrap();
        let frames = &stream[header.len()..];
        assert_eq!(frames.len(), 2 * ("FRAME\n".len() + 320 * 240 * 3 / 2));
        // The small picture's bar is twice as high now: its middle is where it is read.
        let second = &frames[frames.len() / 2 + "FRAME\n".len()..];
        assert_eq!(bar::read(second, 320, 320), Some((6, 1)));
    }

    #[test]
    fn a_descriptor_that_cannot_be_written_is_refused() {
        let (reader, _writer) = rustix::pipe::pipe().unwrap();
        let error = PipeView::new(1, reader).map(drop).unwrap_err().to_string();
        assert!(error.contains("not open for writing"), "{error}");
    }
}
