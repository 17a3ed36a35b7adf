//! A descriptor that the runtime waits for.

#![allow(unsafe_code)] // the runtime's registration; what makes it sound is the type that is registered

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Lets the runtime wait until there is something to read.
///
/// # Errors
/// The system's, when the descriptor cannot be waited for.
pub(super) fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open for as long as it lives and always the same descriptor; the `AsyncFd` owns it, and nobody
    // replaces what it refers to.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}
