//! Clients meet on the running hub, over loopback: signalling, media with loss, data.

mod running;

use std::time::{Duration, Instant, SystemTime};

use livekit_protocol as proto;
use proto::data_packet::Value;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use running::client::Client;
use running::{Hub, granting, livekit_token};
use str0m::media::MediaKind;
use str0m::rtp::RtpPacket;

/// A VP8 payload (RFC 7741) that carries `number`; every `30`th begins a key frame.
fn picture(number: u64) -> Vec<u8> {
    let mut payload = vec![0x10, u8::from(!number.is_multiple_of(30))];
    payload.extend_from_slice(&number.to_be_bytes());
    payload.resize(900, 7);
    payload
}

fn number(packet: &RtpPacket) -> u64 {
    u64::from_be_bytes(packet.payload[2..10].try_into().expect("eight bytes"))
}

async fn connected(hub: &Hub, user: &str, one: bool) -> Client {
    connected_with(hub, &livekit_token(user, "lobby", 0, 600), one).await
}

async fn connected_with(hub: &Hub, token: &str, one: bool) -> Client {
    let mut client = Client::join(hub, token, one, true).await;
    client.hear("join", |m| matches!(m, Response::Join(_)).then_some(())).await;
    client.until("the connection", |c| (c.connected && c.has_channels()).then_some(())).await;
    client
}

/// Sends pictures every 10 ms for a while; both clients live meanwhile.
async fn send_pictures(from: &mut Client, to: &mut Client, mid: str0m::media::Mid, numbers: std::ops::Range<u64>) {
    for n in numbers {
        from.write(mid, 1_000 + n, 90_000u32.wrapping_add(n as u32 * 900), Instant::now(), &picture(n));
        tokio::join!(from.live(Duration::from_millis(5)), to.live(Duration::from_millis(5)));
    }
}

async fn media_arrives_complete(one: bool, loss: u32) {
    let hub = Hub::start("");
    let mut desk = connected(&hub, "desk", one).await;
    let mut door = connected(&hub, "door", one).await;
    let mid = door.publish(MediaKind::Video, "CAM", "door-main").await;
    let told = |m: &Response| match m {
        Response::Update(u) => u.participants.iter().find(|p| p.identity == "door" && !p.tracks.is_empty()).cloned(),
        _ => None,
    };
    let info = desk.hear("the track's announcement", told).await;
    assert_eq!(info.tracks[0].stream, "door-main");
    // Pictures from before the subscription is up are nobody's loss: it ends with a key frame being asked for.
    let mut next = 0;
    while desk.packets.is_empty() {
        send_pictures(&mut door, &mut desk, mid, next..next + 1).await;
        next += 1;
        assert!(next < 300, "nothing arrives");
    }
    assert!(door.key_frame_requests > 0, "who begins to receive needs a key frame");
    let first = number(&desk.packets[0].2);
    (desk.loss, door.loss) = (loss, loss);
    send_pictures(&mut door, &mut desk, mid, next..next + 400).await;
    (desk.loss, door.loss) = (0, 0);
    send_pictures(&mut door, &mut desk, mid, next + 400..next + 430).await;
    tokio::join!(door.live(Duration::from_millis(500)), desk.live(Duration::from_millis(500)));
    let mut got: Vec<u64> = desk.packets.iter().map(|(_, _, packet)| number(packet)).collect();
    got.sort_unstable();
    assert_eq!(got, (first..next + 430).collect::<Vec<_>>(), "every picture once");
    if loss > 0 {
        assert!(desk.lost > 5 && door.lost > 5, "the loss was real: {} {}", desk.lost, door.lost);
    }
    // Distances of sequence numbers and timestamps are the publisher's.
    let mut packets: Vec<&RtpPacket> = desk.packets.iter().map(|(_, _, packet)| packet).collect();
    packets.sort_by_key(|packet| number(packet));
    for pair in packets.windows(2) {
        assert_eq!(*pair[1].seq_no - *pair[0].seq_no, 1);
        assert_eq!(pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp), 900);
    }
}

#[tokio::test]
async fn media_arrives_complete_over_one_connection() {
    media_arrives_complete(true, 0).await;
}

#[tokio::test]
async fn media_arrives_complete_over_two_connections() {
    media_arrives_complete(false, 0).await;
}

