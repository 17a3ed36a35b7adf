//! The running hub tells who speaks and how good connections are, and passes data packets on once.

mod running;

use std::time::{Duration, Instant};

use livekit_protocol as proto;
use proto::data_packet::Value;
use proto::signal_response::Message as Response;
use running::client::Client;
use running::{Hub, livekit_token};
use str0m::media::{MediaKind, Mid};

async fn connected(hub: &Hub, user: &str) -> Client {
    let mut client = Client::join(hub, &livekit_token(user, "lobby", 0, 600), true, true).await;
    client.hear("join", |m| matches!(m, Response::Join(_)).then_some(())).await;
    client.until("the connection", |c| (c.connected && c.has_channels()).then_some(())).await;
    client
}

/// Sound of this level for a while; both live meanwhile.
async fn sound(from: &mut Client, to: &mut Client, mid: Mid, numbers: std::ops::Range<u32>, level: i8) {
    let begin = Instant::now();
    for (n, number) in numbers.enumerate() {
        from.write_sound(mid, number + 1, level);
        let next = begin + Duration::from_millis(20) * (n as u32 + 1);
        let time = next.saturating_duration_since(Instant::now());
        tokio::join!(from.live(time), to.live(time));
    }
}

/// What was told of speakers, in order: level, active.
fn speakers(client: &Client) -> Vec<(f32, bool)> {
    let told = client.heard.iter().flat_map(|message| match message {
        Response::SpeakersChanged(changed) => changed.speakers.clone(),
        _ => Vec::new(),
    });
    told.map(|speaker| (speaker.level, speaker.active)).collect()
}

#[tokio::test]
async fn who_speaks_is_told_until_it_is_silent() {
    let hub = Hub::start("");
    let mut desk = connected(&hub, "desk").await;
    let mut door = connected(&hub, "door").await;
    let mid = door.publish(MediaKind::Audio, "MIC", "door").await;
    sound(&mut door, &mut desk, mid, 0..60, 90).await;
    assert!(speakers(&desk).is_empty(), "it is too quiet");
    sound(&mut door, &mut desk, mid, 60..160, 15).await;
    let told = speakers(&desk);
    assert!(
        told.len() <= 3 && told.iter().all(|(level, active)| *active && (0.125..=0.25).contains(level)),
        "{told:?}"
    );
    assert_eq!(told.last(), Some(&(0.25, true)), "15 dB below the loudest is an amplitude of 0.18");
    assert_eq!(speakers(&door), told, "it hears of itself");
    let time = Duration::from_millis(1_600);
    tokio::join!(door.live(time), desk.live(time));
    assert_eq!(speakers(&desk).last(), Some(&(0.0, false)), "nothing comes any more");
}

/// The last that was told of somebody's connection.
fn quality(client: &Client, sid: &str) -> Option<proto::ConnectionQuality> {
    let updates = client.heard.iter().rev().filter_map(|message| match message {
        Response::ConnectionQuality(update) => Some(&update.updates),
        _ => None,
    });
    updates.flatten().find(|info| info.participant_sid == sid).map(proto::ConnectionQualityInfo::quality)
}

#[tokio::test]
async fn a_bad_link_is_told_and_only_its_own() {
    use proto::ConnectionQuality::{Excellent, Poor};
    let hub = Hub::start("");
    let mut desk = Client::join(&hub, &livekit_token("desk", "lobby", 0, 600), true, true).await;
    let own = |m: &Response| match m {
        Response::Join(join) => join.participant.as_ref().map(|p| p.sid.clone()),
        _ => None,
    };
    let desk_sid = desk.hear("join", own).await;
    let mut door = Client::join(&hub, &livekit_token("door", "lobby", 0, 600), true, true).await;
    let door_sid = door.hear("join", own).await;
    for client in [&mut desk, &mut door] {
        client.until("the connection", |c| (c.connected && c.has_channels()).then_some(())).await;
    }
    // Sound is not sent again: what the link loses stays lost, whoever counts.
    let mid = door.publish(MediaKind::Audio, "MIC", "door").await;
    for second in 0..17u32 {
        desk.loss = if second < 6 { 0 } else { 150 };
        if second == 6 {
            assert_eq!(quality(&desk, &desk_sid), Some(Excellent));
            assert_eq!(quality(&desk, &door_sid), Some(Excellent));
        }
        for n in 0..50u32 {
            door.write_sound(mid, second * 50 + n + 1, 20);
            tokio::join!(door.live(Duration::from_millis(20)), desk.live(Duration::from_millis(20)));
        }
    }
    assert_eq!(quality(&desk, &desk_sid), Some(Poor));
    assert_eq!(quality(&desk, &door_sid), Some(Excellent));
    assert_eq!(quality(&door, &door_sid), Some(Excellent));
    assert_eq!(quality(&door, &desk_sid), None, "it receives nothing of it");
}

#[tokio::test]
async fn what_a_client_sends_again_is_passed_on_once() {
    let hub = Hub::start("");
    let mut desk = connected(&hub, "desk").await;
    let mut door = connected(&hub, "door").await;
    for sequence in [1, 2, 3, 2, 3, 4, 0, 0] {
        let user = proto::UserPacket { payload: vec![sequence as u8], ..Default::default() };
        let packet = proto::DataPacket { sequence, value: Some(Value::User(user)), ..Default::default() };
        door.write_data("_reliable", &packet);
        tokio::join!(door.live(Duration::from_millis(5)), desk.live(Duration::from_millis(5)));
    }
    let time = Duration::from_millis(300);
    tokio::join!(door.live(time), desk.live(time));
    let got: Vec<u32> = desk.data.iter().map(|(_, packet)| packet.sequence).collect();
    assert_eq!(got, [1, 2, 3, 4, 0, 0]);
}
