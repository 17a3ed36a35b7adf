//! Tracks: announced, negotiated, muted, taken away; whose stream ids they are.

use proto::request_response::Reason;

use super::*;

/// Outcome of the last refusal: reason and message.
fn refusal(heard: &[Response]) -> Option<(i32, String)> {
    heard.iter().rev().find_map(|message| match message {
        Response::RequestResponse(r) => Some((r.reason, r.message.clone())),
        _ => None,
    })
}

#[test]
fn others_hear_of_a_track_when_it_is_negotiated() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 0, 0);
    stage.forget();
    stage.request(1, Request::AddTrack(track("video", "CAM", "door-main")));
    let heard = stage.heard(1);
    let [Response::TrackPublished(published)] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!(published.cid, "CAM");
    assert!(stage.heard(2).is_empty(), "there is nothing to receive yet");
    let section = Section { mid: "0", kind: "video", direction: "sendonly", msid: Some("CAM") };
    stage.request(1, Request::Offer(offer(&[section])));
    let uses = stage.commands.iter().find_map(|command| match command {
        Command::Offer { uses, .. } => Some(uses.clone()),
        _ => None,
    });
    assert!(matches!(uses.as_deref(), Some([(mid, crate::sfu::Use::Publish(_))]) if mid == "0"), "{uses:?}");
    stage.answer_all();
    let heard = stage.heard(1);
    let Some(Response::Answer(answer)) = heard.first() else { panic!("{heard:?}") };
    assert_eq!((answer.r#type.as_str(), answer.id), ("answer", 7));
    assert_eq!(updates(&stage.heard(2))[0].2, ["door-main"]);
}

#[test]
fn a_request_that_is_repeated_is_one_track() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.forget();
    let mut sids = Vec::new();
    for _ in 0..2 {
        stage.request(1, Request::AddTrack(track("video", "CAM", "door-main")));
        let heard = stage.heard(1);
        let [Response::TrackPublished(published)] = heard.as_slice() else { panic!("{heard:?}") };
        sids.push(published.track.clone().expect("a track").sid);
    }
    assert_eq!(sids[0], sids[1]);
    assert_eq!(stage.rooms.people[&stage.participant(1)].published.len(), 1);
}

#[test]
fn the_answer_prefers_the_codec_that_the_publisher_announced() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.forget();
    let codec = proto::SimulcastCodec { codec: "h264".into(), cid: "CAM".into(), ..Default::default() };
    let add = proto::AddTrackRequest { simulcast_codecs: vec![codec], ..track("video", "CAM", "door-main") };
    stage.request(1, Request::AddTrack(add));
    let section = Section { mid: "0", kind: "video", direction: "sendonly", msid: Some("CAM") };
    stage.request(1, Request::Offer(offer(&[section])));
    stage.answer_all();
    let heard = stage.heard(1);
    let answer = heard.iter().find_map(|message| match message {
        Response::Answer(answer) => Some(answer.sdp.clone()),
        _ => None,
    });
    assert!(answer.is_some_and(|sdp| sdp.contains("SAVPF 102 96\r\n")));
    let track = stage.rooms.people[&stage.participant(1)].published[0].info.clone();
    assert_eq!(track.mime_type, "video/H264");
}

