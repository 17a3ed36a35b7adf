//! Clients of every version of LiveKit's protocol meet on the running hub.

mod running;

use std::time::{Duration, Instant};

use livekit_protocol as proto;
use proto::data_packet::Value;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use running::client::Client;
use running::{Hub, livekit_token};
use str0m::media::MediaKind;

/// The newest version that any client speaks.
const NEWEST: i32 = 18;

async fn connected(hub: &Hub, user: &str, one: bool, protocol: i32) -> Client {
    let mut client = Client::join_speaking(protocol, hub, &livekit_token(user, "lobby", 0, 600), one, true).await;
    client.hear("join", |m| matches!(m, Response::Join(_)).then_some(())).await;
    client.until("the connection", |c| (c.connected && c.has_channels()).then_some(())).await;
    client
}

fn packet(text: &str) -> proto::DataPacket {
    let user = proto::UserPacket { payload: text.into(), ..Default::default() };
    proto::DataPacket { value: Some(Value::User(user)), ..Default::default() }
}

/// Both live until `client` has got the text.
async fn hears(client: &mut Client, other: &mut Client, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let is_it = |p: &proto::DataPacket| matches!(&p.value, Some(Value::User(u)) if u.payload == text.as_bytes());
    while !client.data.iter().any(|(_, packet)| is_it(packet)) {
        assert!(Instant::now() < deadline, "{text} did not come");
        let time = Duration::from_millis(5);
        tokio::join!(client.live(time), other.live(time));
    }
}

async fn meets(hub: &Hub, door: &mut Client, mid: str0m::media::Mid, next: &mut u64, one: bool, protocol: i32) {
    let name = format!("guest-{one}-{protocol}");
    let mut guest = connected(hub, &name, one, protocol).await;
    let begin = *next;
    while guest.packets.is_empty() {
        assert!(*next < begin + 500, "{name} gets no picture");
        let mut payload = vec![0x10, u8::from(!next.is_multiple_of(10))];
        payload.resize(200, 7);
        door.write(mid, 1_000 + *next, *next as u32 * 900, Instant::now(), &payload);
        *next += 1;
        tokio::join!(door.live(Duration::from_millis(5)), guest.live(Duration::from_millis(5)));
    }
    guest.write_data("_reliable", &packet(&format!("from {name}")));
    hears(door, &mut guest, &format!("from {name}")).await;
    door.write_data("_reliable", &packet(&format!("to {name}")));
    hears(&mut guest, door, &format!("to {name}")).await;
    guest.send(Request::Leave(proto::LeaveRequest::default())).await;
    guest.live(Duration::from_millis(20)).await;
}

async fn every_version_meets(one: bool) {
    let hub = Hub::start("");
    let mut door = connected(&hub, "door", true, 17).await;
    let mid = door.publish(MediaKind::Video, "CAM", "door").await;
    let mut next = 0;
    for protocol in 1..=NEWEST {
        meets(&hub, &mut door, mid, &mut next, one, protocol).await;
    }
}

#[tokio::test]
async fn every_version_gets_pictures_and_messages_over_one_connection() {
    every_version_meets(true).await;
}

#[tokio::test]
async fn every_version_gets_pictures_and_messages_over_two_connections() {
    every_version_meets(false).await;
}

#[tokio::test]
async fn a_client_that_does_not_say_its_version_gets_in() {
    let hub = Hub::start("");
    let mut door = connected(&hub, "door", false, 0).await;
    door.live(Duration::from_millis(100)).await;
    assert!(door.connected);
}
