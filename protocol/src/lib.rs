//! What passes between the programs: names, types, errors, identifiers, tokens.
//!
//! Nothing here knows a socket, a device or a clock: times are passed in. Only what is not always built in does: `discovery::browse`
//! asks the network, and `trust` reads which authorities are believed. The numbers, limits and words are ZEGO Express's, so that whoever knows its API knows zegod's.

pub mod discovery;
pub mod error;
pub mod fingerprint;
pub mod id;
pub mod names;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod signal;
pub mod state;
pub mod token;
#[cfg(feature = "trust")]
pub mod trust;
