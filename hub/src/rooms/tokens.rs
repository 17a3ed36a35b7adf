//! Tokens of those who are in a room: a new one takes the place of the old one, and one may end.

use livekit_protocol as proto;
use proto::signal_response::Message as Response;
use zego_protocol::error::sentence;

use super::{Join, Moment, Rooms};
use crate::sfu::{Command, ParticipantKey, PeerId, Side};

/// The new token does not allow publishing, as the old one does.
const CANNOT_PUBLISH: i32 = 1_002_082;
/// The token expired, and its user is put out.
const EXPIRED: i32 = 1_002_056;

impl Rooms {
    /// A client that is in the room shows a new token, already verified: it counts from now on. Running streams go on.
    /// The error is a sentence with its code.
    pub fn renew(&mut self, join: &Join, token: String) -> Result<(), String> {
        let Some(key) = self.present(join).filter(|key| self.is_same_login(*key, join)) else {
            // It is not in the room now: the token is good, and is used when it comes back.
            return Ok(());
        };
        let Some(person) = self.people.get_mut(&key) else { return Ok(()) };
        if person.claims.can_publish && !join.claims.can_publish {
            let detail = format!("Room '{}': user '{}' may publish now", join.room, person.identity);
            return Err(sentence(CANNOT_PUBLISH, &detail));
        }
        person.claims = join.claims.clone();
        // What an administrator has set goes before every token.
        person.keep_permission();
        let may_data = person.claims.can_publish_data;
        let peer = PeerId { participant: key, side: Side::Publisher };
        self.media(Command::SetMayData(peer, may_data));
        // The client takes its session up with it when its connection breaks.
        self.send(key, Response::RefreshToken(token));
        Ok(())
    }

    /// Puts a participant out whose token expired, if that is what the configuration wants.
    pub(super) fn expire(&mut self, key: ParticipantKey, now: Moment) -> bool {
        let over = |person: &super::participant::Participant| {
            i64::try_from(person.claims.good_until()).is_ok_and(|until| until.saturating_add(1) * 1000 <= now.unix_ms)
        };
        let expired = self.settings.expire_sessions && self.people.get(&key).is_some_and(over);
        if expired {
            self.put_out(key, EXPIRED, now);
        }
        expired
    }
}