#[tokio::test]
async fn what_the_network_loses_is_sent_again() {
    media_arrives_complete(true, 50).await;
}

/// When the content of a packet was made, by the sender reports that came with it.
fn made_at(packet: &RtpPacket, rate: f64) -> Option<SystemTime> {
    let report = packet.last_sender_info.as_ref()?;
    let ticks = packet.header.timestamp.wrapping_sub(report.rtp_time.numer() as u32) as i32;
    let seconds = f64::from(ticks) / rate;
    let by = Duration::from_secs_f64(seconds.abs());
    Some(if seconds >= 0.0 { report.ntp_time + by } else { report.ntp_time - by })
}

#[tokio::test]
async fn sound_and_picture_made_together_are_dated_together() {
    let hub = Hub::start("");
    let mut desk = connected(&hub, "desk", true).await;
    let mut door = connected(&hub, "door", true).await;
    let audio = door.publish(MediaKind::Audio, "MIC", "door-main").await;
    let video = door.publish(MediaKind::Video, "CAM", "door-main").await;
    let begin = Instant::now();
    for n in 0..250u32 {
        let made = Instant::now();
        let since = made - begin;
        let ticks = |rate: f64| (since.as_secs_f64() * rate) as u32;
        // Pictures take 60 ms longer than sound to be encoded.
        door.write(audio, u64::from(n) + 1, ticks(48_000.0).wrapping_add(7_777), made, &[1, 2, 3]);
        let late = made - Duration::from_millis(60);
        let late_ticks = ticks(90_000.0).wrapping_sub(5_400).wrapping_add(4_294_900_000);
        door.write(video, u64::from(n) + 1, late_ticks, late, &picture(u64::from(n)));
        tokio::join!(door.live(Duration::from_millis(10)), desk.live(Duration::from_millis(10)));
    }
    let is_audio = |packet: &RtpPacket| packet.payload.len() == 3;
    let dated = |audio: bool, rate: f64| -> Vec<(Instant, SystemTime)> {
        let of_kind = desk.packets.iter().filter(|(_, _, packet)| is_audio(packet) == audio);
        of_kind.filter_map(|(at, _, packet)| Some((*at, made_at(packet, rate)?))).collect()
    };
    let (sounds, pictures) = (dated(true, 48_000.0), dated(false, 90_000.0));
    assert!(sounds.len() > 100 && pictures.len() > 100, "{} {}", sounds.len(), pictures.len());
    // The last ones: a sound, and the picture that arrived with it but was made 60 ms before.
    let (at, sound) = sounds[sounds.len() - 1];
    let (_, picture) = pictures.iter().min_by_key(|(p, _)| p.max(&at).duration_since(*p.min(&at))).expect("pictures");
    let apart = sound.duration_since(*picture).expect("the picture is older");
    let error = apart.as_millis().abs_diff(60);
    assert!(error <= 12, "apart by {apart:?}, which should be 60 ms");
}

#[tokio::test]
async fn data_reaches_whom_it_is_for_with_its_true_sender() {
    let hub = Hub::start("");
    let mut door = connected(&hub, "door", true).await;
    let mut desk = connected(&hub, "desk", true).await;
    let mut shed = connected(&hub, "shed", false).await;
    let packet = |text: &str, to: &[&str]| proto::DataPacket {
        participant_identity: "somebody".into(),
        destination_identities: to.iter().map(|s| (*s).to_owned()).collect(),
        value: Some(Value::User(proto::UserPacket { payload: text.into(), ..Default::default() })),
        ..Default::default()
    };
    door.write_data("_reliable", &packet("all", &[]));
    door.live(Duration::from_millis(20)).await;
    door.write_data("_reliable", &packet("one", &["shed"]));
    door.live(Duration::from_millis(20)).await;
    door.write_data("_lossy", &packet("lossy", &[]));
    let time = Duration::from_millis(400);
    tokio::join!(door.live(time), desk.live(time), shed.live(time));
    let texts = |client: &Client| -> Vec<(bool, String, String)> {
        let text = |packet: &proto::DataPacket| match &packet.value {
            Some(Value::User(user)) => String::from_utf8_lossy(&user.payload).into_owned(),
            _ => String::new(),
        };
        client.data.iter().map(|(reliable, p)| (*reliable, text(p), p.participant_identity.clone())).collect()
    };
    let from_door = |reliable, text: &str| (reliable, text.to_owned(), "door".to_owned());
    assert_eq!(texts(&desk), [from_door(true, "all"), from_door(false, "lossy")]);
    assert_eq!(texts(&shed), [from_door(true, "all"), from_door(true, "one"), from_door(false, "lossy")]);
    assert!(texts(&door).is_empty(), "nobody hears itself");
    assert!(desk.data[0].1.participant_sid.starts_with("PA_"));
}

