//! TURN servers that participants are told of.
//!
//! With one peer connection the client's first offer is made before it knows them. It uses them from its next offer on (RFC 9429, section
//! 4.1.18: the next one restarts ICE), so whoever does not get through is asked for one.

use std::time::Duration;

use livekit_protocol as proto;
use proto::signal_response::Message as Response;

use super::{Moment, Path, Rooms};
use crate::sfu::ParticipantKey;

/// For media to get through by itself.
const RELAY_TIME: Duration = Duration::from_secs(2);

impl Rooms {
    /// Where a participant may have its media relayed, with credentials that are good from now on.
    pub(super) fn ice_servers(&self, key: ParticipantKey, now: Moment) -> Vec<proto::IceServer> {
        let unix_s = u64::try_from(now.unix_ms / 1000).unwrap_or_default();
        let told = self.settings.turn.as_ref().zip(self.people.get(&key));
        told.map(|(turn, person)| turn.for_client(&person.sid, unix_s)).into_iter().collect()
    }

    /// Asks a client whose media does not get through for an offer, once.
    pub(super) fn ask_to_relay(&mut self, key: ParticipantKey, now: Moment) {
        if self.settings.turn.is_none() {
            return;
        }
        let Some(person) = self.people.get_mut(&key) else { return };
        let waited = now.at.saturating_duration_since(person.joined_at) >= RELAY_TIME;
        let negotiated = person.last_offer_id > 0 && person.pending.is_empty();
        if person.path == Path::One && !person.active && !person.asked_to_relay && waited && negotiated {
            person.asked_to_relay = true;
            log::info!("{} is not connected yet: its media is to be relayed", person.identity);
            self.send(key, Response::MediaSectionsRequirement(proto::MediaSectionsRequirement::default()));
        }
    }
}
