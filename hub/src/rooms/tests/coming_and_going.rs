//! Joining, resuming, leaving, falling silent.

use proto::leave_request::Action;
use proto::participant_info::State;
use proto::request_response::Reason;

use super::*;

const ACTIVE: i32 = State::Active as i32;
const JOINED: i32 = State::Joined as i32;
const GONE: i32 = State::Disconnected as i32;

#[test]
fn whoever_joins_is_told_who_is_there_and_the_others_are_told_of_it() {
    let mut stage = Stage::new();
    stage.enter(1, "desk", 0, 0);
    stage.forget();
    stage.join(2, "door", |_| {});
    let heard = stage.heard(2);
    let Some(Response::Join(join)) = heard.first() else { panic!("the first message must be join: {heard:?}") };
    let me = join.participant.as_ref().expect("myself");
    assert_eq!((me.identity.as_str(), me.name.as_str()), ("door", "DOOR"));
    assert_eq!(me.sid.len(), 15, "embedded clients have room for fifteen characters");
    assert_eq!(join.other_participants.len(), 1);
    assert_eq!(join.other_participants[0].identity, "desk");
    assert!(join.ping_interval > 0 && join.ping_timeout > join.ping_interval, "zero crashes clients");
    let server = join.server_info.as_ref().expect("the server");
    assert_eq!((server.version.as_str(), server.protocol), ("1.13.5", 17));
    assert_eq!(join.room.as_ref().map(|r| r.name.as_str()), Some("lobby"));
    assert_eq!(updates(&stage.heard(1)), [("door".to_owned(), JOINED, vec![])]);
    let participant = stage.participant(2);
    stage.notice(Notice::Connected(PeerId { participant, side: Side::Publisher }));
    assert_eq!(updates(&stage.heard(1)), [("door".to_owned(), ACTIVE, vec![])]);
}

#[test]
fn rooms_and_apps_do_not_see_each_other() {
    let mut stage = Stage::new();
    stage.enter(1, "desk", 0, 0);
    stage.forget();
    stage.join(2, "door", |join| join.room = "other".into());
    stage.join(3, "door", |join| join.claims = claims("987654321", "door", "lobby"));
    assert!(stage.heard(1).is_empty());
    for connection in [2, 3] {
        let heard = stage.heard(connection);
        let Some(Response::Join(join)) = heard.first() else { panic!("{heard:?}") };
        assert!(join.other_participants.is_empty());
    }
}

#[test]
fn whoever_resumes_is_told_the_last_data_packet_that_came() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    let opened = stage.commands.iter().find_map(|command| match command {
        Command::Open(_, member) => Some(member.last_sequence.clone()),
        _ => None,
    });
    assert!(opened.expect("a connection").advance(7));
    let sid = stage.rooms.people[&stage.participant(1)].sid.clone();
    stage.join(2, "door", |join| join.resume = Some(sid));
    let heard = stage.heard(2);
    assert!(matches!(heard.first(), Some(Response::Reconnect(r)) if r.last_message_seq == 7), "{heard:?}");
}

#[test]
fn a_client_may_have_itself_sent_away() {
    use proto::simulate_scenario::Scenario;
    let (mismatch, shutdown) = (proto::DisconnectReason::StateMismatch, proto::DisconnectReason::ServerShutdown);
    for (scenario, expected) in [
        (Scenario::LeaveRequestFullReconnect(true), Some((mismatch as i32, Action::Reconnect as i32))),
        (Scenario::ServerLeave(true), Some((shutdown as i32, Action::Disconnect as i32))),
        (Scenario::NodeFailure(true), None),
    ] {
        let mut stage = Stage::new();
        stage.enter(1, "door", 0, 0);
        stage.enter(2, "desk", 0, 0);
        stage.forget();
        stage.request(1, Request::Simulate(proto::SimulateScenario { scenario: Some(scenario) }));
        assert_eq!(leaves(&stage.heard(1)).first().copied(), expected);
        assert_eq!(stage.closed.as_slice(), if expected.is_some() { &[1][..] } else { &[] });
        assert!(leaves(&stage.heard(2)).is_empty());
    }
}

#[test]
fn of_two_with_one_identity_the_newer_stays() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 0, 0);
    stage.forget();
    stage.join(3, "door", |_| {});
    let duplicate = proto::DisconnectReason::DuplicateIdentity as i32;
    assert_eq!(leaves(&stage.heard(1)), [(duplicate, Action::Disconnect as i32)]);
    assert_eq!(stage.closed, [1]);
    let seen = updates(&stage.heard(2));
    assert_eq!(seen.iter().map(|s| (s.0.as_str(), s.1)).collect::<Vec<_>>(), [("door", GONE), ("door", JOINED)]);
    // The old connection's end does not touch the new session.
    stage.rooms.disconnected(1, stage.now);
    stage.collect();
    assert!(stage.heard(2).is_empty());
}