#[test]
fn where_a_device_is_nothing_is_begun_that_it_does_not_decode() {
    for (login, own, expected) in
        [("", "VP9", "video/VP9"), ("", "AV1", "video/AV1"), ("7", "VP9", "video/VP8"), ("7", "AV1", "video/VP8")]
    {
        let mut stage = Stage::new();
        stage.join(2, "desk", |join| join.zego.login = login.into());
        stage.enter(1, "anna", 0, 0);
        let codec = |name: &str, cid: &str| proto::SimulcastCodec {
            codec: name.to_ascii_lowercase(),
            cid: cid.into(),
            ..Default::default()
        };
        // What it could send as well, if it is asked to.
        let simulcast_codecs = vec![codec(own, "CAM"), codec("vp8", "")];
        let add = proto::AddTrackRequest { simulcast_codecs, ..track("video", "CAM", "anna-main") };
        stage.request(1, Request::AddTrack(add));
        let mut offered = offer(&[Section { mid: "0", kind: "video", direction: "sendonly", msid: Some("CAM") }]);
        let first = format!(" 98 96 102\r\na=rtpmap:98 {own}/90000\r\n");
        offered.sdp = offered.sdp.replace(" 96 102\r\n", &first);
        stage.request(1, Request::Offer(offered));
        stage.answer_all();
        let track = stage.rooms.people[&stage.participant(1)].published[0].info.clone();
        assert_eq!(track.mime_type, expected, "login '{login}'");
        assert_eq!(track.codecs.len(), 1, "no second codec is asked for");
        let layers = proto::video_layer::Mode::try_from(track.codecs[0].video_layer_mode);
        let in_one_stream = layers == Ok(proto::video_layer::Mode::MultipleSpatialLayersPerStream);
        assert_eq!(in_one_stream, login.is_empty(), "{layers:?}");
    }
}

#[test]
fn a_section_that_stops_sending_takes_its_track_away() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 0, 0);
    stage.publish(1, "0", "video", "CAM", "door-main");
    stage.forget();
    let section = Section { mid: "0", kind: "video", direction: "inactive", msid: None };
    stage.request(1, Request::Offer(offer(&[section])));
    assert!(matches!(stage.heard(1).first(), Some(Response::TrackUnpublished(_))));
    assert_eq!(updates(&stage.heard(2)).last().map(|u| u.2.len()), Some(0));
    assert!(stage.rooms.owners.is_empty());
}

#[test]
fn a_section_can_change_over_to_another_track_in_one_offer() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "video", "CAM", "door-main");
    stage.forget();
    stage.publish(1, "0", "video", "SCREEN", "door-screen");
    let published = &stage.rooms.people[&stage.participant(1)].published;
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].stream_id, "door-screen");
    assert!(published[0].announced);
}

#[test]
fn a_renegotiation_keeps_what_is_published() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "video", "CAM", "door-main");
    let before = stage.rooms.people[&stage.participant(1)].published[0].key;
    // Browsers name the sender's track differently once it was replaced.
    let section = Section { mid: "0", kind: "video", direction: "sendonly", msid: Some("OTHER") };
    stage.request(1, Request::Offer(offer(&[section])));
    let published = &stage.rooms.people[&stage.participant(1)].published;
    assert_eq!((published.len(), published[0].key), (1, before));
}

#[test]
fn a_track_under_another_name_in_the_offer_is_the_first_of_its_kind() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.request(1, Request::AddTrack(track("video", "v0", "door-main")));
    stage.request(1, Request::AddTrack(track("audio", "a0", "door-main")));
    let sections = [
        Section { mid: "0", kind: "audio", direction: "sendonly", msid: Some("x") },
        Section { mid: "1", kind: "video", direction: "sendonly", msid: None },
    ];
    stage.request(1, Request::Offer(offer(&sections)));
    let published = &stage.rooms.people[&stage.participant(1)].published;
    let mids: Vec<_> = published.iter().map(|p| p.mid.as_deref()).collect();
    assert_eq!(mids, [Some("1"), Some("0")]);
}

