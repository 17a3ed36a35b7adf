//! What can go wrong on the bus, and how a refusal of the engine travels over it.

use zbus::message::{Header, Message};
use zbus::names::ErrorName;

use super::Address;
use crate::engine::EngineError;

/// Why the daemon cannot serve on its bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No connection to the bus.
    #[error("no connection to {bus}: {source}; is the bus running, and its address right?")]
    Connect {
        /// Which one.
        bus: Address,
        /// Why.
        source: zbus::Error,
    },
    /// The name cannot be had.
    #[error("the bus name org.zegod1 cannot be taken: {source}; another zegod has it, or the bus policy forbids it")]
    Name {
        /// Why.
        source: zbus::Error,
    },
}

/// An [`EngineError`] as a D-Bus error: `org.zegod1.Error.NAME`, its sentence ending with the code.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) EngineError);

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self(error)
    }
}

impl zbus::DBusError for Refusal {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&self.0.message)
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_static_str_unchecked(self.0.name.dbus_name())
    }

    fn description(&self) -> Option<&str> {
        Some(&self.0.message)
    }
}
