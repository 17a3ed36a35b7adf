//! What ends with its caller: rooms, publishers and players that were bound to it, and its file descriptors.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use zbus::message::{Header, Type};
use zbus::names::{BusName, OwnedUniqueName};
use zbus::{Connection, MatchRule, MessageStream};

use super::levels::LevelMonitors;
use crate::engine::Engine;

/// Something that ends with a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    /// A room, by its number.
    Room(u64),
    /// A publisher, by its channel and stream.
    Publisher(i32, String),
    /// A player, by its number.
    Player(u64),
    /// A view that the daemon shows itself, by its id.
    View(u64),
    /// A texture, by its id.
    Texture(u64),
    /// A recording to the caller's descriptor, by its number.
    Recording(u64),
    /// Its sound level monitor.
    SoundLevels,
}

/// The callers that something is bound to. Nobody else's coming and going wakes the daemon.
#[derive(Clone)]
pub(super) struct Callers {
    connection: Connection,
    engine: Engine,
    levels: LevelMonitors,
    bound: Arc<Mutex<HashMap<OwnedUniqueName, Vec<Bound>>>>,
}

impl Callers {
    pub(super) fn new(connection: Connection, engine: Engine, levels: LevelMonitors) -> Self {
        Self { connection, engine, levels, bound: Arc::default() }
    }

    /// Lets something end with the sender of a call.
    pub(super) async fn bind(&self, call: &Header<'_>, what: Bound) {
        let Some(sender) = call.sender() else { return };
        let name = OwnedUniqueName::from(sender.to_owned());
        // A caller is watched once, from its first thing until it leaves, also when all it had has ended meanwhile.
        let is_new = {
            let mut bound = self.lock();
            let is_new = !bound.contains_key(&name);
            let list = bound.entry(name.clone()).or_default();
            if !list.contains(&what) {
                list.push(what);
            }
            is_new
        };
        if is_new && let Err(error) = self.watch(name).await {
            log::warn!("a caller cannot be watched: {error}");
        }
    }

    /// Forgets what has ended by itself.
    pub(super) fn forget(&self, ended: impl Fn(&Bound) -> bool) {
        for list in self.lock().values_mut() {
            list.retain(|bound| !ended(bound));
        }
    }

    async fn watch(&self, name: OwnedUniqueName) -> zbus::Result<()> {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, name.as_str())
            .build()?;
        let mut changes = MessageStream::for_match_rule(rule, &self.connection, None).await?;
        // Who left before the rule was there is not announced any more.
        let bus = zbus::fdo::DBusProxy::new(&self.connection).await?;
        let is_there = bus.name_has_owner(BusName::from(name.as_ref())).await?;
        let callers = self.clone();
        tokio::spawn(async move {
            if is_there {
                changes.next().await;
            }
            drop(changes);
            callers.left(&name).await;
        });
        Ok(())
    }

    async fn left(&self, name: &OwnedUniqueName) {
        let ended = self.lock().remove(name).unwrap_or_default();
        for what in ended {
            log::info!("caller {} left: {what:?} ends", name.as_str());
            let result = match &what {
                Bound::Room(number) => self.engine.end_room(*number).await,
                Bound::Publisher(_, stream_id) => self.engine.stop_publishing(stream_id).await,
                Bound::Player(number) => self.engine.end_player(*number).await,
                Bound::View(id) => self.engine.destroy_platform_view(*id).await,
                Bound::Texture(id) => self.engine.destroy_texture(*id).await,
                Bound::Recording(number) => self.engine.end_recording(*number).await,
                Bound::SoundLevels => {
                    self.levels.stop(name);
                    Ok(())
                }
            };
            if let Err(error) = result {
                log::debug!("{what:?}: {error}");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OwnedUniqueName, Vec<Bound>>> {
        // Each change is one call.
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
