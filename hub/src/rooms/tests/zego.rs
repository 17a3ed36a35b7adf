//! What ZEGO's API has and LiveKit's does not: come-backs, limits, extra information, renewed and expired tokens.

use proto::request_response::Reason;
use zego_protocol::error::code_of;

use super::super::ZegoClient;
use super::*;

fn login(login: &str, returns: bool) -> ZegoClient {
    ZegoClient { login: login.into(), returns, ..Default::default() }
}

impl Stage {
    /// The code with which a client would be refused, 0 = it may come in.
    fn refusal(&self, user: &str, zego: ZegoClient) -> i32 {
        let refused = self.rooms.may_join(&self.knock(user, zego)).err();
        refused.map_or(0, |denial| code_of(&denial.to_string()).expect("a sentence with its code"))
    }

    fn knock(&self, user: &str, zego: ZegoClient) -> Join {
        Join {
            claims: claims("123456789", user, "lobby"),
            room: "lobby".into(),
            name: String::new(),
            metadata: String::new(),
            attributes: Default::default(),
            path: Path::One,
            protocol: 17,
            client_protocol: 0,
            capabilities: Vec::new(),
            stereo_by_offer: false,
            auto_subscribe: false,
            auto_subscribe_data: false,
            resume: None,
            add_tracks: Vec::new(),
            offer: None,
            sync_state: None,
            zego,
            watches: None,
        }
    }

    fn set_attribute(&mut self, connection: ConnectionKey, name: &str, value: &str) {
        let attributes = [(name.to_owned(), value.to_owned())].into();
        let update = proto::UpdateParticipantMetadata { attributes, request_id: 9, ..Default::default() };
        self.request(connection, Request::UpdateMetadata(update));
    }
}

/// Metadata of the room updates among `messages`.
fn metadata(messages: &[Response]) -> Vec<String> {
    let rooms = messages.iter().filter_map(|message| match message {
        Response::RoomUpdate(update) => update.room.as_ref(),
        _ => None,
    });
    rooms.map(|room| room.metadata.clone()).collect()
}

/// Outcomes of requests among `messages`: reason and code.
fn outcomes(messages: &[Response]) -> Vec<(Reason, i32)> {
    let outcomes = messages.iter().filter_map(|message| match message {
        Response::RequestResponse(outcome) => Some((outcome.reason(), code_of(&outcome.message).unwrap_or(0))),
        _ => None,
    });
    outcomes.collect()
}

#[test]
fn whoever_comes_back_does_not_put_a_newcomer_out() {
    let mut stage = Stage::new();
    stage.join(1, "door", |join| join.zego = login("first", false));
    assert_eq!(stage.refusal("door", login("first", true)), 0, "its own place");
    assert_eq!(stage.refusal("door", login("second", false)), 0, "a new login takes the place");
    stage.join(2, "door", |join| join.zego = login("second", false));
    assert_eq!(stage.refusal("door", login("first", true)), 1_002_086);
    assert_eq!(stage.refusal("door", login("", true)), 1_002_086, "no number is nobody's");
    assert_eq!(stage.refusal("desk", login("third", true)), 0, "another user's place is free");
    stage.request(2, Request::Leave(Default::default()));
    assert_eq!(stage.refusal("door", login("first", true)), 0, "the newcomer has left");
}

#[test]
fn the_first_one_in_a_room_limits_it() {
    let mut stage = Stage::new();
    let limit = |most| ZegoClient { max_members: most, ..Default::default() };
    assert_eq!(stage.refusal("door", limit(1)), 0);
    stage.join(1, "door", |join| join.zego = limit(2));
    stage.join(2, "desk", |join| join.zego = limit(100));
    assert_eq!(stage.refusal("gate", limit(100)), 1_002_034);
    assert_eq!(stage.refusal("desk", limit(0)), 0, "a place is kept for whoever takes over its own");
    stage.request(1, Request::Leave(Default::default()));
    assert_eq!(stage.refusal("gate", limit(0)), 0);
}

#[test]
fn quiet_people_say_so_to_the_others() {
    let mut stage = Stage::new();
    stage.join(1, "door", |join| join.zego.quiet = true);
    stage.join(2, "desk", |_| {});
    let heard = stage.heard(2);
    let Some(Response::Join(join)) = heard.first() else { panic!("{heard:?}") };
    assert_eq!(join.other_participants[0].attributes.get("zego.quiet").map(String::as_str), Some("1"));
}

