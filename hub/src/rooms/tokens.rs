//! Tokens of those who are in a room: a new one takes the place of the old one, and one may end.

use std::time::Duration;

use livekit_protocol as proto;
use proto::signal_response::Message as Response;
use zego_protocol::error::sentence;
use zego_protocol::token::TokenKind;

use super::{Join, Moment, Output, Rooms};
use crate::sfu::{Command, ParticipantKey, PeerId, Side};

/// The new token does not allow publishing, as the old one does.
const CANNOT_PUBLISH: i32 = 1_002_082;
/// The token expired, and its user is put out.
const EXPIRED: i32 = 1_002_056;

/// Clients get a new token so often, as from LiveKit's servers.
const REFRESH: Duration = Duration::from_secs(300);
/// A new token is good for so long, in seconds, or for as long as the one before.
const REFRESHED_TTL_S: u64 = 600;
/// What is said about a participant is left out of its token, which travels in a header, when it has more bytes than this.
const ABOUT_LIMIT: usize = 4096;

impl Rooms {
    /// Sends a client of LiveKit's a new token: it grants what the participant may do now, and describes it as it is now. ZEGO's clients
    /// get theirs from their own server, before the old one ends.
    pub(super) fn refresh_token(&mut self, key: ParticipantKey, now: Moment) {
        let Some(person) = self.people.get_mut(&key) else { return };
        let Some(connection) = person.connection else { return };
        if person.claims.kind != TokenKind::LiveKit || !person.login.is_empty() {
            return;
        }
        person.refreshed_at = now.at;
        let mut claims = person.claims.clone();
        let about = person.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if about + person.metadata.len() <= ABOUT_LIMIT {
            claims.attributes = person.attributes.clone().into_iter().collect();
            claims.metadata.clone_from(&person.metadata);
        }
        claims.name = Some(person.name.clone());
        claims.issued_at = u64::try_from(now.unix_ms / 1000).unwrap_or(0);
        // Where sessions end with their token, no other token makes them longer.
        if !self.settings.expire_sessions {
            claims.expires_at = claims.expires_at.max(claims.issued_at + REFRESHED_TTL_S);
        }
        self.out.push_back(Output::Token(connection, Box::new(claims)));
    }

    /// The same, when it is time.
    pub(super) fn refresh_when_due(&mut self, key: ParticipantKey, now: Moment) {
        let due = |at| now.at.saturating_duration_since(at) >= REFRESH;
        if self.people.get(&key).is_some_and(|person| due(person.refreshed_at)) {
            self.refresh_token(key, now);
        }
    }

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
