//! Media over TCP (RFC 4571, RFC 6544), for networks without UDP: datagrams on a stream.
//!
//! A stream loses nothing, so what is too much for its line would pile up and be late for ever. [`Sender`] keeps it young in three places:
//! what waits here (`queue`), what waits in the kernel, and what is on its way (`flight`). `rate` tells whoever makes the media what fits.

mod flight;
mod framing;
mod queue;
mod rate;
mod sender;
mod unacknowledged;

pub use framing::{BadFrame, Deframer};
pub use queue::Kind;
pub use sender::{Sender, Waits, prepare};
