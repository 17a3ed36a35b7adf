//! What administrators do to rooms, and how long rooms stay.

use std::collections::HashMap;

use prost::Message as _;
use zego_protocol::error::code_of;
use zego_protocol::token::RoomConfig;

use super::super::{AdministrationError, RoomOptions, ZegoClient};
use super::*;

const APP: &str = "123456789";

impl Stage {
    fn create(&mut self, name: &str, change: impl FnOnce(&mut proto::CreateRoomRequest)) -> proto::Room {
        let mut asked = proto::CreateRoomRequest { name: name.into(), ..Default::default() };
        change(&mut asked);
        let room = self.rooms.create_room(APP, &asked, self.now).expect("a room");
        self.collect();
        room
    }

    fn update(&mut self, change: impl FnOnce(&mut proto::UpdateParticipantRequest)) -> proto::ParticipantInfo {
        let mut asked =
            proto::UpdateParticipantRequest { room: "lobby".into(), identity: "door".into(), ..Default::default() };
        change(&mut asked);
        let info = self.rooms.update_participant(APP, &asked, self.now).expect("it is there");
        self.collect();
        info
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.rooms.list_rooms(APP, &[]).into_iter().map(|room| room.name).collect();
        names.sort();
        names
    }
}

fn user(room: &str, identity: &str) -> proto::RoomParticipantIdentity {
    proto::RoomParticipantIdentity { room: room.into(), identity: identity.into(), ..Default::default() }
}

fn permission() -> proto::ParticipantPermission {
    proto::ParticipantPermission {
        can_subscribe: true,
        can_publish: true,
        can_publish_data: true,
        ..Default::default()
    }
}

#[test]
fn a_room_that_was_made_stays_its_time_and_is_made_once() {
    let mut stage = Stage::new();
    let room = stage.create("lobby", |asked| {
        asked.empty_timeout = 10;
        asked.max_participants = 2;
        asked.metadata = "m".into();
    });
    assert_eq!((room.empty_timeout, room.departure_timeout, room.max_participants), (10, 20, 2));
    assert_eq!((room.metadata.as_str(), room.num_participants), ("m", 0));
    let again = stage.create("lobby", |asked| asked.metadata = "other".into());
    assert_eq!((again.sid, again.metadata), (room.sid, room.metadata), "one that is there stays as it is");
    stage.create("hall", |_| {});
    assert_eq!(stage.names(), ["hall", "lobby"]);
    assert_eq!(stage.rooms.list_rooms(APP, &["hall".into()]).len(), 1);
    assert!(stage.rooms.list_rooms("7", &[]).is_empty(), "another AppID's are not seen");
    stage.tick_after(Duration::from_secs(10));
    assert_eq!(stage.names(), ["hall"], "its own time-out, and the usual one");
    stage.tick_after(Duration::from_secs(290));
    assert!(stage.rooms.rooms.is_empty());
}

#[test]
fn a_room_is_full_and_stays_for_whoever_comes_back() {
    let mut stage = Stage::new();
    stage.create("lobby", |asked| {
        asked.max_participants = 1;
        asked.departure_timeout = 5;
    });
    stage.enter(1, "door", 0, 0);
    stage.tick_after(Duration::from_secs(1));
    let join = |stage: &Stage, user: &str| {
        let mut joined = None;
        let mut copy = Stage::new();
        copy.join(9, user, |join| joined = Some(join.clone()));
        stage.rooms.may_join(&joined.expect("a join")).err().and_then(|denial| code_of(&denial.to_string()))
    };
    assert_eq!(join(&stage, "desk"), Some(1_002_034));
    assert_eq!(join(&stage, "door"), None, "it takes its own place");
    stage.request(1, Request::Leave(Default::default()));
    stage.tick_after(Duration::from_secs(4));
    assert_eq!(stage.names(), ["lobby"]);
    stage.enter(2, "desk", 0, 0);
    stage.request(2, Request::Leave(Default::default()));
    stage.tick_after(Duration::from_secs(4));
    assert_eq!(stage.names(), ["lobby"], "the time counts from the last one");
    stage.tick_after(Duration::from_secs(1));
    assert!(stage.rooms.rooms.is_empty());
}

