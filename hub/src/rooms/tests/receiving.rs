//! Subscriptions and the sections that carry them.

use crate::sfu::{SectionChange, TrackKind, Use};

use super::*;

fn uses(stage: &Stage) -> Vec<(String, Use)> {
    let last = stage.commands.iter().rev().find_map(|command| match command {
        Command::Offer { uses, .. } => Some(uses.clone()),
        _ => None,
    });
    last.expect("an offer was passed on")
}

fn key(stage: &Stage, connection: ConnectionKey, index: usize) -> u64 {
    stage.rooms.people[&stage.participant(connection)].published[index].key
}

fn sid(stage: &Stage, connection: ConnectionKey, index: usize) -> String {
    stage.rooms.people[&stage.participant(connection)].published[index].info.sid.clone()
}

fn subscribe(sids: &[String], subscribe: bool) -> Request {
    Request::Subscription(proto::UpdateSubscription {
        track_sids: sids.to_vec(),
        subscribe,
        participant_tracks: vec![],
    })
}

/// `door` publishes sound and pictures, `desk` is there with `audio` and `video` sections.
fn stage(auto_subscribe: bool, audio: usize, video: usize) -> Stage {
    let mut stage = Stage::new();
    stage.join(2, "desk", |join| {
        join.auto_subscribe = auto_subscribe;
        join.offer = Some(offer(&receiving(audio, video)));
    });
    stage.answer_all();
    stage.enter(1, "door", 0, 0);
    stage.request(1, Request::AddTrack(track("audio", "MIC", "door-main")));
    stage.request(1, Request::AddTrack(track("video", "CAM", "door-main")));
    stage.forget();
    let sections = [
        Section { mid: "0", kind: "audio", direction: "sendonly", msid: Some("MIC") },
        Section { mid: "1", kind: "video", direction: "sendonly", msid: Some("CAM") },
    ];
    stage.request(1, Request::Offer(offer(&sections)));
    stage.answer_all();
    stage
}

#[test]
fn with_free_sections_the_client_is_only_asked_to_offer_again() {
    let mut stage = stage(true, 3, 3);
    assert_eq!(requirements(&stage.heard(2)), [(0, 0)]);
    stage.request(2, Request::Offer(offer(&receiving(3, 3))));
    let (audio, video) = (key(&stage, 1, 0), key(&stage, 1, 1));
    assert_eq!(uses(&stage), [("r0".to_owned(), Use::Deliver(audio)), ("r3".to_owned(), Use::Deliver(video))]);
    stage.answer_all();
    let heard = stage.heard(2);
    let Some(Response::Answer(answer)) = heard.first() else { panic!("{heard:?}") };
    assert_eq!(answer.mid_to_track_id.get("r3"), Some(&sid(&stage, 1, 1)));
    let door = &stage.rooms.people[&stage.participant(1)].sid;
    assert!(answer.sdp.contains(&format!("a=msid:{door}|door-main {}\r\n", sid(&stage, 1, 1))), "{}", answer.sdp);
    assert_eq!(requirements(&heard), [], "nothing is missing any more");
}

#[test]
fn without_free_sections_it_is_told_how_many_are_missing() {
    let mut stage = stage(true, 0, 1);
    assert_eq!(requirements(&stage.heard(2)), [(1, 0)]);
    // Another track before it has offered: only that one is added to what it was asked for.
    stage.enter(3, "shed", 0, 0);
    stage.publish(3, "0", "video", "CAM", "shed-main");
    assert_eq!(requirements(&stage.heard(2)), [(0, 1)]);
}

#[test]
fn who_joins_late_receives_with_its_first_answer() {
    let mut stage = stage(true, 0, 0);
    stage.join(3, "shed", |join| join.offer = Some(offer(&receiving(3, 3))));
    assert_eq!(uses(&stage).len(), 2);
}

#[test]
fn who_does_not_want_everything_gets_what_it_asks_for() {
    let mut stage = stage(false, 3, 3);
    assert_eq!(requirements(&stage.heard(2)), []);
    let video = sid(&stage, 1, 1);
    stage.request(2, subscribe(std::slice::from_ref(&video), true));
    assert_eq!(requirements(&stage.heard(2)), [(0, 0)]);
    stage.request(2, Request::Offer(offer(&receiving(3, 3))));
    assert_eq!(uses(&stage), [("r3".to_owned(), Use::Deliver(key(&stage, 1, 1)))]);
    stage.answer_all();
    stage.heard(2);
    stage.request(2, subscribe(&[video], false));
    assert_eq!(requirements(&stage.heard(2)), [(0, 0)], "a section falls out of use");
    stage.request(2, Request::Offer(offer(&receiving(3, 3))));
    assert_eq!(uses(&stage), []);
}

