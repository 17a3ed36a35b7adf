//! D-Bus proxies of zegod's interfaces, for clients written in Rust.
//!
//! ```no_run
//! # async fn example() -> zbus::Result<()> {
//! let connection = zbus::Connection::system().await?;
//! let engine = zego_protocol::proxy::engine(&connection).await?;
//! let (publisher, state) = engine.start_publishing("door", Default::default()).await?;
//! # Ok(()) }
//! ```

mod engine;
mod objects;

use std::collections::HashMap;

use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, Variant};

pub use engine::*;
pub use objects::*;

use crate::names;

/// Optional arguments, the last argument of most methods.
pub type Options<'a> = HashMap<&'a str, Variant<'a>>;
/// A dictionary that the daemon sends.
pub type Details = HashMap<String, OwnedVariant>;
/// The outcome of a start: the object that stands for it, and its state's number.
pub type Started = (OwnedObjectPath, i32);
/// A stream in a list: stream id, user id, user name, details.
pub type StreamEntry = (String, String, String, Details);

/// The engine's proxy, without a cache of properties: each read asks the daemon.
///
/// # Errors
/// Those of building a proxy; it does not ask the bus.
pub async fn engine(connection: &Connection) -> zbus::Result<EngineProxy<'static>> {
    EngineProxy::builder(connection).cache_properties(CacheProperties::No).build().await
}

/// The proxy of the root's ObjectManager: the state of everything, as objects with properties.
///
/// # Errors
/// Those of building a proxy; it does not ask the bus.
pub async fn objects(connection: &Connection) -> zbus::Result<zbus::fdo::ObjectManagerProxy<'static>> {
    zbus::fdo::ObjectManagerProxy::builder(connection)
        .destination(names::BUS_NAME)
        .path(names::ROOT_PATH)
        .cache_properties(CacheProperties::No)
        .build()
        .await
}