#[test]
fn what_zego_keeps_with_a_room_ends_with_its_last_member() {
    let mut stage = Stage::new();
    stage.join(1, "door", |join| join.zego = ZegoClient { max_members: 1, ..Default::default() });
    let attributes: HashMap<String, String> = [("zego.room".into(), r#"{"key":"k","value":"v"}"#.into())].into();
    let update = proto::UpdateParticipantMetadata { attributes, ..Default::default() };
    stage.request(1, Request::UpdateMetadata(update));
    assert!(stage.rooms.list_rooms(APP, &[])[0].metadata.contains("zego"));
    stage.request(1, Request::Leave(Default::default()));
    assert_eq!(stage.rooms.list_rooms(APP, &[])[0].metadata, "");
    stage.enter(2, "desk", 0, 0);
    stage.enter(3, "door", 0, 0);
    assert_eq!(stage.rooms.list_participants(APP, "lobby").len(), 2, "the limit was the first one's");
}

#[test]
fn a_token_says_what_its_room_is_like_and_the_configuration_the_rest() {
    let mut stage = Stage::new();
    stage.rooms.settings.room.options =
        RoomOptions { empty_timeout: HEARTBEAT, departure_timeout: Duration::ZERO, max_participants: 9 };
    stage.join(1, "door", |join| {
        join.claims.room_config = RoomConfig { empty_timeout: 7, metadata: "m".into(), ..Default::default() };
    });
    let room = stage.rooms.list_rooms(APP, &[]).remove(0);
    assert_eq!((room.empty_timeout, room.departure_timeout, room.max_participants), (7, 0, 9));
    assert_eq!(room.metadata, "m");
    stage.request(1, Request::Leave(Default::default()));
    assert!(stage.rooms.rooms.is_empty(), "without a time-out a room ends with its last member");
}

#[test]
fn without_auto_create_only_whoever_may_create_rooms_joins_a_new_one() {
    let mut stage = Stage::new();
    stage.rooms.settings.room.auto_create = false;
    let knock = |stage: &Stage, create: bool| {
        let mut joined = None;
        Stage::new().join(9, "desk", |join| {
            join.claims.room_create = create;
            joined = Some(join.clone());
        });
        stage.rooms.may_join(&joined.expect("a join"))
    };
    let refused = knock(&stage, false).expect_err("no such room");
    assert!(refused.to_string().contains("requested room does not exist"), "{refused}");
    assert_eq!(knock(&stage, true), Ok(()));
    stage.create("lobby", |_| {});
    assert_eq!(knock(&stage, false), Ok(()));
}

#[test]
fn a_deleted_room_sends_everybody_away() {
    let mut stage = Stage::new();
    for departure in [Duration::ZERO, Duration::from_secs(20)] {
        stage.rooms.settings.room.options.departure_timeout = departure;
        stage.enter(1, "door", 0, 0);
        stage.enter(2, "desk", 0, 0);
        stage.forget();
        assert_eq!(stage.rooms.delete_room("7", "lobby", stage.now), Err(AdministrationError::NoRoom("lobby".into())));
        stage.rooms.delete_room(APP, "lobby", stage.now).expect("it is there");
        stage.collect();
        for connection in [1, 2] {
            let heard = stage.heard(connection);
            assert_eq!(leaves(&heard), [(proto::DisconnectReason::RoomDeleted as i32, 0)]);
            assert!(updates(&heard).is_empty(), "nobody hears of the others");
        }
        assert_eq!(stage.closed, [1, 2]);
        assert!(stage.rooms.rooms.is_empty() && stage.rooms.connections.is_empty());
        let last = stage.news.last().map(|news| news.event.event.clone());
        assert_eq!(last.as_deref(), Some("room_finished"));
    }
}

#[test]
fn participants_are_listed_found_and_removed() {
    let mut stage = Stage::new();
    stage.join(1, "door", |join| join.zego = ZegoClient { login: "first".into(), ..Default::default() });
    stage.join(2, "ghost", |join| join.claims.hidden = true);
    let identities = |infos: Vec<proto::ParticipantInfo>| infos.into_iter().map(|p| p.identity).collect::<Vec<_>>();
    assert_eq!(identities(stage.rooms.list_participants(APP, "lobby")), ["door", "ghost"]);
    assert!(stage.rooms.list_participants(APP, "hall").is_empty());
    assert!(stage.rooms.list_participants("7", "lobby").is_empty());
    assert_eq!(stage.rooms.list_rooms(APP, &[])[0].num_participants, 2, "hidden ones count");
    assert_eq!(stage.rooms.get_participant(APP, &user("lobby", "door")).expect("there").name, "DOOR");
    stage.forget();
    for (app, room, identity) in [("7", "lobby", "door"), (APP, "hall", "door"), (APP, "lobby", "me")] {
        let refused = stage.rooms.remove_participant(app, &user(room, identity), stage.now);
        assert!(matches!(refused, Err(AdministrationError::NoParticipant { .. })));
    }
    assert_eq!(stage.rooms.remove_participant(APP, &user("lobby", "door"), stage.now), Ok(()));
    stage.collect();
    assert_eq!(leaves(&stage.heard(1)).first().map(|leave| leave.0), Some(1_002_055));
    assert_eq!(stage.closed, [1]);
    assert_eq!(updates(&stage.heard(2)).first().map(|seen| seen.0.clone()), Some("door".to_owned()));
}

#[test]
fn a_track_is_muted_for_its_owner_who_alone_unmutes_it() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 1, 1);
    stage.publish(1, "0", "video", "cam", "door");
    let sid = stage.rooms.list_participants(APP, "lobby")[0].tracks[0].sid.clone();
    let mute = |sid: &str, muted| proto::MuteRoomTrackRequest {
        room: "lobby".into(),
        identity: "door".into(),
        track_sid: sid.into(),
        muted,
    };
    stage.forget();
    let track = stage.rooms.mute_published_track(APP, &mute(&sid, true), stage.now).expect("there").expect("a track");
    stage.collect();
    assert!(track.muted);
    let told = stage.heard(1).into_iter().any(|m| matches!(m, Response::Mute(mute) if mute.muted && mute.sid == sid));
    assert!(told, "its owner stops sending");
    assert_eq!(updates(&stage.heard(2)).len(), 1);
    let refused = stage.rooms.mute_published_track(APP, &mute(&sid, false), stage.now);
    assert_eq!(refused, Err(AdministrationError::NoRemoteUnmute));
    stage.rooms.settings.room.remote_unmute = true;
    let track = stage.rooms.mute_published_track(APP, &mute(&sid, false), stage.now).expect("there").expect("a track");
    assert!(!track.muted);
    assert_eq!(stage.rooms.mute_published_track(APP, &mute("TR_none", true), stage.now), Ok(None));
}

