//! TURN servers that participants are told of.

use livekit_protocol as proto;

use super::{Moment, Rooms};
use crate::sfu::ParticipantKey;

impl Rooms {
    /// Where a participant may have its media relayed, with credentials that are good from now on.
    pub(super) fn ice_servers(&self, key: ParticipantKey, now: Moment) -> Vec<proto::IceServer> {
        let unix_s = u64::try_from(now.unix_ms / 1000).unwrap_or_default();
        let told = self.settings.turn.as_ref().zip(self.people.get(&key));
        told.map(|(turn, person)| turn.for_client(&person.sid, unix_s)).into_iter().collect()
    }
}