#[test]
fn a_section_rests_for_one_negotiation_before_it_carries_another_track() {
    let mut stage = stage(false, 0, 1);
    let (audio, video) = (sid(&stage, 1, 0), sid(&stage, 1, 1));
    stage.request(2, subscribe(std::slice::from_ref(&video), true));
    stage.request(2, Request::Offer(offer(&receiving(0, 1))));
    stage.answer_all();
    stage.enter(3, "shed", 0, 0);
    stage.publish(3, "0", "video", "CAM", "shed-main");
    let other = sid(&stage, 3, 0);
    stage.forget();
    stage.request(2, subscribe(&[video, audio], false));
    stage.request(2, subscribe(&[other], true));
    stage.request(2, Request::Offer(offer(&receiving(0, 1))));
    assert_eq!(uses(&stage), [], "first the old track ends");
    stage.answer_all();
    stage.forget();
    stage.request(2, Request::Offer(offer(&receiving(0, 1))));
    assert_eq!(uses(&stage), [("r0".to_owned(), Use::Deliver(key(&stage, 3, 0)))]);
}

#[test]
fn a_publisher_is_told_once_that_somebody_receives_its_track() {
    let mut stage = stage(true, 1, 1);
    let told = |stage: &mut Stage| -> Vec<String> {
        let told = stage.heard(1).into_iter().filter_map(|message| match message {
            Response::TrackSubscribed(subscribed) => Some(subscribed.track_sid),
            _ => None,
        });
        told.collect()
    };
    assert!(told(&mut stage).is_empty(), "nothing was negotiated yet");
    stage.request(2, Request::Offer(offer(&receiving(1, 1))));
    stage.answer_all();
    let mut sids = told(&mut stage);
    let mut expected = [sid(&stage, 1, 0), sid(&stage, 1, 1)];
    sids.sort();
    expected.sort();
    assert_eq!(sids, expected);
    stage.enter(3, "shed", 1, 1);
    assert!(told(&mut stage).is_empty());
}

#[test]
fn a_track_that_ends_frees_its_section() {
    let mut stage = stage(true, 1, 1);
    stage.request(2, Request::Offer(offer(&receiving(1, 1))));
    stage.answer_all();
    stage.forget();
    stage.request(1, Request::Leave(proto::LeaveRequest::default()));
    assert_eq!(requirements(&stage.heard(2)), [(0, 0)]);
    stage.request(2, Request::Offer(offer(&receiving(1, 1))));
    assert_eq!(uses(&stage), []);
}

#[test]
fn who_may_not_subscribe_receives_nothing() {
    let mut stage = stage(true, 0, 0);
    stage.join(3, "deaf", |join| {
        join.claims.can_subscribe = false;
        join.offer = Some(offer(&receiving(3, 3)));
    });
    assert_eq!(uses(&stage), []);
}

#[test]
fn a_track_that_cannot_be_decoded_is_reported() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "video", "CAM", "door-main");
    stage.enter(2, "desk", 0, 1);
    let (key, sid) = {
        let publication = &stage.rooms.people[&stage.participant(1)].published[0];
        (publication.key, publication.info.sid.clone())
    };
    stage.forget();
    let peer = PeerId { participant: stage.participant(2), side: Side::Publisher };
    stage.notice(Notice::Undecodable { peer, track: key });
    let err = proto::SubscriptionError::SeCodecUnsupported as i32;
    let expected = Response::SubscriptionResponse(proto::SubscriptionResponse { track_sid: sid, err });
    assert_eq!(stage.heard(2), [expected]);
}

#[test]
fn an_unknown_track_is_reported() {
    let mut stage = stage(false, 3, 3);
    stage.forget();
    stage.request(2, subscribe(&["TR_nowhere".to_owned()], true));
    let heard = stage.heard(2);
    assert!(
        matches!(heard.first(), Some(Response::SubscriptionResponse(r)) if r.track_sid == "TR_nowhere"),
        "{heard:?}"
    );
}

