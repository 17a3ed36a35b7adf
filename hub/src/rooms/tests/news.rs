//! What webhooks tell, and in which order.

use super::*;

/// Events since the last call: name, participant, track's stream.
fn told(stage: &mut Stage) -> Vec<(String, String, String)> {
    let told = std::mem::take(&mut stage.news).into_iter().map(|news| {
        assert_eq!(news.app, "123456789");
        let event = news.event;
        let room = event.room.expect("every event names its room");
        assert_eq!((room.name.as_str(), room.sid.get(..3)), ("lobby", Some("RM_")));
        let participant = event.participant.map(|p| p.identity).unwrap_or_default();
        (event.event, participant, event.track.map(|t| t.stream).unwrap_or_default())
    });
    told.collect()
}

fn line(event: &str, participant: &str, stream: &str) -> (String, String, String) {
    (event.into(), participant.into(), stream.into())
}

#[test]
fn a_session_is_told_from_the_room_s_beginning_to_its_end() {
    let mut stage = Stage::new();
    stage.join(1, "door", |join| join.offer = Some(offer(&receiving(0, 0))));
    stage.answer_all();
    assert_eq!(told(&mut stage), [line("room_started", "", "")], "nobody has joined before media is up");
    let participant = stage.participant(1);
    stage.notice(Notice::Connected(PeerId { participant, side: Side::Publisher }));
    stage.notice(Notice::Connected(PeerId { participant, side: Side::Publisher }));
    assert_eq!(told(&mut stage), [line("participant_joined", "door", "")], "once");
    stage.publish(1, "0", "video", "cam", "main");
    stage.publish(1, "1", "audio", "mic", "aux");
    let expected = [
        line("track_published", "door", "main"),
        // Its offer does not carry the first one any more.
        line("track_unpublished", "door", "main"),
        line("track_published", "door", "aux"),
    ];
    assert_eq!(told(&mut stage), expected);
    stage.request(1, Request::Leave(Default::default()));
    assert_eq!(told(&mut stage), [line("track_unpublished", "door", "aux"), line("participant_left", "door", "")]);
    stage.tick_after(Duration::from_secs(20));
    assert_eq!(told(&mut stage), [line("room_finished", "", "")]);
}

#[test]
fn a_track_that_is_negotiated_before_media_is_up_is_told_after_its_publisher() {
    let mut stage = Stage::new();
    stage.join(1, "door", |_| {});
    stage.publish(1, "0", "video", "cam", "main");
    stage.publish(1, "1", "video", "cam2", "aux");
    assert_eq!(told(&mut stage), [line("room_started", "", "")]);
    let participant = stage.participant(1);
    stage.notice(Notice::Connected(PeerId { participant, side: Side::Publisher }));
    assert_eq!(told(&mut stage), [line("participant_joined", "door", ""), line("track_published", "door", "aux")]);
}

#[test]
fn whoever_was_never_connected_aborted() {
    let mut stage = Stage::new();
    stage.join(1, "door", |_| {});
    stage.rooms.disconnected(1, stage.now);
    stage.collect();
    assert_eq!(told(&mut stage), [line("room_started", "", ""), line("participant_connection_aborted", "door", "")]);
    let tally = stage.rooms.census().tally;
    assert_eq!((tally.joined, tally.left, tally.aborted), (1, 0, 1));
}

#[test]
fn the_census_counts_rooms_people_tracks_and_the_time_they_took() {
    let mut stage = Stage::new();
    stage.join(1, "door", |join| join.offer = Some(offer(&receiving(0, 0))));
    stage.answer_all();
    stage.now.at += Duration::from_millis(150);
    let participant = stage.participant(1);
    stage.notice(Notice::Connected(PeerId { participant, side: Side::Publisher }));
    stage.publish(1, "0", "video", "cam", "main");
    let census = stage.rooms.census();
    assert_eq!((census.rooms, census.participants, census.audio_tracks, census.video_tracks), (1, 1, 0, 1));
    assert_eq!((census.tally.join_classes[2], census.tally.join_time), (1, Duration::from_millis(150)));
}
