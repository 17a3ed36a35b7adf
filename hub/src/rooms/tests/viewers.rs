//! Viewers (WHEP): sections that are negotiated once, and whatever is shown in them.

use super::*;
use crate::rooms::Denial;
use crate::sfu::{TrackKey, Use};

fn watch(stage: &mut Stage, connection: ConnectionKey, user: &str, stream: &str) -> Vec<(String, Use)> {
    stage.join(connection, user, |join| {
        join.path = Path::Once;
        join.auto_subscribe = false;
        join.watches = Some(stream.to_owned());
        join.offer = Some(offer(&receiving(1, 1)));
    });
    let uses = stage.commands.iter().rev().find_map(|command| match command {
        Command::Offer { uses, .. } => Some(uses.clone()),
        _ => None,
    });
    stage.answer_all();
    uses.expect("an offer")
}

fn exchanges(stage: &Stage) -> Vec<(String, Option<TrackKey>)> {
    let exchanges = stage.commands.iter().filter_map(|command| match command {
        Command::Exchange { mid, track, .. } => Some((mid.clone(), *track)),
        _ => None,
    });
    exchanges.collect()
}

fn track_of(stage: &Stage, connection: ConnectionKey) -> TrackKey {
    stage.rooms.people[&stage.participant(connection)].published[0].key
}

#[test]
fn sections_are_answered_whether_or_not_there_is_a_track_for_them() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "audio", "MIC", "door-main");
    let uses = watch(&mut stage, 2, "screen", "door-main");
    let sound = track_of(&stage, 1);
    assert_eq!(uses, [("r0".to_owned(), Use::Deliver(sound)), ("r1".to_owned(), Use::Await)]);
    let heard = stage.heard(2);
    let answer = heard.iter().find_map(|message| match message {
        Response::Answer(answer) => Some(answer.sdp.clone()),
        _ => None,
    });
    let answer = answer.expect("an answer");
    assert!(answer.contains("a=msid:stream audio\r\n") && answer.contains("a=msid:stream video\r\n"), "{answer}");
}

#[test]
fn a_stream_that_returns_or_adds_its_picture_goes_on_in_the_same_sections() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "audio", "MIC", "door-main");
    watch(&mut stage, 2, "screen", "door-main");
    stage.forget();
    stage.request(1, Request::Leave(proto::LeaveRequest::default()));
    assert_eq!(exchanges(&stage), [("r0".to_owned(), None)]);
    stage.forget();
    stage.enter(3, "door", 0, 0);
    stage.publish(3, "0", "video", "CAM", "door-main");
    assert_eq!(exchanges(&stage), [("r1".to_owned(), Some(track_of(&stage, 3)))]);
    let asked = stage.heard(2);
    assert_eq!(requirements(&asked), [], "its client cannot negotiate again");
}

#[test]
fn a_viewer_sees_the_stream_that_it_asked_for_and_no_other() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "audio", "MIC", "door-main");
    watch(&mut stage, 2, "screen", "door-main");
    watch(&mut stage, 3, "hall", "");
    stage.enter(4, "gate", 0, 0);
    stage.publish(4, "0", "audio", "MIC", "gate-main");
    stage.forget();
    stage.request(1, Request::Leave(proto::LeaveRequest::default()));
    let next = track_of(&stage, 4);
    let mut exchanged = exchanges(&stage);
    exchanged.sort();
    assert_eq!(exchanged, [("r0".to_owned(), None), ("r0".to_owned(), Some(next))], "who asked for none sees the next");
}

#[test]
fn another_ice_session_keeps_what_is_shown() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "audio", "MIC", "door-main");
    let first = watch(&mut stage, 2, "screen", "");
    stage.forget();
    stage.request(2, Request::Offer(offer(&receiving(1, 1))));
    let again = stage.commands.iter().find_map(|command| match command {
        Command::Offer { uses, .. } => Some(uses.clone()),
        _ => None,
    });
    assert_eq!(again, Some(first));
}

#[test]
fn whoever_speaks_http_only_is_refused_before_it_joins() {
    let mut stage = Stage::new();
    let mut join = visitor::join("screen");
    join.path = Path::Once;
    join.watches = Some("door-main".to_owned());
    assert!(matches!(stage.rooms.may_begin(&join), Err(Denial::NothingToWatch(_))), "nobody is there");
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "audio", "MIC", "door-main");
    assert_eq!(stage.rooms.may_begin(&join), Ok(()));
    join.claims.can_subscribe = false;
    assert!(matches!(stage.rooms.may_begin(&join), Err(Denial::Forbidden(_))));
    let mut join = visitor::join("camera");
    join.path = Path::Once;
    join.add_tracks = vec![track("audio", "MIC", "door-main")];
    assert!(matches!(stage.rooms.may_begin(&join), Err(Denial::StreamTaken(_))));
    join.add_tracks = vec![track("audio", "MIC", "camera-main")];
    assert_eq!(stage.rooms.may_begin(&join), Ok(()));
    join.claims.can_publish = false;
    assert!(matches!(stage.rooms.may_begin(&join), Err(Denial::Forbidden(_))));
    // Whoever takes its own place again is not in its own way.
    let mut join = visitor::join("door");
    join.add_tracks = vec![track("audio", "MIC", "door-main")];
    assert_eq!(stage.rooms.may_begin(&join), Ok(()));
}