#[test]
fn a_lost_connection_is_not_told_to_others_before_the_time_out() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 0, 0);
    stage.forget();
    stage.rooms.disconnected(1, stage.now);
    for _ in 0..8 {
        stage.tick_after(Duration::from_secs(10));
        stage.request(2, Request::Ping(0));
    }
    assert!(updates(&stage.heard(2)).is_empty());
    stage.request(2, Request::Ping(0));
    stage.tick_after(Duration::from_secs(10));
    assert_eq!(updates(&stage.heard(2)), [("door".to_owned(), GONE, vec![])]);
    assert!(matches!(stage.commands.last(), Some(Command::Close(_))));
}

#[test]
fn a_connection_on_which_nothing_is_heard_counts_as_lost() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.forget();
    stage.tick_after(Duration::from_secs(14));
    assert!(stage.closed.is_empty());
    stage.tick_after(Duration::from_secs(1));
    assert_eq!(stage.closed, [1]);
    assert!(!stage.rooms.people.is_empty(), "it may come back");
    // The time-out counts from when it was last heard.
    stage.tick_after(HEARTBEAT - Duration::from_secs(15));
    assert!(stage.rooms.people.is_empty());
}

#[test]
fn whoever_never_got_connected_is_not_waited_for() {
    let mut stage = Stage::new();
    stage.join(1, "door", |_| {});
    stage.rooms.disconnected(1, stage.now);
    assert!(stage.rooms.people.is_empty());
    stage.join(2, "desk", |_| {});
    for _ in 0..6 {
        stage.tick_after(Duration::from_secs(10));
        stage.request(2, Request::Ping(0));
    }
    let timeout = proto::DisconnectReason::ConnectionTimeout as i32;
    assert_eq!(leaves(&stage.heard(2)), [(timeout, Action::Disconnect as i32)]);
    assert!(stage.rooms.people.is_empty());
}

#[test]
fn a_resume_keeps_the_session_and_nobody_else_notices() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 0, 0);
    stage.publish(1, "0", "audio", "MIC", "door-main");
    let sid = stage.rooms.people[&stage.participant(1)].sid.clone();
    stage.rooms.disconnected(1, stage.now);
    stage.tick_after(Duration::from_secs(5));
    stage.forget();
    stage.join(3, "door", |join| join.resume = Some(sid.clone()));
    let heard = stage.heard(3);
    assert!(matches!(heard.first(), Some(Response::Reconnect(_))), "others before it would be dropped: {heard:?}");
    let told = updates(&heard);
    assert!(told.contains(&("door".to_owned(), ACTIVE, vec!["door-main".to_owned()])), "{told:?}");
    assert!(told.iter().any(|(identity, ..)| identity == "desk"));
    assert!(stage.heard(2).is_empty());
    for _ in 0..10 {
        stage.tick_after(Duration::from_secs(10));
        stage.request(3, Request::Ping(0));
    }
    assert_eq!(stage.rooms.people[&stage.participant(3)].sid, sid, "the old loss does not count any more");
}

#[test]
fn media_that_was_silent_during_an_outage_gets_its_time_to_come_back() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    let participant = stage.participant(1);
    let sid = stage.rooms.people[&participant].sid.clone();
    let peer = PeerId { participant, side: Side::Publisher };
    stage.notice(Notice::Silent(peer));
    stage.rooms.disconnected(1, stage.now);
    stage.tick_after(Duration::from_secs(60));
    stage.join(2, "door", |join| join.resume = Some(sid.clone()));
    stage.forget();
    stage.tick_after(Duration::from_secs(1));
    assert_eq!(leaves(&stage.heard(2)), [], "its ICE restart is on its way");
    stage.tick_after(Duration::from_secs(13));
    stage.request(2, Request::Ping(0));
    stage.tick_after(Duration::from_secs(14));
    stage.request(2, Request::Ping(0));
    stage.tick_after(Duration::from_secs(2));
    let mismatch = (proto::DisconnectReason::StateMismatch as i32, Action::Reconnect as i32);
    assert_eq!(leaves(&stage.heard(2)), [mismatch], "and it did not come");
}

#[test]
fn what_cannot_be_resumed_is_to_join_anew() {
    let mut stage = Stage::new();
    let mismatch = (proto::DisconnectReason::StateMismatch as i32, Action::Reconnect as i32);
    stage.join(1, "door", |join| join.resume = Some("PA_unknown".into()));
    assert_eq!(leaves(&stage.heard(1)), [mismatch], "nobody by that name");
    assert_eq!(stage.closed, [1]);
    assert!(stage.rooms.rooms.is_empty(), "asking leaves no room behind");
    stage.enter(2, "door", 0, 0);
    stage.join(3, "door", |join| join.resume = Some("PA_stale".into()));
    assert_eq!(leaves(&stage.heard(3)), [mismatch], "another session of the same user");
    let participant = stage.participant(2);
    let sid = stage.rooms.people[&participant].sid.clone();
    stage.notice(Notice::Closed(PeerId { participant, side: Side::Publisher }));
    stage.join(4, "door", |join| join.resume = Some(sid));
    assert_eq!(leaves(&stage.heard(4)), [mismatch], "its media connection is over");
}