#[test]
fn what_is_not_shown_is_held_back() {
    let mut stage = stage(true, 3, 3);
    stage.request(2, Request::Offer(offer(&receiving(3, 3))));
    stage.answer_all();
    stage.forget();
    let settings = |disabled| {
        Request::TrackSetting(proto::UpdateTrackSettings {
            track_sids: vec![sid(&stage, 1, 1)],
            disabled,
            ..Default::default()
        })
    };
    let (hold, show) = (settings(true), settings(false));
    stage.request(2, hold.clone());
    stage.request(2, hold);
    stage.request(2, show);
    let forwarding: Vec<bool> = stage
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::Show { wish, .. } => Some(wish.shown),
            _ => None,
        })
        .collect();
    assert_eq!(forwarding, [false, true]);
}

fn last_changes(stage: &Stage) -> (u32, Vec<SectionChange>) {
    let made = stage.commands.iter().rev().find_map(|command| match command {
        Command::MakeOffer { id, changes, .. } => Some((*id, changes.clone())),
        _ => None,
    });
    made.expect("an offer is made")
}

/// The forwarding unit's offer of one section, as the client gets it.
fn offered(stage: &mut Stage, peer: PeerId, id: u32, added: Vec<(u64, String)>) -> proto::SessionDescription {
    let section = Section { mid: "abc", kind: "video", direction: "sendonly", msid: Some("x") };
    stage.notice(Notice::Offer { peer, id, sdp: Ok(offer(&[section]).sdp), added });
    let heard = stage.heard(2).into_iter().find_map(|message| match message {
        Response::Offer(offer) => Some(offer),
        _ => None,
    });
    heard.expect("the client gets the offer")
}

fn answered(id: u32) -> Request {
    Request::Answer(proto::SessionDescription { r#type: "answer".into(), id, ..Default::default() })
}

#[test]
fn with_two_connections_the_hub_offers_one_change_at_a_time() {
    let mut stage = Stage::new();
    stage.join(2, "desk", |join| join.path = Path::Two);
    stage.enter(1, "door", 0, 0);
    stage.forget();
    stage.publish(1, "0", "video", "CAM", "door-main");
    let peer = PeerId { participant: stage.participant(2), side: Side::Subscriber };
    let track = key(&stage, 1, 0);
    assert!(stage.commands.iter().any(|c| matches!(c, Command::Open(p, _) if *p == peer)));
    let (id, changes) = last_changes(&stage);
    assert_eq!(changes, [SectionChange::Add(track, TrackKind::Video)]);
    let description = offered(&mut stage, peer, id, vec![(track, "abc".into())]);
    assert_eq!(description.mid_to_track_id.get("abc"), Some(&sid(&stage, 1, 0)));
    assert!(description.sdp.contains("|door-main TR_"));
    // While it is open, further changes wait.
    stage.forget();
    stage.request(1, Request::Leave(proto::LeaveRequest::default()));
    assert!(!stage.commands.iter().any(|c| matches!(c, Command::MakeOffer { .. })));
    stage.request(2, answered(id));
    assert_eq!(last_changes(&stage).1, [SectionChange::Stop("abc".into())]);
}

#[test]
fn with_two_connections_the_stream_names_the_track_in_a_section_that_carried_another() {
    let mut stage = Stage::new();
    stage.join(2, "desk", |join| join.path = Path::Two);
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "video", "CAM", "door-main");
    let peer = PeerId { participant: stage.participant(2), side: Side::Subscriber };
    let (id, _) = last_changes(&stage);
    let first = key(&stage, 1, 0);
    offered(&mut stage, peer, id, vec![(first, "abc".into())]);
    stage.request(2, answered(id));
    stage.request(1, Request::Leave(proto::LeaveRequest::default()));
    let (id, _) = last_changes(&stage);
    offered(&mut stage, peer, id, vec![]);
    stage.request(2, answered(id));
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "video", "CAM", "door-main");
    let (id, changes) = last_changes(&stage);
    assert_eq!(changes, [SectionChange::Reuse("abc".into(), key(&stage, 1, 0))]);
    let description = offered(&mut stage, peer, id, vec![]);
    let sid = sid(&stage, 1, 0);
    assert!(description.sdp.contains(&format!("|{sid} {sid}\r\n")), "{}", description.sdp);
}
