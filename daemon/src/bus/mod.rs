//! The D-Bus interface: one file per interface, which converts and checks arguments and nothing else.
//!
//! Calls go down to the [`Engine`]; its news come up to one pump, which keeps the objects and sends the signals.
//! **A reply leaves only after the signals and property changes that its call caused.**

mod callers;
mod device;
mod engine;
mod error;
mod levels;
mod object;
mod options;
mod player;
mod publisher;
mod pump;
mod requests;
mod room;
mod stream;
mod telephony;
mod values;
mod view;

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use zbus::fdo::ObjectManager;
use zego_protocol::names;

use crate::engine::{Engine, EngineEvent};

pub use error::BusError;

/// Which bus to serve on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The system's.
    System,
    /// That of the user's session.
    Session,
    /// Another one, by its D-Bus address.
    Other(String),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System => f.write_str("the system bus"),
            Self::Session => f.write_str("the session bus"),
            Self::Other(address) => write!(f, "the bus at {address}"),
        }
    }
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "system" => Ok(Self::System),
            "session" => Ok(Self::Session),
            address if address.contains(':') => Ok(Self::Other(address.to_owned())),
            other => Err(format!("'{other}' is no bus; use system, session or an address such as unix:path=/run/bus")),
        }
    }
}

/// The daemon on its bus, until it is dropped.
pub struct Bus {
    connection: zbus::Connection,
}

impl Bus {
    /// Connects, exports the objects, and then takes the bus name: whoever sees the name finds the objects.
    ///
    /// # Errors
    /// [`BusError::Connect`], [`BusError::Name`] when another daemon has the name or the policy forbids it.
    pub async fn serve(
        address: &Address,
        engine: Engine,
        events: UnboundedReceiver<EngineEvent>,
    ) -> Result<Self, BusError> {
        let builder = match address {
            Address::System => zbus::connection::Builder::system(),
            Address::Session => zbus::connection::Builder::session(),
            Address::Other(address) => zbus::connection::Builder::address(address.as_str()),
        };
        let connect = |source| BusError::Connect { bus: address.clone(), source };
        let connection = builder.build().await.map_err(connect)?;
        let (handled, handled_is) = watch::channel(0);
        let state = Arc::new(std::sync::Mutex::new(crate::engine::EngineInfo::default()));
        let levels = levels::LevelMonitors::new(connection.clone());
        let callers = callers::Callers::new(connection.clone(), engine.clone(), levels.clone());
        let interface = engine::EngineInterface::new(
            connection.clone(),
            engine.clone(),
            state.clone(),
            handled_is,
            callers.clone(),
            levels,
        );
        let server = connection.object_server();
        server.at(names::ROOT_PATH, ObjectManager).await.map_err(connect)?;
        server.at(names::ROOT_PATH, interface).await.map_err(connect)?;
        let pump = pump::Pump::new(connection.clone(), engine.clone(), state, callers);
        tokio::spawn(pump.run(events, handled));
        if let Err(error) = telephony::watch(&connection, engine.clone()).await {
            log::warn!("telephone calls will not be noticed: {error}");
        }
        // The devices are objects before the name is there, too.
        engine.watch_devices().await;
        // Not in the queue for it: a second daemon ends, and says why.
        let alone = zbus::fdo::RequestNameFlags::DO_NOT_QUEUE;
        let taken = connection.request_name_with_flags(names::BUS_NAME, alone).await;
        taken.map_err(|source| BusError::Name { source })?;
        Ok(Self { connection })
    }

    /// Waits until the bus is gone.
    pub async fn closed(&self) {
        self.connection.closed().await;
    }

    /// Gives the name back: nobody calls any more.
    pub async fn leave(&self) {
        if let Err(error) = self.connection.release_name(names::BUS_NAME).await {
            log::debug!("releasing the bus name: {error}");
        }
    }
}