#[test]
fn a_stream_id_has_one_owner_within_an_app() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.publish(1, "0", "audio", "MIC", "main");
    stage.enter(2, "desk", 0, 0);
    stage.join(3, "shed", |join| join.room = "garage".into());
    stage.join(4, "door", |join| join.claims = claims("987654321", "door", "lobby"));
    stage.forget();
    for taken in [2, 3] {
        stage.request(taken, Request::AddTrack(track("audio", "M", "main")));
        let (reason, message) = refusal(&stage.heard(taken)).expect("a refusal");
        assert_eq!(reason, Reason::DuplicateName as i32);
        assert!(message.ends_with("[1003028]"), "{message}");
    }
    stage.request(1, Request::AddTrack(track("video", "CAM", "main")));
    stage.request(4, Request::AddTrack(track("audio", "M", "main")));
    assert_eq!(refusal(&stage.heard(1)), None, "its own other track");
    assert_eq!(refusal(&stage.heard(4)), None, "another AppID");
    // A foreign client's "camera" is everybody's: it becomes a stream id with the user's in it.
    let foreign = proto::AddTrackRequest { name: "cam".into(), ..track("audio", "C", "camera") };
    stage.request(1, Request::AddTrack(foreign.clone()));
    stage.request(2, Request::AddTrack(foreign));
    assert_eq!(refusal(&stage.heard(2)), None);
    stage.request(1, Request::Leave(proto::LeaveRequest::default()));
    stage.request(2, Request::AddTrack(track("audio", "M", "main")));
    assert_eq!(refusal(&stage.heard(2)), None, "free again");
}

#[test]
fn who_may_not_publish_is_refused_by_code() {
    let mut stage = Stage::new();
    stage.join(1, "none", |join| join.claims.can_publish = false);
    stage.join(2, "some", |join| join.claims.streams = Some(vec!["mine".into()]));
    stage.join(3, "mics", |join| join.claims.publish_sources = vec!["microphone".into()]);
    for (connection, kind, stream) in [(1, "audio", "main"), (2, "audio", "main"), (3, "video", "main")] {
        stage.forget();
        stage.request(connection, Request::AddTrack(track(kind, "C", stream)));
        let (reason, message) = refusal(&stage.heard(connection)).expect("a refusal");
        assert_eq!(reason, Reason::NotAllowed as i32);
        assert!(message.ends_with("[1003072]"), "{message}");
    }
    stage.request(2, Request::AddTrack(track("audio", "C", "mine")));
    stage.request(3, Request::AddTrack(track("audio", "C", "mics-main")));
    assert_eq!(refusal(&stage.heard(2)), None);
    assert_eq!(refusal(&stage.heard(3)), None);
}

#[test]
fn muting_is_told_to_others() {
    let mut stage = Stage::new();
    stage.enter(1, "door", 0, 0);
    stage.enter(2, "desk", 0, 0);
    stage.publish(1, "0", "audio", "MIC", "door-main");
    stage.forget();
    let sid = stage.rooms.people[&stage.participant(1)].published[0].info.sid.clone();
    let mute = |muted| Request::Mute(proto::MuteTrackRequest { sid: sid.clone(), muted });
    stage.request(1, mute(true));
    stage.request(1, mute(true));
    let heard = stage.heard(2);
    let [Response::Update(update)] = heard.as_slice() else { panic!("told once: {heard:?}") };
    assert!(update.participants[0].tracks[0].muted);
    // Nobody mutes another's track.
    stage.request(2, mute(false));
    assert!(stage.rooms.people[&stage.participant(1)].published[0].info.muted);
}

#[test]
fn a_publisher_may_stop_sending_while_it_is_silent_unless_it_forbids_it() {
    let forbid = proto::AudioTrackFeature::TfNoDtx as i32;
    for (features, expected) in [(vec![], true), (vec![forbid], false)] {
        let mut stage = Stage::new();
        stage.enter(1, "door", 0, 0);
        stage.request(
            1,
            Request::AddTrack(proto::AddTrackRequest {
                audio_features: features,
                ..track("audio", "MIC", "door-main")
            }),
        );
        let section = Section { mid: "0", kind: "audio", direction: "sendonly", msid: Some("MIC") };
        stage.forget();
        stage.request(1, Request::Offer(offer(&[section])));
        stage.answer_all();
        let heard = stage.heard(1);
        let Some(Response::Answer(answer)) = heard.first() else { panic!("{heard:?}") };
        assert_eq!(answer.sdp.contains("a=fmtp:111 usedtx=1\r\n"), expected, "{}", answer.sdp);
    }
}