#[test]
fn extra_information_belongs_to_the_room() {
    let mut stage = Stage::new();
    stage.join(1, "door", |_| {});
    stage.join(2, "desk", |_| {});
    stage.forget();
    stage.set_attribute(1, "zego.room", r#"{"key":"mode","value":"night"}"#);
    let expected = r#"{"zego":{"key":"mode","time_ms":1700000000000,"user_id":"door","value":"night"}}"#.to_owned();
    let heard = stage.heard(1);
    assert_eq!(outcomes(&heard), [(Reason::Ok, 0)]);
    assert_eq!(metadata(&heard), std::slice::from_ref(&expected));
    let heard = stage.heard(2);
    assert_eq!(metadata(&heard), std::slice::from_ref(&expected));
    assert!(updates(&heard).is_empty(), "nobody's attribute changed");

    for (text, code) in [
        (r#"{"key":"other","value":"x"}"#, 1_002_017),
        (r#"{"key":"","value":"x"}"#, 1_002_014),
        (r#"{"key":"mode"}"#, 1_000_017),
        ("mode", 1_000_017),
        ("", 1_000_017),
    ] {
        stage.set_attribute(2, "zego.room", text);
        assert_eq!(outcomes(&stage.heard(2)), [(Reason::InvalidRequest, code)], "{text}");
    }
    stage.set_attribute(2, "zego.room", r#"{"key":"mode","value":""}"#);
    assert!(metadata(&stage.heard(1))[0].contains(r#""user_id":"desk","value":"""#));

    stage.request(1, Request::Leave(Default::default()));
    stage.request(2, Request::Leave(Default::default()));
    stage.join(3, "gate", |_| {});
    let heard = stage.heard(3);
    let Some(Response::Join(join)) = heard.first() else { panic!("{heard:?}") };
    assert_eq!(join.room.as_ref().map(|room| room.metadata.as_str()), Some(""), "it ended with the room");
}

#[test]
fn whoever_comes_later_finds_the_extra_information() {
    let mut stage = Stage::new();
    stage.join(1, "door", |_| {});
    stage.join(2, "desk", |_| {});
    stage.set_attribute(1, "zego.room", r#"{"key":"mode","value":"night"}"#);
    stage.request(1, Request::Leave(Default::default()));
    stage.join(3, "gate", |_| {});
    let heard = stage.heard(3);
    let Some(Response::Join(join)) = heard.first() else { panic!("{heard:?}") };
    assert!(join.room.as_ref().is_some_and(|room| room.metadata.contains(r#""value":"night""#)));
}

#[test]
fn everybody_may_describe_its_streams() {
    let mut stage = Stage::new();
    stage.join(1, "door", |join| join.claims.can_update_own_metadata = false);
    stage.join(2, "desk", |_| {});
    stage.forget();
    stage.set_attribute(1, "zego.stream.cam", "front");
    assert_eq!(outcomes(&stage.heard(1)), [(Reason::Ok, 0)]);
    assert_eq!(updates(&stage.heard(2)).len(), 1);
    stage.set_attribute(1, "mood", "good");
    assert_eq!(outcomes(&stage.heard(1)), [(Reason::NotAllowed, 0)]);
}

#[test]
fn a_renewed_token_counts_from_now_on() {
    let mut stage = Stage::new();
    stage.join(1, "door", |join| join.zego = login("first", false));
    stage.forget();
    let mut renewed = stage.knock("door", login("first", false));
    renewed.claims.streams = Some(vec!["only".into()]);
    assert_eq!(stage.rooms.renew(&renewed, "new".into()), Ok(()));
    stage.collect();
    assert!(stage.heard(1).iter().any(|m| matches!(m, Response::RefreshToken(token) if token == "new")));
    stage.request(1, Request::AddTrack(track("audio", "A", "other")));
    assert_eq!(outcomes(&stage.heard(1)), [(Reason::NotAllowed, 1_003_072)]);
    renewed.claims.can_publish = false;
    let refused = stage.rooms.renew(&renewed, "silent".into()).unwrap_err();
    assert_eq!(code_of(&refused), Some(1_002_082));
    let stranger = stage.knock("door", login("second", false));
    assert_eq!(stage.rooms.renew(&stranger, "other".into()), Ok(()), "another login's token is its own affair");
    stage.request(1, Request::AddTrack(track("audio", "A", "only")));
    assert!(outcomes(&stage.heard(1)).is_empty());
}

#[test]
fn expired_tokens_end_sessions_only_when_configured() {
    for (configured, knows_zego, reason) in [(false, true, None), (true, true, Some(1_002_056)), (true, false, Some(4))]
    {
        let mut stage = Stage::new();
        stage.rooms.settings.expire_sessions = configured;
        let until = stage.now.unix_ms as u64 / 1000 + 10;
        stage.join(1, "door", |join| {
            join.zego = if knows_zego { login("first", false) } else { ZegoClient::default() };
            join.claims.kind = zego_protocol::token::TokenKind::Token04;
            join.claims.expires_at = until;
        });
        stage.join(2, "desk", |join| join.claims.expires_at = u64::MAX);
        stage.forget();
        stage.tick_after(Duration::from_secs(10));
        assert!(stage.closed.is_empty(), "it is good up to and including its last second");
        stage.tick_after(Duration::from_secs(1));
        assert_eq!(leaves(&stage.heard(1)).first().map(|leave| leave.0), reason);
        assert_eq!(stage.closed.is_empty(), reason.is_none());
    }
}