#[test]
fn a_permission_goes_before_the_token_and_ends_what_it_forbids() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 1, 1);
    stage.publish(1, "0", "video", "cam", "door");
    stage.publish(2, "0", "video", "cam", "desk");
    stage.forget();
    let microphone = vec![proto::TrackSource::Microphone as i32];
    let info = stage.update(|asked| {
        asked.permission =
            Some(proto::ParticipantPermission { can_publish_sources: microphone.clone(), ..permission() });
    });
    assert_eq!(info.permission.map(|p| p.can_publish_sources), Some(microphone));
    assert!(info.tracks.is_empty(), "the camera is not allowed any more");
    assert!(stage.heard(1).iter().any(|m| matches!(m, Response::TrackUnpublished(_))));
    stage.request(1, Request::AddTrack(track("video", "cam2", "door")));
    let refused = |m: &Response| matches!(m, Response::RequestResponse(r) if r.reason() == Reason::NotAllowed);
    assert!(stage.heard(1).iter().any(refused));
    stage.update(|asked| {
        asked.permission = Some(proto::ParticipantPermission { can_publish_data: false, ..permission() })
    });
    assert!(stage.commands.iter().any(|c| matches!(c, Command::SetMayData(_, false))));
    stage.update(|asked| asked.permission = Some(proto::ParticipantPermission { can_publish: false, ..permission() }));
    // Its token grants more, and it resumes with it.
    let sid = stage.rooms.list_participants(APP, "lobby")[0].sid.clone();
    stage.join(3, "door", |join| join.resume = Some(sid));
    let info = stage.rooms.get_participant(APP, &user("lobby", "door")).expect("it is there");
    assert_eq!(info.permission.map(|p| p.can_publish), Some(false));
}

use proto::request_response::Reason;

#[test]
fn a_participant_is_described_anew_and_everybody_is_told() {
    let mut stage = Stage::new();
    stage.join(1, "door", |join| {
        join.claims.attributes = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into();
    });
    stage.enter(2, "desk", 0, 0);
    stage.forget();
    let info = stage.update(|asked| {
        asked.name = "Front".into();
        asked.attributes = [("a".into(), String::new()), ("c".into(), "3".into())].into();
    });
    assert_eq!((info.name.as_str(), info.metadata.as_str()), ("Front", ""));
    assert_eq!(info.attributes, [("b".to_owned(), "2".to_owned()), ("c".to_owned(), "3".to_owned())].into());
    for connection in [1, 2] {
        assert_eq!(updates(&stage.heard(connection)).len(), 1);
    }
    let long = "x".repeat(64_001);
    let asked = proto::UpdateParticipantRequest { metadata: long.clone(), ..Default::default() };
    assert!(matches!(stage.rooms.update_participant(APP, &asked, stage.now), Err(AdministrationError::Invalid(_))));
    let asked = proto::UpdateRoomMetadataRequest { room: "lobby".into(), metadata: long };
    assert!(matches!(stage.rooms.update_room_metadata(APP, asked), Err(AdministrationError::Invalid(_))));
}

