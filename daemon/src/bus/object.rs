//! What all objects share: they are exported, changed and removed as the engine's news say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zbus::object_server::{Interface, SignalEmitter};
use zbus::{Connection, Variant};

use crate::engine::{Change, Engine, Quality};

/// What an object shows: the engine's newest words about it.
#[derive(Debug)]
pub(super) struct Shown<T> {
    /// What the engine says.
    pub(super) info: T,
    /// What was measured last.
    pub(super) quality: Quality,
}

/// What an object shows, shared between the interface that reads it and the pump that writes it.
pub(super) type Shared<T> = Arc<Mutex<Shown<T>>>;

/// Looks at what an object shows.
pub(super) fn look<T>(shared: &Shared<T>) -> MutexGuard<'_, Shown<T>> {
    // Writers replace whole values.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An interface whose objects come and go.
pub(super) trait Object: Interface + Sized {
    /// What the engine says of one.
    type Info: Clone + Send + 'static;

    /// The number of an object.
    fn number(info: &Self::Info) -> u64;
    /// Where the object is.
    fn path(number: u64) -> String;
    /// The interface for a new object.
    fn new(shared: Shared<Self::Info>, engine: Engine) -> Self;
    /// The properties whose changes are told, except those that only their own setter changes.
    fn properties(info: &Self::Info) -> Vec<(&'static str, Variant<'static>)>;
}

/// All objects of one interface.
pub(super) struct Objects<O: Object> {
    connection: Connection,
    engine: Engine,
    shown: HashMap<u64, Shared<O::Info>>,
}

impl<O: Object> Objects<O> {
    pub(super) fn new(connection: Connection, engine: Engine) -> Self {
        Self { connection, engine, shown: HashMap::new() }
    }

    /// What an object shows.
    pub(super) fn get(&self, number: u64) -> Option<&Shared<O::Info>> {
        self.shown.get(&number)
    }

    /// Exports, changes or removes an object.
    pub(super) async fn apply(&mut self, change: Change<O::Info>) -> zbus::Result<()> {
        match change {
            Change::Added(info) => {
                let number = O::number(&info);
                let shared = Arc::new(Mutex::new(Shown { info, quality: Quality::new() }));
                self.shown.insert(number, shared.clone());
                let object = O::new(shared, self.engine.clone());
                self.connection.object_server().at(O::path(number), object).await?;
            }
            Change::Changed(info) => {
                let number = O::number(&info);
                let Some(shared) = self.shown.get(&number) else { return Ok(()) };
                let after = O::properties(&info);
                let before = O::properties(&std::mem::replace(&mut look(shared).info, info));
                let changed: HashMap<&str, &Variant<'static>> = after
                    .iter()
                    .zip(&before)
                    .filter(|(after, before)| after != before)
                    .map(|((name, value), _)| (*name, value))
                    .collect();
                if !changed.is_empty() {
                    let emitter = SignalEmitter::new(&self.connection, O::path(number))?;
                    let body = (O::name(), changed, [""; 0].as_slice());
                    emitter.emit("org.freedesktop.DBus.Properties", "PropertiesChanged", &body).await?;
                }
            }
            Change::Removed(number) => {
                if self.shown.remove(&number).is_some() {
                    self.connection.object_server().remove::<O, _>(O::path(number)).await?;
                }
            }
        }
        Ok(())
    }
}
