//! A TUN device in a given network namespace.
#![allow(unsafe_code)] // one ioctl

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{Setter, ioctl};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// `TUNSETIFF` of `linux/if_tun.h`.
const TUNSETIFF: rustix::ioctl::Opcode = 0x4004_54ca;
/// `IFF_TUN | IFF_NO_PI`: IP packets, nothing before them.
const FLAGS: u16 = 0x1001;

/// `struct ifreq` of `linux/if.h`, as far as the call reads it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Makes the device `name` (up to 15 bytes) in the namespace `/run/netns/NAMESPACE` and moves the calling thread into that namespace.
/// Reading the descriptor takes a packet that was sent there, writing it delivers one; it does not block.
///
/// # Errors
/// When the namespace is not there, the caller may not do that, the name is too long, or the kernel has no TUN.
pub fn open(namespace: &str, name: &str) -> io::Result<OwnedFd> {
    let mut request = InterfaceRequest { name: [0; 16], flags: FLAGS, rest: [0; 22] };
    if name.len() >= request.name.len() {
        return Err(io::Error::other(format!("{name}: a device's name has up to 15 bytes")));
    }
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    let entry = File::open(Path::new("/run/netns").join(namespace))?;
    move_into_link_name_space(entry.as_fd(), Some(LinkNameSpaceType::Network))?;
    let device = rustix::fs::open("/dev/net/tun", OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    // SAFETY: TUNSETIFF reads a struct ifreq, which `InterfaceRequest` has the size and layout of.
    unsafe { ioctl(&device, Setter::<TUNSETIFF, _>::new(request)) }?;
    Ok(device)
}
