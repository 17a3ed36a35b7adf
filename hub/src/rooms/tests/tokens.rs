//! New tokens for LiveKit's clients, so that they find back with what they are and may do now.

use super::super::ZegoClient;
use super::*;

/// The claims of the new tokens of a connection since the last call.
fn refreshed(stage: &mut Stage, connection: ConnectionKey) -> Vec<Claims> {
    std::mem::take(&mut stage.tokens)
        .into_iter()
        .filter(|(to, _)| *to == connection)
        .map(|(_, claims)| claims)
        .collect()
}

fn now_s(stage: &Stage) -> u64 {
    stage.now.unix_ms as u64 / 1000
}

#[test]
fn a_client_gets_a_new_token_when_it_joins_and_every_five_minutes() {
    let mut stage = Stage::new();
    let until = now_s(&stage) + 30;
    stage.join(1, "door", |join| join.claims.expires_at = until);
    let [first] = refreshed(&mut stage, 1).try_into().expect("one");
    assert_eq!((first.issued_at, first.expires_at), (now_s(&stage), now_s(&stage) + 600));
    assert_eq!(
        (first.user_id.as_str(), first.room_id.as_deref(), first.name.as_deref()),
        ("door", Some("lobby"), Some("DOOR"))
    );
    let mut times = Vec::new();
    for second in 1..=900 {
        stage.request(1, Request::Ping(0));
        let participant = stage.participant(1);
        stage.notice(Notice::Connected(PeerId { participant, side: Side::Publisher }));
        stage.tick_after(Duration::from_secs(1));
        times.extend(refreshed(&mut stage, 1).iter().map(|_| second));
    }
    assert_eq!(times, [300, 600, 900]);
}

#[test]
fn a_longer_token_stays_as_long_as_it_was() {
    let mut stage = Stage::new();
    let until = now_s(&stage) + 86_400;
    stage.join(1, "door", |join| join.claims.expires_at = until);
    assert_eq!(refreshed(&mut stage, 1)[0].expires_at, until);
}

#[test]
fn where_sessions_end_with_their_token_no_new_one_is_longer() {
    let mut stage = Stage::new();
    stage.rooms.settings.expire_sessions = true;
    let until = now_s(&stage) + 30;
    stage.join(1, "door", |join| join.claims.expires_at = until);
    assert_eq!(refreshed(&mut stage, 1)[0].expires_at, until);
}

#[test]
fn what_an_administrator_or_the_client_changes_is_in_the_next_token() {
    let mut stage = Stage::new();
    stage.join(1, "door", |join| join.claims.can_update_own_metadata = true);
    stage.forget();
    let permission = proto::ParticipantPermission { can_subscribe: true, ..Default::default() };
    let asked = proto::UpdateParticipantRequest {
        room: "lobby".into(),
        identity: "door".into(),
        name: "Front".into(),
        permission: Some(permission),
        ..Default::default()
    };
    stage.rooms.update_participant("123456789", &asked, stage.now).expect("it is there");
    stage.collect();
    let claims = refreshed(&mut stage, 1).remove(0);
    assert!(claims.can_subscribe && !claims.can_publish && !claims.can_publish_data);
    assert_eq!(claims.name.as_deref(), Some("Front"));

    let mut stage = Stage::new();
    stage.join(1, "door", |join| join.claims.can_update_own_metadata = true);
    stage.forget();
    let update = |metadata: &str| {
        let attributes = [("a".to_owned(), "1".to_owned())].into();
        Request::UpdateMetadata(proto::UpdateParticipantMetadata {
            metadata: metadata.into(),
            attributes,
            ..Default::default()
        })
    };
    stage.request(1, update("m"));
    let claims = refreshed(&mut stage, 1).remove(0);
    assert_eq!((claims.metadata.as_str(), claims.attributes["a"].as_str()), ("m", "1"));
    stage.request(1, update(&"x".repeat(5_000)));
    let claims = refreshed(&mut stage, 1).remove(0);
    assert_eq!((claims.metadata.as_str(), claims.attributes.len()), ("", 0), "too much for a header: as it came");
}

#[test]
fn zego_s_clients_get_none_and_keep_their_permission_when_they_join_anew() {
    let mut stage = Stage::new();
    let login = |login: &str| ZegoClient { login: login.into(), ..Default::default() };
    stage.join(1, "door", |join| join.zego = login("first"));
    let asked = proto::UpdateParticipantRequest {
        room: "lobby".into(),
        identity: "door".into(),
        permission: Some(proto::ParticipantPermission { can_subscribe: true, ..Default::default() }),
        ..Default::default()
    };
    stage.rooms.update_participant("123456789", &asked, stage.now).expect("it is there");
    stage.collect();
    let may_publish = |stage: &Stage, connection| stage.rooms.people[&stage.participant(connection)].claims.can_publish;
    stage.join(2, "door", |join| join.zego = login("first"));
    assert!(!may_publish(&stage, 2));
    assert!(stage.tokens.is_empty());
    stage.join(3, "door", |join| join.zego = login("second"));
    assert!(may_publish(&stage, 3), "another login is another session");
}
