//! What is too much is not done, and whoever asked is told.

use proto::request_response::Reason;

use super::*;

const TOO_MANY_MESSAGES: i32 = 1_002_073;

/// Outcomes among messages: number, reason, text.
fn outcomes(messages: &[Response]) -> Vec<(u32, Reason, String)> {
    let outcome = messages.iter().filter_map(|message| match message {
        Response::RequestResponse(r) => Some((r.request_id, r.reason(), r.message.clone())),
        _ => None,
    });
    outcome.collect()
}

#[test]
fn tracks_are_counted_per_participant() {
    let mut stage = Stage::new();
    stage.rooms.settings.limits.tracks_per_participant = 2;
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 0, 0);
    stage.forget();
    for connection in [1, 2] {
        for cid in ["a", "b", "c"] {
            stage.request(connection, Request::AddTrack(track("audio", cid, &format!("{connection}{cid}"))));
        }
        let heard = stage.heard(connection);
        let published = heard.iter().filter(|message| matches!(message, Response::TrackPublished(_))).count();
        let expected = (0, Reason::LimitExceeded, "a participant may publish 2 tracks at most".to_owned());
        assert_eq!((published, outcomes(&heard)), (2, vec![expected]));
    }
    assert_eq!(stage.rooms.census().tally.limited.tracks, 2);
}

#[test]
fn texts_that_are_too_long_change_nothing_and_nobody_hears_them() {
    let mut stage = Stage::new();
    let may_describe = |join: &mut Join| join.claims.can_update_own_metadata = true;
    stage.join(1, "door", may_describe);
    stage.join(2, "desk", may_describe);
    let update = |attributes: &[(&str, usize)]| {
        let attributes = attributes.iter().map(|(name, size)| ((*name).to_owned(), "x".repeat(*size))).collect();
        Request::UpdateMetadata(proto::UpdateParticipantMetadata { attributes, request_id: 5, ..Default::default() })
    };
    stage.request(1, update(&[("a", 40_000)]));
    stage.forget();
    stage.request(1, update(&[("b", 40_000)]));
    assert!(stage.heard(2).is_empty());
    assert_eq!(outcomes(&stage.heard(1))[0].1, Reason::LimitExceeded);
    stage.request(1, update(&[("a", 0), ("b", 40_000)]));
    assert_eq!(outcomes(&stage.heard(1)), [(5, Reason::Ok, String::new())], "in the place of the other");
    assert_eq!(stage.rooms.census().tally.limited.texts, 1);
}

#[test]
fn a_description_that_is_too_large_ends_its_session_alone() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 0, 0);
    stage.forget();
    let sdp = "m=audio 9 X 1\r\n".repeat(1_000);
    stage.request(1, Request::Offer(proto::SessionDescription { sdp, ..Default::default() }));
    assert_eq!(leaves(&stage.heard(1))[0].0, proto::DisconnectReason::MediaFailure as i32);
    assert!(!stage.commands.iter().any(|command| matches!(command, Command::Offer { .. })));
    assert!(leaves(&stage.heard(2)).is_empty());
}

#[test]
fn whoever_floods_is_put_out_and_hears_why() {
    for (login, expected) in [("7", TOO_MANY_MESSAGES), ("", proto::DisconnectReason::ParticipantRemoved as i32)] {
        let mut stage = Stage::new();
        stage.join(1, "door", |join| join.zego.login = login.into());
        stage.rooms.flooded(1, stage.now);
        stage.collect();
        assert_eq!(leaves(&stage.heard(1)), [(expected, 0)]);
        assert_eq!(stage.closed, [1]);
    }
}

#[test]
fn an_app_has_so_many_participants_in_all_of_its_rooms() {
    let mut stage = Stage::new();
    stage.rooms.settings.limits.participants_per_app = 2;
    let elsewhere = |user: &str| {
        let mut join = visitor::join(user);
        join.room = format!("room-of-{user}");
        join
    };
    for (connection, user) in [(1, "door"), (2, "desk")] {
        assert!(stage.rooms.may_join(&elsewhere(user)).is_ok());
        stage.rooms.join(connection, elsewhere(user), stage.now);
    }
    stage.collect();
    stage.forget();
    let denied = stage.rooms.may_join(&elsewhere("hall")).expect_err("full").to_string();
    assert!(denied.ends_with("[1002034]"), "{denied}");
    assert!(stage.rooms.may_join(&elsewhere("desk")).is_ok(), "it takes its own place");
    let mut other = elsewhere("hall");
    other.claims = claims("987654321", "hall", &other.room);
    assert!(stage.rooms.may_join(&other).is_ok(), "another AppID");
    // It asked while there was room, and comes when there is none.
    stage.rooms.join(3, elsewhere("hall"), stage.now);
    stage.collect();
    assert_eq!(leaves(&stage.heard(3)), [(proto::DisconnectReason::JoinFailure as i32, 0)]);
    assert_eq!(stage.rooms.census().participants, 2);
}
