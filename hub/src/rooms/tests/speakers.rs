//! Who is told who speaks.

use super::*;

/// What a connection was told: id, eighths of full loudness, active.
fn told(stage: &mut Stage, connection: ConnectionKey) -> Vec<(String, u8, bool)> {
    let speakers = stage.heard(connection).into_iter().flat_map(|message| match message {
        Response::SpeakersChanged(changed) => changed.speakers,
        _ => Vec::new(),
    });
    speakers.map(|speaker| (speaker.sid, (speaker.level * 8.0) as u8, speaker.active)).collect()
}

fn sid(stage: &Stage, connection: ConnectionKey) -> String {
    stage.rooms.people[&stage.participant(connection)].sid.clone()
}

fn key(stage: &Stage, connection: ConnectionKey, index: usize) -> u64 {
    stage.rooms.people[&stage.participant(connection)].published[index].key
}

/// `door` (1) and `desk` (2) publish sound, `shed` (3) listens with a client of an old protocol.
fn stage() -> Stage {
    let mut stage = Stage::new();
    for (connection, user) in [(1, "door"), (2, "desk")] {
        stage.enter(connection, user, 3, 0);
        stage.publish(connection, "0", "audio", "MIC", user);
    }
    stage.join(3, "shed", |join| join.protocol = 2);
    stage.forget();
    stage
}

#[test]
fn everybody_is_told_what_changed_the_loudest_first() {
    let mut stage = stage();
    let (door, desk) = (key(&stage, 1, 0), key(&stage, 2, 0));
    let (door_sid, desk_sid) = (sid(&stage, 1), sid(&stage, 2));
    stage.notice(Notice::Loudness(vec![(door, 2), (desk, 5)]));
    for connection in [1, 2] {
        assert_eq!(told(&mut stage, connection), [(desk_sid.clone(), 5, true), (door_sid.clone(), 2, true)]);
    }
    assert!(told(&mut stage, 3).is_empty(), "its client knows no such message");
    stage.notice(Notice::Loudness(vec![(door, 0)]));
    assert_eq!(told(&mut stage, 2), [(door_sid, 0, false)]);
    stage.notice(Notice::Loudness(vec![(door, 0), (999, 4)]));
    assert!(told(&mut stage, 1).len() == 1 && told(&mut stage, 2).is_empty(), "nothing changed");
}

#[test]
fn one_with_several_tracks_is_as_loud_as_the_loudest() {
    let mut stage = stage();
    stage.request(1, Request::AddTrack(track("audio", "MIC2", "door-two")));
    let section = |mid, cid| Section { mid, kind: "audio", direction: "sendonly", msid: Some(cid) };
    stage.request(1, Request::Offer(offer(&[section("0", "MIC"), section("1", "MIC2")])));
    stage.answer_all();
    stage.forget();
    let (door, first, second) = (sid(&stage, 1), key(&stage, 1, 0), key(&stage, 1, 1));
    stage.notice(Notice::Loudness(vec![(first, 3), (second, 6)]));
    assert_eq!(told(&mut stage, 2), [(door.clone(), 6, true)]);
    stage.notice(Notice::Loudness(vec![(first, 5)]));
    assert!(told(&mut stage, 2).is_empty());
    stage.notice(Notice::Loudness(vec![(second, 0)]));
    assert_eq!(told(&mut stage, 2), [(door, 5, true)]);
}

#[test]
fn who_mutes_unpublishes_or_leaves_speaks_no_more() {
    for ending in 0..3 {
        let mut stage = stage();
        let (track, door) = (key(&stage, 1, 0), sid(&stage, 1));
        stage.notice(Notice::Loudness(vec![(track, 4)]));
        stage.forget();
        let track_sid = stage.rooms.people[&stage.participant(1)].published[0].info.sid.clone();
        match ending {
            0 => stage.request(1, Request::Mute(proto::MuteTrackRequest { sid: track_sid, muted: true })),
            1 => stage.request(1, Request::Offer(offer(&receiving(3, 0)))),
            _ => stage.request(1, Request::Leave(proto::LeaveRequest::default())),
        }
        assert_eq!(told(&mut stage, 2), [(door, 0, false)], "ending {ending}");
    }
}

#[test]
fn newcomers_are_told_and_hidden_ones_are_not_shown() {
    let mut stage = stage();
    stage.notice(Notice::Loudness(vec![(key(&stage, 1, 0), 4)]));
    let door = sid(&stage, 1);
    stage.enter(4, "late", 3, 0);
    assert_eq!(told(&mut stage, 4), [(door, 4, true)]);
    stage.join(5, "spy", |join| {
        join.claims.hidden = true;
        join.offer = Some(offer(&receiving(0, 0)));
    });
    stage.answer_all();
    stage.publish(5, "0", "audio", "MIC", "spy");
    stage.forget();
    stage.notice(Notice::Loudness(vec![(key(&stage, 5, 0), 4)]));
    assert!(told(&mut stage, 1).is_empty());
}
