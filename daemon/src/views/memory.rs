//! Memory that another process reads while this one writes it.
//!
//! The one place of the views with raw pointers: a memfd is mapped once, writable, and then sealed, so that nobody, this
//! process included, can map it writable again, write to it, or change its size. A reader that maps it can therefore never be
//! killed by a shrinking file, and no reader can disturb another.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A sealed memfd and the only writable mapping of it.
#[derive(Debug)]
pub(super) struct SharedMemory {
    start: NonNull<u8>,
    length: usize,
    memfd: OwnedFd,
}

// SAFETY: the mapping belongs to this value alone within the process; plain bytes are reached through `&mut self` only, the
// atomics through atomic types.
unsafe impl Send for SharedMemory {}
// SAFETY: as above; a shared reference gives out atomics and the descriptor only.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// `length` zero bytes.
    pub(super) fn new(length: usize) -> io::Result<Self> {
        let memfd = memfd_create(c"zegod-texture", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&memfd, length as u64)?;
        // SAFETY: a fresh mapping at an address of the kernel's choice; the file has this length and the seals below keep it.
        let start = unsafe {
            mmap(std::ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &memfd, 0)?
        };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let memory = Self { start, length, memfd };
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
        fcntl_add_seals(&memory.memfd, seals)?;
        Ok(memory)
    }

    /// The descriptor for readers.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.memfd.as_fd()
    }

    /// The bytes from `offset` on. No atomic may lie among them.
    pub(super) fn bytes_mut(&mut self, offset: usize, length: usize) -> &mut [u8] {
        assert!(offset + length <= self.length, "inside the mapping");
        // SAFETY: inside the mapping, and `&mut self` makes this the only reference in this process. Other processes can only
        // read; what they read while it is written they throw away (sequence lock).
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(offset), length) }
    }

    /// The u32 at `offset`, a multiple of four.
    pub(super) fn atomic_u32(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.length, "aligned and inside the mapping");
        // SAFETY: aligned, inside the mapping, alive as long as `self`; all access goes through atomics.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }

    /// The u64 at `offset`, a multiple of eight.
    pub(super) fn atomic_u64(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.length, "aligned and inside the mapping");
        // SAFETY: aligned, inside the mapping, alive as long as `self`; all access goes through atomics.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, unmapped once; no reference outlives `self`.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// A second, read-only mapping of a descriptor, as a client makes one.
#[cfg(test)]
pub(super) struct ReaderMapping {
    start: NonNull<u8>,
    length: usize,
}

#[cfg(test)]
// SAFETY: it is only read.
unsafe impl Sync for ReaderMapping {}

#[cfg(test)]
impl ReaderMapping {
    pub(super) fn new(memory: &OwnedFd) -> Self {
        let length = rustix::fs::fstat(memory).unwrap().st_size as usize;
        // SAFETY: a fresh read-only mapping of a file that cannot shrink.
        let start =
            unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, memory, 0) }.unwrap();
        Self { start: NonNull::new(start.cast()).unwrap(), length }
    }

    /// A copy of what is there now, byte by byte as another process would read it.
    pub(super) fn copy(&self, offset: usize, length: usize) -> Vec<u8> {
        assert!(offset + length <= self.length);
        // SAFETY: inside the mapping; volatile, since the writer may be at work.
        (offset..offset + length).map(|at| unsafe { self.start.as_ptr().add(at).read_volatile() }).collect()
    }

    pub(super) fn u64(&self, offset: usize) -> u64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.length);
        // SAFETY: aligned and inside the mapping.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(offset).cast()) }
            .load(std::sync::atomic::Ordering::Acquire)
    }

    pub(super) fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.copy(offset, 4).try_into().unwrap())
    }
}

#[cfg(test)]
impl Drop for ReaderMapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::fcntl_get_seals;
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn the_seals_refuse_every_change_by_others() {
        let memory = SharedMemory::new(8192).unwrap();
        let theirs = memory.descriptor().try_clone_to_owned().unwrap();
        let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
        assert_eq!(fcntl_get_seals(&theirs).unwrap(), all);
        assert_eq!(ftruncate(&theirs, 4096), Err(Errno::PERM), "shrinking");
        assert_eq!(ftruncate(&theirs, 16384), Err(Errno::PERM), "growing");
        assert_eq!(rustix::io::pwrite(&theirs, b"x", 0), Err(Errno::PERM), "writing");
        assert_eq!(fcntl_add_seals(&theirs, SealFlags::WRITE), Err(Errno::PERM), "sealing");
        // SAFETY: the call is expected to fail; a mapping would be leaked, not used.
        let writable = unsafe {
            mmap(std::ptr::null_mut(), 8192, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &theirs, 0)
        };
        assert_eq!(writable, Err(Errno::PERM), "mapping it writable");
    }

    #[test]
    fn a_reader_sees_what_is_written_after_it_mapped_and_after_the_writer_is_gone() {
        let mut memory = SharedMemory::new(4096).unwrap();
        let reader = ReaderMapping::new(&memory.descriptor().try_clone_to_owned().unwrap());
        assert_eq!(reader.copy(100, 3), [0, 0, 0]);
        memory.bytes_mut(100, 3).copy_from_slice(b"abc");
        memory.atomic_u64(8).store(77, std::sync::atomic::Ordering::Release);
        assert_eq!(reader.copy(100, 3), b"abc");
        drop(memory);
        assert_eq!((reader.copy(100, 3), reader.u64(8)), (b"abc".to_vec(), 77));
    }
}
