//! Data tracks: who may publish them, who receives them, and what everybody is told.

use proto::request_response::Reason;

use super::*;

fn publish(handle: u32, name: &str) -> proto::PublishDataTrackRequest {
    proto::PublishDataTrackRequest { pub_handle: handle, name: name.into(), ..Default::default() }
}

fn subscribe(sid: &str, subscribe: bool) -> Request {
    let update = proto::update_data_subscription::Update { track_sid: sid.into(), subscribe, options: None };
    Request::UpdateDataSubscription(proto::UpdateDataSubscription { updates: vec![update] })
}

/// Where the forwarding unit was told to send what `from` publishes under `handle`, last.
fn route(stage: &Stage, from: ConnectionKey, handle: u16) -> Vec<(u64, u16)> {
    let from = stage.participant(from);
    let mut routes = stage.commands.iter().rev().filter_map(|command| match command {
        Command::RouteData { from: f, handle: h, to } if (*f, *h) == (from, handle) => Some(to.clone()),
        _ => None,
    });
    routes.next().expect("a route")
}

/// Handles and track ids that a client was told last.
fn handles(heard: &[Response]) -> Option<Vec<(u32, String)>> {
    heard.iter().rev().find_map(|message| match message {
        Response::DataTrackSubscriberHandles(told) => {
            let mut told: Vec<_> = told.sub_handles.iter().map(|(h, track)| (*h, track.track_sid.clone())).collect();
            told.sort();
            Some(told)
        }
        _ => None,
    })
}

/// Data tracks of others, as a client was told last.
fn seen(heard: &[Response]) -> Option<Vec<String>> {
    heard.iter().rev().find_map(|message| match message {
        Response::Update(update) => {
            let infos = update.participants.iter().flat_map(|person| &person.data_tracks);
            Some(infos.map(|track| track.name.clone()).collect())
        }
        _ => None,
    })
}

/// `door` (1) publishes `heat` under handle 7; `desk` (2) and `shed` (3) are there. With the track's id.
fn stage() -> (Stage, String) {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 0, 0);
    stage.enter(3, "shed", 0, 0);
    stage.forget();
    stage.request(1, Request::PublishDataTrackRequest(publish(7, "heat")));
    let sid = stage.rooms.people[&stage.participant(1)].data.published[0].info.sid.clone();
    (stage, sid)
}

#[test]
fn a_track_is_told_to_its_publisher_and_to_the_room() {
    let (mut stage, sid) = stage();
    let answer = stage.heard(1).into_iter().find_map(|message| match message {
        Response::PublishDataTrackResponse(answer) => answer.info,
        _ => None,
    });
    let info = answer.expect("an answer");
    assert!(sid.starts_with("DTR_"), "{sid}");
    assert_eq!((info.pub_handle, info.name.as_str(), info.sid.as_str()), (7, "heat", sid.as_str()));
    assert_eq!(seen(&stage.heard(2)), Some(vec!["heat".to_owned()]));
    stage.enter(4, "late", 0, 0);
    let join = stage.heard(4).into_iter().find_map(|message| match message {
        Response::Join(join) => Some(join.other_participants),
        _ => None,
    });
    assert!(join.expect("a welcome").iter().any(|person| person.data_tracks.len() == 1));
}

#[test]
fn it_goes_to_those_who_ask_for_it_under_a_handle_of_theirs() {
    let (mut stage, sid) = stage();
    stage.request(2, subscribe(&sid, true));
    stage.request(3, subscribe(&sid, true));
    stage.request(3, subscribe(&sid, true));
    let (desk, shed) = (stage.participant(2), stage.participant(3));
    assert_eq!(route(&stage, 1, 7), [(desk, 1), (shed, 1)]);
    assert_eq!(handles(&stage.heard(2)), Some(vec![(1, sid.clone())]));
    stage.request(2, subscribe(&sid, false));
    assert_eq!(route(&stage, 1, 7), [(shed, 1)]);
    assert_eq!(handles(&stage.heard(2)), Some(Vec::new()));
    stage.request(2, subscribe(&sid, true));
    assert_eq!(route(&stage, 1, 7), [(desk, 2), (shed, 1)], "a late packet of before is nobody's");
}

#[test]
fn who_wants_all_that_there_are_need_not_ask() {
    let (mut stage, sid) = stage();
    stage.join(4, "log", |join| join.auto_subscribe_data = true);
    let log = stage.participant(4);
    assert_eq!(route(&stage, 1, 7), [(log, 1)]);
    assert_eq!(handles(&stage.heard(4)), Some(vec![(1, sid)]));
    stage.request(2, Request::PublishDataTrackRequest(publish(9, "cold")));
    assert_eq!(route(&stage, 2, 9), [(log, 2)]);
    assert_eq!(handles(&stage.heard(4)).map(|handles| handles.len()), Some(2));
    assert_eq!(handles(&stage.heard(3)), None, "others do");
    stage.forget();
    stage.request(4, Request::PublishDataTrackRequest(publish(1, "notes")));
    assert!(!stage.commands.iter().any(|c| matches!(c, Command::RouteData { .. })), "its own do not come back");
}

