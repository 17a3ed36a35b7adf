//! What passes between the programs: names, types, errors, identifiers, tokens.
//!
//! Nothing here knows a socket, a device or a clock: times are passed in. The numbers, limits and words are ZEGO
//! Express's, so that whoever knows its API knows zegod's.

pub mod error;
pub mod id;
pub mod names;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod signal;
pub mod state;
pub mod token;
