//! A client of the daemon's texture views: maps the memory that `OpenTexture` returns and reads frames from it.
#![allow(unsafe_code)] // mapping memory, and reading what another process writes there

use std::ffi::c_void;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Why a view cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TextureError {
    /// The system refused to map or measure the memory.
    #[error("cannot map the texture view: {0}")]
    Map(#[from] rustix::io::Errno),
    /// The memory does not hold a view of a layout that this reader knows.
    #[error("not a texture view: {0}")]
    Layout(&'static str),
}

/// How the pixels of a view are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `YU12`: three planes.
    Planar,
    /// `XR24`: bytes B, G, R, X.
    Bgrx,
}

/// A mapped texture view.
#[derive(Debug)]
pub struct Texture {
    memory: NonNull<u8>,
    size: usize,
    slots: u64,
    slot_size: usize,
    first: usize,
    /// Layout of the pixels.
    pub format: Format,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Bytes of a row (of Y, with planes).
    pub stride: usize,
}

/// What is known of a frame besides its pixels.
#[derive(Clone, Copy, Debug)]
pub struct FrameInfo {
    /// Number of the frame in the view.
    pub number: u64,
    /// Capture time, nanoseconds of CLOCK_MONOTONIC; 0 = unknown.
    pub captured_at: u64,
}

// SAFETY: the mapping belongs to this value alone and stays where it is; nothing in it is tied to a thread.
unsafe impl Send for Texture {}

impl Texture {
    /// Maps a view.
    ///
    /// # Errors
    /// When it cannot be mapped, or its header is not one of layout version 1.
    pub fn map(memory: &OwnedFd) -> Result<Self, TextureError> {
        let size = usize::try_from(rustix::fs::fstat(memory)?.st_size).unwrap_or(0);
        if size < 64 {
            return Err(TextureError::Layout("smaller than a header"));
        }
        // SAFETY: a new mapping at an address of the kernel's choice; the file is sealed against shrinking, so that
        // no page of it goes away while it is mapped.
        let pointer =
            unsafe { mmap(std::ptr::null_mut(), size, ProtFlags::READ, MapFlags::SHARED, memory.as_fd(), 0) }?;
        let memory = NonNull::new(pointer.cast()).ok_or(TextureError::Layout("mapped at zero"))?;
        let mut texture = Self {
            memory,
            size,
            slots: 0,
            slot_size: 0,
            first: 0,
            format: Format::Planar,
            width: 0,
            height: 0,
            stride: 0,
        };
        texture.read_header()?;
        Ok(texture)
    }

    fn read_header(&mut self) -> Result<(), TextureError> {
        let mut header = [0; 40];
        self.copy(0, &mut header);
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
        if header[..4] != *b"ZGTX" {
            return Err(TextureError::Layout("it does not begin with ZGTX"));
        }
        if word(4) != 1 {
            return Err(TextureError::Layout("an unknown layout version"));
        }
        (self.slots, self.slot_size, self.first) = (word(8) as u64, word(12), word(16));
        (self.width, self.height, self.stride) = (word(24), word(28), word(32));
        self.format = match &header[20..24] {
            b"YU12" => Format::Planar,
            b"XR24" => Format::Bgrx,
            _ => return Err(TextureError::Layout("an unknown pixel format")),
        };
        let pixels = match self.format {
            Format::Planar => self.stride * self.height * 3 / 2,
            Format::Bgrx => self.stride * self.height,
        };
        if self.slots < 3 || self.slot_size < 64 + pixels || self.first + self.slot_size * word(8) > self.size {
            return Err(TextureError::Layout("its slots do not fit"));
        }
        Ok(())
    }

    /// Copies bytes that nobody writes, or that the caller checks afterwards.
    fn copy(&self, at: usize, into: &mut [u8]) {
        assert!(at + into.len() <= self.size, "inside the mapping");
        // SAFETY: inside the mapping, which is at least `size` bytes; `into` is ours and does not overlap it. The
        // writer may change the bytes meanwhile: any byte is a valid u8, and the sequence lock tells the caller.
        unsafe { std::ptr::copy_nonoverlapping(self.memory.as_ptr().add(at), into.as_mut_ptr(), into.len()) }
    }

    fn atomic(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at + 8 <= self.size, "inside the mapping, aligned");
        // SAFETY: aligned (pages are, and `at` is), inside the mapping, and changed by the writer atomically only.
        unsafe { &*self.memory.as_ptr().add(at).cast::<AtomicU64>() }
    }

    /// The number of the newest complete frame; 0 = none yet.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.atomic(40).load(Ordering::Acquire)
    }

    /// Whether the view has a new size: it is to be opened again.
    #[must_use]
    pub fn superseded(&self) -> bool {
        let mut word = [0; 4];
        self.copy(48, &mut word);
        u32::from_le_bytes(word) != 0
    }

    /// How many of the newest frames are still there: one slot is always being written.
    #[must_use]
    pub const fn depth(&self) -> u64 {
        self.slots - 1
    }

    /// Copies the luma of frame `number` (rows of `width`); `None` when it is no longer there in one piece.
    pub fn read_luma(&self, number: u64, luma: &mut Vec<u8>) -> Option<FrameInfo> {
        let slot = self.first + usize::try_from(number % self.slots).ok()? * self.slot_size;
        let lock = self.atomic(slot);
        let before = lock.load(Ordering::Acquire);
        let mut head = [0; 16];
        self.copy(slot + 8, &mut head);
        let (stored, captured_at) = head.split_at(8);
        let stored = u64::from_le_bytes(stored.try_into().ok()?);
        let captured_at = u64::from_le_bytes(captured_at.try_into().ok()?);
        if before % 2 == 1 || stored != number {
            return None;
        }
        luma.resize(self.width * self.height, 0);
        match self.format {
            Format::Planar => {
                for (row, line) in luma.chunks_exact_mut(self.width).enumerate() {
                    self.copy(slot + 64 + row * self.stride, line);
                }
            }
            Format::Bgrx => {
                let mut pixels = vec![0; self.width * 4];
                for (row, line) in luma.chunks_exact_mut(self.width).enumerate() {
                    self.copy(slot + 64 + row * self.stride, &mut pixels);
                    for (pixel, luma) in pixels.chunks_exact(4).zip(line) {
                        *luma = luma_of(pixel);
                    }
                }
            }
        }
        fence(Ordering::Acquire);
        (lock.load(Ordering::Relaxed) == before).then_some(FrameInfo { number, captured_at })
    }
}

/// Luma of a B, G, R pixel by BT.601's weights, 0–255.
fn luma_of(pixel: &[u8]) -> u8 {
    let weighted = 29 * u32::from(pixel[0]) + 150 * u32::from(pixel[1]) + 77 * u32::from(pixel[2]);
    u8::try_from(weighted >> 8).unwrap_or(u8::MAX)
}

impl Drop for Texture {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made, with its size; no reference into it outlives this value.
        // There is nothing to do about a failure, and none is possible for a valid mapping.
        let _ = unsafe { munmap(self.memory.as_ptr().cast::<c_void>(), self.size) };
    }
}