#[test]
fn a_client_that_leaves_is_gone_at_once() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 0, 0);
    stage.forget();
    stage.request(1, Request::Leave(proto::LeaveRequest::default()));
    assert_eq!(stage.closed, [1]);
    let heard = stage.heard(2);
    assert_eq!(updates(&heard), [("door".to_owned(), GONE, vec![])]);
    let Some(Response::Update(update)) = heard.first() else { panic!("{heard:?}") };
    assert_eq!(update.participants[0].disconnect_reason, proto::DisconnectReason::ClientInitiated as i32);
    stage.request(2, Request::Leave(proto::LeaveRequest::default()));
    stage.tick_after(Duration::from_secs(19));
    assert_eq!(stage.rooms.rooms.len(), 1, "somebody may come back");
    stage.tick_after(Duration::from_secs(1));
    assert!(stage.rooms.rooms.is_empty(), "an empty room closes");
}

#[test]
fn a_client_whose_media_ended_is_told_to_connect_anew() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    let participant = stage.participant(1);
    // It is told how many there are.
    stage.tick_after(Duration::from_secs(1));
    stage.forget();
    stage.notice(Notice::Closed(PeerId { participant, side: Side::Publisher }));
    stage.tick_after(Duration::from_secs(4));
    assert!(stage.heard(1).is_empty(), "it may be about to do so by itself");
    stage.tick_after(Duration::from_secs(1));
    let mismatch = (proto::DisconnectReason::StateMismatch as i32, Action::Reconnect as i32);
    assert_eq!(leaves(&stage.heard(1)), [mismatch]);
}

#[test]
fn when_the_hub_ends_everybody_is_told_and_nothing_else() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 0, 0);
    stage.forget();
    stage.rooms.shutdown(stage.now);
    stage.collect();
    let shutdown = (proto::DisconnectReason::ServerShutdown as i32, Action::Disconnect as i32);
    for connection in [1, 2] {
        let heard = stage.heard(connection);
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert_eq!(leaves(&heard), [shutdown]);
        assert!(stage.closed.contains(&connection));
    }
    assert!(stage.rooms.people.is_empty());
}

#[test]
fn the_hidden_are_not_seen() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.forget();
    stage.join(2, "watcher", |join| join.claims.hidden = true);
    let participant = stage.participant(2);
    stage.notice(Notice::Connected(PeerId { participant, side: Side::Publisher }));
    stage.request(2, Request::Leave(proto::LeaveRequest::default()));
    assert!(stage.heard(1).is_empty());
    let seen = updates(&stage.heard(2));
    assert!(seen.iter().any(|(identity, ..)| identity == "watcher"), "but it sees itself: {seen:?}");
}

#[test]
fn pings_are_answered_both_ways() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.forget();
    stage.request(1, Request::Ping(5));
    stage.request(1, Request::PingReq(proto::Ping { timestamp: 77, rtt: 0 }));
    let now = stage.now.unix_ms;
    let pong = proto::Pong { last_ping_timestamp: 77, timestamp: now };
    assert_eq!(stage.heard(1), [Response::Pong(now), Response::PongResp(pong)]);
}

#[test]
fn only_who_may_changes_what_it_says_about_itself() {
    let mut stage = Stage::new();
    stage.join(1, "door", |join| join.claims.can_update_own_metadata = false);
    stage.join(2, "desk", |join| join.claims.can_update_own_metadata = true);
    let update = |request_id| proto::UpdateParticipantMetadata {
        attributes: [("a".to_owned(), "1".to_owned())].into(),
        request_id,
        ..Default::default()
    };
    let outcome = |heard: Vec<Response>| {
        heard.into_iter().find_map(|message| match message {
            Response::RequestResponse(r) => Some((r.request_id, r.reason)),
            _ => None,
        })
    };
    stage.forget();
    stage.request(1, Request::UpdateMetadata(update(3)));
    assert_eq!(outcome(stage.heard(1)), Some((3, Reason::NotAllowed as i32)));
    stage.request(2, Request::UpdateMetadata(update(4)));
    assert_eq!(outcome(stage.heard(2)), Some((4, Reason::Ok as i32)));
    let heard = stage.heard(1);
    let Some(Response::Update(update)) = heard.first() else { panic!("{heard:?}") };
    assert_eq!(update.participants[0].attributes.get("a").map(String::as_str), Some("1"));
}