#[tokio::test]
async fn who_may_not_send_data_is_not_heard_until_it_may() {
    let hub = Hub::start("");
    let mut door =
        connected_with(&hub, &granting("door", "lobby", |claims| claims.can_publish_data = false), true).await;
    let mut desk = connected(&hub, "desk", true).await;
    let packet = |text: &str| proto::DataPacket {
        value: Some(Value::User(proto::UserPacket { payload: text.into(), ..Default::default() })),
        ..Default::default()
    };
    let texts = |client: &Client| -> Vec<String> {
        let text = |packet: &proto::DataPacket| match &packet.value {
            Some(Value::User(user)) => String::from_utf8_lossy(&user.payload).into_owned(),
            _ => String::new(),
        };
        client.data.iter().map(|(_, packet)| text(packet)).collect()
    };
    door.write_data("_reliable", &packet("forbidden"));
    door.write_data("_lossy", &packet("forbidden and lossy"));
    let time = Duration::from_millis(400);
    tokio::join!(door.live(time), desk.live(time));
    assert_eq!(texts(&desk), Vec::<String>::new());
    let admin = granting("admin", "lobby", |claims| claims.room_admin = true);
    let permission = r#"{"can_subscribe": true, "can_publish": true, "can_publish_data": true}"#;
    let asked = format!(r#"{{"room": "lobby", "identity": "door", "permission": {permission}}}"#);
    assert_eq!(hub.call("UpdateParticipant", &admin, &asked), 200);
    let may = |m: &Response| {
        let Response::Update(update) = m else { return None };
        let mut door = update.participants.iter().filter(|p| p.identity == "door");
        door.any(|p| p.permission.as_ref().is_some_and(|permission| permission.can_publish_data)).then_some(())
    };
    door.hear("the permission", may).await;
    door.write_data("_reliable", &packet("allowed"));
    door.write_data("_lossy", &packet("allowed and lossy"));
    tokio::join!(door.live(time), desk.live(time));
    let mut heard = texts(&desk);
    heard.sort();
    assert_eq!(heard, ["allowed", "allowed and lossy"]);
}

#[tokio::test]
async fn of_two_sessions_of_one_user_the_newer_stays() {
    let hub = Hub::start("");
    let mut old = connected(&hub, "door", true).await;
    let _new = connected(&hub, "door", true).await;
    let reason = old.hear("leave", |m| match m {
        Response::Leave(leave) => Some(leave.reason),
        _ => None,
    });
    assert_eq!(reason.await, proto::DisconnectReason::DuplicateIdentity as i32);
}

#[tokio::test]
async fn when_the_hub_ends_its_clients_are_told() {
    let mut hub = Hub::start("");
    let mut door = connected(&hub, "door", true).await;
    let ended = std::thread::spawn(move || hub.terminate());
    let reason = door.hear("leave", |m| match m {
        Response::Leave(leave) => Some(leave.reason),
        _ => None,
    });
    assert_eq!(reason.await, proto::DisconnectReason::ServerShutdown as i32);
    let (time, success) = ended.join().expect("no panic");
    assert!(success && time < Duration::from_secs(2), "{time:?}");
}

#[tokio::test]
async fn a_stream_id_of_another_user_is_refused() {
    let hub = Hub::start("");
    let mut door = connected(&hub, "door", true).await;
    let mut desk = connected(&hub, "desk", true).await;
    door.publish(MediaKind::Audio, "MIC", "main").await;
    let add =
        proto::AddTrackRequest { cid: "M".into(), name: "main".into(), stream: "main".into(), ..Default::default() };
    desk.send(Request::AddTrack(add)).await;
    let message = desk.hear("a refusal", |m| match m {
        Response::RequestResponse(refusal) => Some(refusal.message.clone()),
        _ => None,
    });
    let message = message.await;
    assert!(message.ends_with("[1003028]"), "{message}");
}
