//! What a change of the network means for what runs.

use std::sync::Arc;

use super::core::Core;
use super::event::EngineEvent;
use super::handle::Task;
use super::room::RoomInput;
use crate::network::{self, Network};

impl Core {
    /// Hears of the network's changes from now on.
    pub(super) fn watch_network(&mut self) {
        let mut changes = match network::watch() {
            Ok(changes) => changes,
            Err(error) => {
                log::warn!("changes of the network are noticed late, by their effects: {error}");
                return;
            }
        };
        self.network = changes.borrow_and_update().clone();
        let tasks = self.tasks.clone();
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let network = changes.borrow_and_update().clone();
                let task: Task = Box::new(move |core| core.network_changed(network));
                if tasks.send(task).is_err() {
                    return;
                }
            }
        });
    }

    fn network_changed(&mut self, network: Network) {
        let before = std::mem::replace(&mut self.network, network.clone());
        if network.mode() != before.mode() {
            self.news.tell(EngineEvent::NetworkMode(network.mode()));
        }
        let gained = network.gained(&before);
        let network = Arc::new(network);
        for room in self.rooms.values().map(|entry| &entry.room).chain(&self.endpoints) {
            room.tell(RoomInput::Network { network: network.clone(), gained });
        }
    }
}