#[test]
fn what_is_published_no_more_is_taken_from_everybody() {
    let (mut stage, sid) = stage();
    stage.request(2, subscribe(&sid, true));
    stage.forget();
    stage.request(1, Request::UnpublishDataTrackRequest(proto::UnpublishDataTrackRequest { pub_handle: 7 }));
    assert!(route(&stage, 1, 7).is_empty());
    let heard = stage.heard(2);
    assert_eq!((handles(&heard), seen(&heard)), (Some(Vec::new()), Some(Vec::new())));
    let answered = |message: &Response| matches!(message, Response::UnpublishDataTrackResponse(_));
    assert!(stage.heard(1).iter().any(answered));
    stage.request(1, Request::PublishDataTrackRequest(publish(7, "heat")));
    assert!(stage.heard(1).iter().any(|message| matches!(message, Response::PublishDataTrackResponse(_))));
}

#[test]
fn who_leaves_takes_its_tracks_along_and_gives_up_what_it_received() {
    let (mut stage, sid) = stage();
    stage.request(2, subscribe(&sid, true));
    stage.request(3, subscribe(&sid, true));
    let desk = stage.participant(2);
    stage.request(3, Request::Leave(proto::LeaveRequest::default()));
    assert_eq!(route(&stage, 1, 7), [(desk, 1)]);
    stage.forget();
    stage.request(1, Request::Leave(proto::LeaveRequest::default()));
    assert!(stage.commands.iter().any(|c| matches!(c, Command::RouteData { handle: 7, to, .. } if to.is_empty())));
    assert_eq!(handles(&stage.heard(2)), Some(Vec::new()));
}

#[test]
fn what_cannot_be_published_is_refused_with_the_reason() {
    let (mut stage, _) = stage();
    let cases = [
        (publish(0, "a"), Reason::InvalidHandle),
        (publish(65_536, "a"), Reason::InvalidHandle),
        (publish(8, ""), Reason::InvalidName),
        (publish(8, &"x".repeat(257)), Reason::InvalidName),
        (publish(7, "cold"), Reason::DuplicateHandle),
        (publish(8, "heat"), Reason::DuplicateName),
        (
            proto::PublishDataTrackRequest { schema: Some(proto::DataTrackSchemaId::default()), ..publish(8, "cold") },
            Reason::InvalidRequest,
        ),
    ];
    for (request, reason) in cases {
        stage.forget();
        stage.request(1, Request::PublishDataTrackRequest(request.clone()));
        let heard = stage.heard(1);
        let refused = |m: &Response| matches!(m, Response::RequestResponse(r) if r.reason == reason as i32);
        assert!(heard.iter().any(refused), "{request:?}: {heard:?}");
    }
    stage.forget();
    stage.request(1, Request::UnpublishDataTrackRequest(proto::UnpublishDataTrackRequest { pub_handle: 9 }));
    let refused = |m: &Response| matches!(m, Response::RequestResponse(r) if r.reason == Reason::NotFound as i32);
    assert!(stage.heard(1).iter().any(refused));
}

#[test]
fn tokens_say_who_may_publish_and_receive() {
    let (mut stage, sid) = stage();
    stage.join(5, "mute", |join| {
        join.claims.can_publish_data = false;
        join.claims.can_subscribe = false;
    });
    stage.request(5, Request::PublishDataTrackRequest(publish(1, "heat")));
    stage.request(5, subscribe(&sid, true));
    let heard = stage.heard(5);
    let refused = |m: &Response| matches!(m, Response::RequestResponse(r) if r.reason == Reason::NotAllowed as i32);
    assert!(heard.iter().any(refused));
    let denied = |m: &Response| matches!(m, Response::SubscriptionPermissionUpdate(update) if !update.allowed);
    assert!(heard.iter().any(denied));
    assert_eq!(handles(&heard), None);
}

#[test]
fn a_publisher_says_who_may_receive() {
    let (mut stage, sid) = stage();
    stage.request(2, subscribe(&sid, true));
    stage.request(3, subscribe(&sid, true));
    stage.forget();
    let permission = proto::TrackPermission {
        participant_identity: "shed".into(),
        track_sids: vec![sid.clone()],
        ..Default::default()
    };
    stage.request(
        1,
        Request::SubscriptionPermission(proto::SubscriptionPermission {
            all_participants: false,
            track_permissions: vec![permission],
        }),
    );
    assert_eq!(route(&stage, 1, 7), [(stage.participant(3), 1)]);
    assert_eq!(handles(&stage.heard(2)), Some(Vec::new()));
    assert_eq!(handles(&stage.heard(3)), None);
}

#[test]
fn a_client_that_resumes_hears_its_handles_again() {
    let (mut stage, sid) = stage();
    stage.request(2, subscribe(&sid, true));
    stage.forget();
    stage.join(9, "desk", |join| join.resume = Some(String::new()));
    assert_eq!(handles(&stage.heard(9)), Some(vec![(1, sid)]));
}
