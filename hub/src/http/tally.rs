//! What was refused at the door because it was too much.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that several tasks add to.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often each limit was met.
#[derive(Debug, Default)]
pub struct Refused {
    /// An address had too many connections.
    pub connections: Count,
    /// An address asked too often.
    pub requests: Count,
    /// A user joined too often.
    pub joins: Count,
    /// A client that said too much had to wait, or was closed.
    pub messages: Count,
}
