//! Streaming from a V4L2 capture node through mapped buffers.
//!
//! The crate's own stream panics when a camera was pulled out, queues a buffer twice after a timeout and does not tell damaged
//! pictures; its format types panic on colour spaces that it does not know. So the few calls are made here, on its device and its
//! structures. The one place of the cameras with raw pointers.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use v4l::device::Handle;
use v4l::v4l_sys::{
    V4L2_BUF_FLAG_ERROR, V4L2_BUF_FLAG_TIMESTAMP_MASK, V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC, V4L2_CAP_DEVICE_CAPS,
    v4l2_buf_type_V4L2_BUF_TYPE_VIDEO_CAPTURE as CAPTURE, v4l2_buffer, v4l2_capability, v4l2_format,
    v4l2_memory_V4L2_MEMORY_MMAP as MMAP, v4l2_requestbuffers,
};
use v4l::v4l2::{self, vidioc};

use crate::clock::Monotonic;

/// Buffers that the driver fills in turn: one is looked at, the others bridge a late reader.
const BUFFERS: u32 = 4;

/// One ioctl on an open node. `T` must be the structure that the request is defined with.
fn ioctl<T>(handle: &Handle, request: vidioc::_IOC_TYPE, argument: &mut T) -> io::Result<()> {
    loop {
        // SAFETY: the descriptor is open as long as the handle, and every caller passes the structure of its request.
        match unsafe { v4l2::ioctl(handle.fd(), request, std::ptr::from_mut(argument).cast::<c_void>()) } {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// What a node says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Capability {
    pub(super) driver: String,
    pub(super) card: String,
    pub(super) flags: u32,
}

/// Asks a node what it is.
pub(super) fn capability(handle: &Handle) -> io::Result<Capability> {
    // SAFETY: a C structure of integers and arrays, for which zeroes are valid.
    let mut answer: v4l2_capability = unsafe { std::mem::zeroed() };
    ioctl(handle, vidioc::VIDIOC_QUERYCAP, &mut answer)?;
    let text =
        |bytes: &[u8]| String::from_utf8_lossy(bytes.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned();
    let own = answer.capabilities & V4L2_CAP_DEVICE_CAPS != 0;
    Ok(Capability {
        driver: text(&answer.driver),
        card: text(&answer.card),
        flags: if own { answer.device_caps } else { answer.capabilities },
    })
}

/// What a capture node agreed to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PixelLayout {
    pub(super) fourcc: [u8; 4],
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes of a row of the first plane.
    pub(super) stride: u32,
}

/// Asks a node for a format; it answers with what it will deliver.
pub(super) fn set_format(handle: &Handle, fourcc: [u8; 4], width: u32, height: u32) -> io::Result<PixelLayout> {
    // SAFETY: as above.
    let mut format: v4l2_format = unsafe { std::mem::zeroed() };
    format.type_ = CAPTURE;
    format.fmt.pix.width = width;
    format.fmt.pix.height = height;
    format.fmt.pix.pixelformat = u32::from_le_bytes(fourcc);
    ioctl(handle, vidioc::VIDIOC_S_FMT, &mut format)?;
    // SAFETY: for this type of buffer it is the union's member that the driver filled in.
    let pixels = unsafe { format.fmt.pix };
    Ok(PixelLayout {
        fourcc: pixels.pixelformat.to_le_bytes(),
        width: pixels.width,
        height: pixels.height,
        stride: pixels.bytesperline,
    })
}

/// One buffer of the driver, mapped.
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `Stream::start` with this length, unmapped once; no slice outlives the stream.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// A buffer that the driver filled and that is ours until it is queued again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filled {
    pub(super) index: u32,
    /// Bytes that belong to the picture.
    pub(super) length: usize,
    /// When the driver took it, if it says so by the right clock.
    pub(super) taken: Option<Monotonic>,
    /// The driver calls it damaged.
    pub(super) damaged: bool,
}

/// A running capture. Dropping it stops it, whatever became of the device.
pub(super) struct Stream {
    handle: Arc<Handle>,
    mappings: Vec<Mapping>,
}

// SAFETY: the mappings belong to this value alone; they are reached through its methods only.
unsafe impl Send for Stream {}

impl Stream {
    /// Maps the node's buffers, queues them and starts the capture.
    pub(super) fn start(handle: Arc<Handle>) -> io::Result<Self> {
        // SAFETY: as above.
        let mut request: v4l2_requestbuffers = unsafe { std::mem::zeroed() };
        (request.count, request.type_, request.memory) = (BUFFERS, CAPTURE, MMAP);
        ioctl(&handle, vidioc::VIDIOC_REQBUFS, &mut request)?;
        let mut stream = Self { handle, mappings: Vec::new() };
        for index in 0..request.count {
            let mut buffer = Self::buffer(index);
            ioctl(&stream.handle, vidioc::VIDIOC_QUERYBUF, &mut buffer)?;
            // SAFETY: for mapped memory it is the union's member that the driver filled in.
            let (offset, length) = (u64::from(unsafe { buffer.m.offset }), buffer.length as usize);
            // SAFETY: a fresh mapping of the buffer that the driver described, at an address of the kernel's choice.
            let start = unsafe {
                mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, stream.descriptor(), offset)?
            };
            let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
            stream.mappings.push(Mapping { start, length });
        }
        for index in 0..request.count {
            stream.queue(index)?;
        }
        let mut kind = CAPTURE;
        ioctl(&stream.handle, vidioc::VIDIOC_STREAMON, &mut kind)?;
        Ok(stream)
    }

    fn buffer(index: u32) -> v4l2_buffer {
        // SAFETY: as above.
        let mut buffer: v4l2_buffer = unsafe { std::mem::zeroed() };
        (buffer.index, buffer.type_, buffer.memory) = (index, CAPTURE, MMAP);
        buffer
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: the handle keeps it open, and the borrow keeps the handle.
        unsafe { BorrowedFd::borrow_raw(self.handle.fd()) }
    }

    /// Waits until a buffer is filled, or something happened to the device. False after the timeout.
    pub(super) fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let descriptor = self.descriptor();
        let mut ready = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
        match poll(&mut ready, Some(&timeout)) {
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes the oldest filled buffer, if there is one.
    pub(super) fn take(&mut self) -> io::Result<Option<Filled>> {
        let mut buffer = Self::buffer(0);
        match ioctl(&self.handle, vidioc::VIDIOC_DQBUF, &mut buffer) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        let monotonic = buffer.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        let time = &buffer.timestamp;
        let micros = u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0);
        Ok(Some(Filled {
            index: buffer.index,
            length: buffer.bytesused as usize,
            taken: monotonic.then(|| Monotonic::from_nanos(micros * 1_000)),
            damaged: buffer.flags & V4L2_BUF_FLAG_ERROR != 0,
        }))
    }

    /// Gives a buffer back to the driver.
    pub(super) fn queue(&mut self, index: u32) -> io::Result<()> {
        ioctl(&self.handle, vidioc::VIDIOC_QBUF, &mut Self::buffer(index))
    }

    /// The bytes of a filled buffer. It must not be queued while they are looked at, which the borrow sees to.
    pub(super) fn bytes(&self, filled: &Filled) -> &[u8] {
        let mapping = &self.mappings[filled.index as usize];
        // SAFETY: inside the mapping; the driver does not write to a buffer that is not queued, and queueing takes `&mut self`.
        unsafe { std::slice::from_raw_parts(mapping.start.as_ptr(), filled.length.min(mapping.length)) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A device that is gone refuses both; there is nothing left to stop then.
        let mut kind = CAPTURE;
        let _ = ioctl(&self.handle, vidioc::VIDIOC_STREAMOFF, &mut kind);
        self.mappings.clear();
        // SAFETY: as above.
        let mut request: v4l2_requestbuffers = unsafe { std::mem::zeroed() };
        (request.type_, request.memory) = (CAPTURE, MMAP);
        let _ = ioctl(&self.handle, vidioc::VIDIOC_REQBUFS, &mut request);
    }
}