#[test]
fn room_metadata_reaches_everybody_beside_zego_s_own() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.forget();
    for (text, plain) in [(r#"{"topic":"x"}"#, "topic"), ("words", "text")] {
        let asked = proto::UpdateRoomMetadataRequest { room: "lobby".into(), metadata: text.into() };
        let room = stage.rooms.update_room_metadata(APP, asked).expect("it is there");
        stage.collect();
        assert_eq!(room.metadata, text);
        let told = stage.heard(1);
        let told = told
            .iter()
            .any(|m| matches!(m, Response::RoomUpdate(u) if u.room.as_ref().is_some_and(|r| r.metadata == text)));
        assert!(told);
        let attributes: HashMap<String, String> = [("zego.room".into(), r#"{"key":"k","value":"v"}"#.into())].into();
        let update = proto::UpdateParticipantMetadata { attributes, ..Default::default() };
        stage.request(1, Request::UpdateMetadata(update));
        let both = stage.rooms.list_rooms(APP, &[]).remove(0).metadata;
        let both: serde_json::Value = serde_json::from_str(&both).expect("JSON");
        assert_eq!((both["zego"]["key"].as_str(), both[plain].is_string()), (Some("k"), true), "{both}");
        stage.rooms.rooms.values_mut().for_each(|room| room.extra_info = None);
    }
}

#[test]
fn data_goes_to_the_room_or_to_some_and_once() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 0, 0);
    let keys = [stage.participant(1), stage.participant(2)];
    let sid = stage.rooms.get_participant(APP, &user("lobby", "desk")).expect("there").sid;
    let asked = || proto::SendDataRequest { room: "lobby".into(), data: b"hi".to_vec(), ..Default::default() };
    for (asked, expected) in [
        (asked(), vec![keys[0], keys[1]]),
        (proto::SendDataRequest { destination_identities: vec!["door".into()], ..asked() }, vec![keys[0]]),
        (proto::SendDataRequest { destination_identities: vec!["nobody".into()], ..asked() }, vec![]),
        (old(&sid, asked()), vec![keys[1]]),
    ] {
        stage.forget();
        stage.rooms.send_data(APP, asked).expect("there");
        stage.collect();
        let Some(Command::SendData { to, reliable, bytes }) = stage.commands.pop() else { panic!("nothing sent") };
        assert_eq!((to, reliable), (expected, true));
        let packet = proto::DataPacket::decode(bytes.as_slice()).expect("a packet");
        assert!(matches!(packet.value, Some(proto::data_packet::Value::User(user)) if user.payload == b"hi"));
    }
    stage.forget();
    for _ in 0..2 {
        let asked = proto::SendDataRequest { nonce: vec![7; 16], ..asked() };
        stage.rooms.send_data(APP, asked).expect("there");
    }
    stage.collect();
    assert_eq!(stage.commands.len(), 1, "sent again for want of an answer, it arrives once");
    let bad = stage.rooms.send_data(APP, proto::SendDataRequest { nonce: vec![7; 3], ..asked() });
    assert!(matches!(bad, Err(AdministrationError::Invalid(_))));
}

#[allow(deprecated)]
fn old(sid: &str, asked: proto::SendDataRequest) -> proto::SendDataRequest {
    proto::SendDataRequest { destination_sids: vec![sid.to_owned()], ..asked }
}

#[test]
fn subscriptions_are_chosen_for_a_participant() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "video", "cam", "door");
    stage.join(2, "desk", |join| {
        join.auto_subscribe = false;
        join.offer = Some(offer(&receiving(1, 0)));
    });
    stage.answer_all();
    stage.forget();
    let sid = stage.rooms.get_participant(APP, &user("lobby", "door")).expect("there").tracks[0].sid.clone();
    let asked = |identity: &str| proto::UpdateSubscriptionsRequest {
        room: "lobby".into(),
        identity: identity.into(),
        track_sids: vec![sid.clone()],
        subscribe: true,
        participant_tracks: Vec::new(),
    };
    assert!(stage.rooms.update_subscriptions(APP, asked("nobody")).is_err());
    stage.rooms.update_subscriptions(APP, asked("desk")).expect("there");
    stage.collect();
    assert_eq!(requirements(&stage.heard(2)), [(0, 1)], "it is asked for room for the picture");
}
