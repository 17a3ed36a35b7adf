//! Who may receive what a participant publishes, as the participant itself says it (`SubscriptionPermission`). Until it says
//! anything, everybody may.

use livekit_protocol as proto;
use proto::signal_response::Message as Response;

use super::Rooms;
use super::participant::Participant;
use crate::sfu::{Command, ParticipantKey, TrackKey, Wish};

/// Whether `subscriber` may receive the track `sid` of a participant that said `permission`.
fn admits(permission: &proto::SubscriptionPermission, subscriber: &Participant, sid: &str) -> bool {
    let meant = |p: &&proto::TrackPermission| {
        p.participant_sid == subscriber.sid || p.participant_identity == subscriber.identity
    };
    let mut named = permission.track_permissions.iter().filter(meant);
    permission.all_participants || named.any(|p| p.all_tracks || p.track_sids.iter().any(|s| s == sid))
}

impl Participant {
    /// How the forwarding unit is to treat a track for it: as it wishes, unless it may not have the track.
    pub fn granted(&self, track: TrackKey) -> Wish {
        let wish = self.shows.get(&track).copied().unwrap_or_default();
        Wish { shown: wish.shown && !self.denied.contains(&track), ..wish }
    }

    /// Whether it lets somebody receive its track `sid`.
    pub fn admits(&self, subscriber: &Participant, sid: &str) -> bool {
        self.audience.as_ref().is_none_or(|audience| admits(audience, subscriber, sid))
    }
}

impl Rooms {
    /// A participant says who may receive its tracks, in the place of what it said before.
    pub(super) fn subscription_permission(&mut self, key: ParticipantKey, permission: proto::SubscriptionPermission) {
        let Some(person) = self.people.get_mut(&key) else { return };
        person.audience = Some(permission);
        for member in self.room_members(key).into_iter().filter(|member| *member != key) {
            self.deliver(member);
        }
        self.keep_data_audience(key);
    }

    /// Brings up to date which tracks a participant may not receive, and tells it what changed. What it receives without leave
    /// stops at once, not only when its client negotiates.
    pub(super) fn keep_audience(&mut self, key: ParticipantKey) {
        let Some(person) = self.people.get(&key) else { return };
        let mut changes = Vec::new();
        let others = self.room_members(key).into_iter().filter(|member| *member != key);
        for owner in others.filter_map(|member| self.people.get(&member)) {
            for publication in owner.published.iter().filter(|p| p.announced) {
                let sid = &publication.info.sid;
                let allowed = owner.admits(person, sid);
                if allowed == person.denied.contains(&publication.key) {
                    changes.push((publication.key, owner.sid.clone(), sid.clone(), allowed));
                }
            }
        }
        for (track, participant_sid, track_sid, allowed) in changes {
            let Some(person) = self.people.get_mut(&key) else { return };
            if allowed {
                person.denied.remove(&track);
            } else {
                person.denied.insert(track);
            }
            let (peer, wish) = (person.delivering_peer(key), person.granted(track));
            self.media(Command::Show { peer, track, wish });
            let update = proto::SubscriptionPermissionUpdate { participant_sid, track_sid, allowed };
            self.send(key, Response::SubscriptionPermissionUpdate(update));
        }
    }
}
