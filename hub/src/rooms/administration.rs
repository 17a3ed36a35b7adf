//! What administrators do to rooms, from outside (`livekit.RoomService`).

use super::{Moment, Rooms};
use crate::sfu::ParticipantKey;

/// A user was put out by an administrator.
const REMOVED: i32 = 1_002_055;

/// Something that an administrator of an AppID asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Administration {
    /// Put a user out of a room.
    RemoveParticipant {
        /// The AppID.
        app: String,
        /// The room's name.
        room: String,
        /// The user.
        identity: String,
    },
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdministrationError {
    /// There is no such room, or nobody of that name in it.
    #[error("participant '{identity}' is not in room '{room}'")]
    NoParticipant {
        /// The room.
        room: String,
        /// The user.
        identity: String,
    },
}

impl Rooms {
    /// Does what an administrator asks for.
    pub fn administer(&mut self, asked: Administration, now: Moment) -> Result<(), AdministrationError> {
        match asked {
            Administration::RemoveParticipant { app, room, identity } => {
                let Some(key) = self.member(&app, &room, &identity) else {
                    return Err(AdministrationError::NoParticipant { room, identity });
                };
                log::info!("{identity} is removed from {room} by an administrator");
                self.put_out(key, REMOVED, now);
                Ok(())
            }
        }
    }

    fn member(&self, app: &str, room: &str, identity: &str) -> Option<ParticipantKey> {
        let (key, _) = self.rooms.iter().find(|(_, known)| known.app == app && known.name == room)?;
        self.find(*key, identity)
    }
}
