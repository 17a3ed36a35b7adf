//! Who may receive a participant's tracks, by its own word.

use super::*;

fn permit(all: bool, permissions: Vec<proto::TrackPermission>) -> Request {
    Request::SubscriptionPermission(proto::SubscriptionPermission {
        all_participants: all,
        track_permissions: permissions,
    })
}

fn by_identity(identity: &str, sids: &[&str]) -> proto::TrackPermission {
    proto::TrackPermission {
        participant_identity: identity.into(),
        all_tracks: sids.is_empty(),
        track_sids: sids.iter().map(|sid| (*sid).to_owned()).collect(),
        ..Default::default()
    }
}

/// What was told: track, allowed.
fn told(heard: &[Response]) -> Vec<(String, bool)> {
    let updates = heard.iter().filter_map(|message| match message {
        Response::SubscriptionPermissionUpdate(update) => Some((update.track_sid.clone(), update.allowed)),
        _ => None,
    });
    updates.collect()
}

/// What the forwarding unit was told about a subscriber: shown or not.
fn shown(stage: &Stage, connection: ConnectionKey) -> Vec<bool> {
    let subscriber = stage.participant(connection);
    let shows = stage.commands.iter().filter_map(|command| match command {
        Command::Show { peer, wish, .. } if peer.participant == subscriber => Some(wish.shown),
        _ => None,
    });
    shows.collect()
}

/// The tracks that the subscriber's last offer delivers.
fn delivered(stage: &mut Stage, connection: ConnectionKey) -> usize {
    stage.request(connection, Request::Offer(offer(&receiving(0, 1))));
    let last = stage.commands.iter().rev().find_map(|command| match command {
        Command::Offer { uses, .. } => Some(uses.len()),
        _ => None,
    });
    stage.answer_all();
    last.expect("an offer was passed on")
}

/// `door` publishes pictures that `desk` (2) and `shed` (3) receive; with the track's id.
fn stage() -> (Stage, String) {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "video", "CAM", "door-main");
    stage.enter(2, "desk", 0, 1);
    stage.enter(3, "shed", 0, 1);
    let sid = stage.rooms.people[&stage.participant(1)].published[0].info.sid.clone();
    stage.forget();
    (stage, sid)
}

#[test]
fn who_is_not_named_loses_the_track_at_once_and_gets_it_back() {
    let (mut stage, sid) = stage();
    stage.request(1, permit(false, vec![by_identity("shed", &[])]));
    assert_eq!(shown(&stage, 2), [false], "it does not wait for a negotiation");
    assert!(shown(&stage, 3).is_empty());
    let heard = stage.heard(2);
    assert_eq!(told(&heard), [(sid.clone(), false)]);
    assert_eq!(requirements(&heard), [(0, 0)], "its section falls out of use");
    assert!(told(&stage.heard(3)).is_empty());
    assert_eq!((delivered(&mut stage, 2), delivered(&mut stage, 3)), (0, 1));
    stage.forget();
    stage.request(1, permit(true, vec![]));
    let heard = stage.heard(2);
    assert_eq!(told(&heard), [(sid, true)]);
    assert_eq!(requirements(&heard), [(0, 0)]);
    assert_eq!(shown(&stage, 2), [true]);
    assert_eq!(delivered(&mut stage, 2), 1);
}

#[test]
fn a_subscriber_cannot_show_what_it_may_not_have() {
    let (mut stage, sid) = stage();
    stage.request(1, permit(false, vec![]));
    stage.forget();
    for disabled in [true, false] {
        let settings = proto::UpdateTrackSettings { track_sids: vec![sid.clone()], disabled, ..Default::default() };
        stage.request(2, Request::TrackSetting(settings));
    }
    let ask = proto::UpdateSubscription { track_sids: vec![sid], subscribe: true, participant_tracks: vec![] };
    stage.request(2, Request::Subscription(ask));
    assert_eq!(shown(&stage, 2), [false, false]);
    assert_eq!(delivered(&mut stage, 2), 0);
}

#[test]
fn tracks_are_named_one_by_one_and_people_by_either_name() {
    let (mut stage, sid) = stage();
    let desk = stage.rooms.people[&stage.participant(2)].sid.clone();
    let by_sid = proto::TrackPermission { participant_sid: desk, track_sids: vec![sid.clone()], ..Default::default() };
    stage.request(1, permit(false, vec![by_sid, by_identity("shed", &["TR_other"])]));
    assert!(told(&stage.heard(2)).is_empty());
    assert_eq!(told(&stage.heard(3)), [(sid, false)]);
}

#[test]
fn it_holds_for_who_comes_and_what_is_published_later() {
    let (mut stage, sid) = stage();
    stage.request(1, permit(false, vec![by_identity("desk", &[])]));
    stage.enter(4, "late", 0, 1);
    assert_eq!(told(&stage.heard(4)), [(sid, false)]);
    assert_eq!(delivered(&mut stage, 4), 0);
}
