//! Who is told how good connections are.

use proto::ConnectionQuality as Quality;

use super::*;
use crate::sfu::{Level, Rating};

/// What a connection was told: identity, quality.
fn told(stage: &mut Stage, connection: ConnectionKey) -> Vec<(String, Quality)> {
    let updates = stage.heard(connection).into_iter().flat_map(|message| match message {
        Response::ConnectionQuality(update) => update.updates,
        _ => Vec::new(),
    });
    let updates: Vec<_> = updates.collect();
    let identity = |sid: &str| stage.rooms.people.values().find(|p| p.sid == sid).map(|p| p.identity.clone());
    let known = |info: &proto::ConnectionQualityInfo| {
        assert!((1.0..=4.5).contains(&info.score));
        (identity(&info.participant_sid).expect("somebody there"), info.quality())
    };
    updates.iter().map(known).collect()
}

fn rate(stage: &mut Stage, connection: ConnectionKey, level: Level) {
    let participant = stage.participant(connection);
    stage.notice(Notice::Rated(participant, Rating { level, mos: 3.0 }));
}

/// `door` (1) publishes pictures that `desk` (2) receives; `shed` (3) receives nothing.
fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "video", "CAM", "door");
    stage.enter(2, "desk", 0, 1);
    stage.join(3, "shed", |join| {
        join.auto_subscribe = false;
        join.offer = Some(offer(&receiving(0, 1)));
    });
    stage.answer_all();
    stage.forget();
    stage
}

#[test]
fn everybody_hears_of_itself_and_of_those_it_receives() {
    let mut stage = stage();
    rate(&mut stage, 1, Level::Excellent);
    for (connection, expected) in [(1, 1), (2, 1), (3, 0)] {
        assert_eq!(told(&mut stage, connection), vec![("door".to_owned(), Quality::Excellent); expected]);
    }
    rate(&mut stage, 3, Level::Good);
    assert_eq!(told(&mut stage, 3), [("shed".to_owned(), Quality::Good)]);
    assert!(told(&mut stage, 1).is_empty() && told(&mut stage, 2).is_empty());
}

#[test]
fn whoever_is_rated_first_hears_of_all_it_receives() {
    let mut stage = stage();
    rate(&mut stage, 1, Level::Poor);
    stage.forget();
    rate(&mut stage, 2, Level::Excellent);
    assert_eq!(told(&mut stage, 2), [("desk".to_owned(), Quality::Excellent), ("door".to_owned(), Quality::Poor)]);
    rate(&mut stage, 2, Level::Good);
    assert_eq!(told(&mut stage, 2), [("desk".to_owned(), Quality::Good)]);
}

#[test]
fn older_clients_hear_what_they_understand() {
    for (protocol, expected) in
        [(4, None), (5, Some(Quality::Poor)), (10, Some(Quality::Poor)), (11, Some(Quality::Lost))]
    {
        let mut stage = Stage::new();
        stage.join(1, "door", |join| join.protocol = protocol);
        stage.forget();
        rate(&mut stage, 1, Level::Lost);
        assert_eq!(told(&mut stage, 1).first().map(|told| told.1), expected, "protocol {protocol}");
    }
}
