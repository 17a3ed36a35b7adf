//! A client that tells its bandwidth by REMB, as those do that know no transport-wide congestion control: it gets the layer that fits.

mod running;

use std::time::{Duration, Instant};

use livekit_protocol as proto;
use proto::signal_response::Message as Response;
use running::client::Client;
use running::{Hub, livekit_token};
use str0m::media::{MediaKind, Mid};

/// The layers of a picture and the size of their packets. One of each every 20 ms: 64, 200 and 400 kbit/s.
const LAYERS: [(&str, usize); 3] = [("q", 160), ("h", 500), ("f", 1_000)];
/// Packets that show which layer flows.
const SHOWN: usize = 10;

/// Somebody whose pictures are made up, and somebody who sees them.
struct Stage {
    door: Client,
    desk: Client,
    mid: Mid,
    number: u32,
}

impl Stage {
    /// Lives until the viewer has got nothing but packets of this size for a moment, while it tells this bandwidth; how long that took.
    async fn flow(&mut self, bandwidth: Option<u64>, size: usize) -> Duration {
        let begin = Instant::now();
        self.desk.packets.drain(..self.desk.packets.len().saturating_sub(1));
        loop {
            let now = Instant::now();
            assert!(now < begin + Duration::from_secs(15), "no layer of {size} bytes: {:?}", self.sizes());
            self.number += 1;
            for (rid, size) in LAYERS {
                // A VP8 payload (RFC 7741); every fifth begins a key frame.
                let mut payload = vec![0x10, u8::from(!self.number.is_multiple_of(5))];
                payload.resize(size, 7);
                let (sequence, timestamp) = (1_000 + u64::from(self.number), self.number * 1_800);
                self.door.write_layer(self.mid, Some(rid), sequence, timestamp, now, &payload);
            }
            if let Some(bandwidth) = bandwidth {
                self.desk.tell_bandwidth(bandwidth);
            }
            let time = Duration::from_millis(20);
            tokio::join!(self.door.live(time), self.desk.live(time));
            let sizes = self.sizes();
            if sizes.len() == SHOWN && sizes.iter().all(|got| *got == size) {
                return begin.elapsed();
            }
        }
    }

    /// Sizes of the last packets.
    fn sizes(&self) -> Vec<usize> {
        self.desk.packets.iter().rev().take(SHOWN).map(|(_, _, packet)| packet.payload.len()).collect()
    }
}

#[tokio::test]
async fn a_client_that_tells_its_bandwidth_by_remb_gets_the_layer_that_fits() {
    let hub = Hub::start("");
    let joined = |m: &Response| matches!(m, Response::Join(_)).then_some(());
    let mut desk = Client::join_without_twcc(&hub, &livekit_token("desk", "lobby", 0, 600)).await;
    let mut door = Client::join(&hub, &livekit_token("door", "lobby", 0, 600), true, true).await;
    for client in [&mut desk, &mut door] {
        client.hear("join", joined).await;
        client.until("the connection", |c| c.connected.then_some(())).await;
    }
    let rids = LAYERS.map(|(rid, _)| rid);
    let mid = door.publish_layers(MediaKind::Video, "CAM", "door-main", &rids).await;
    let mut stage = Stage { door, desk, mid, number: 0 };
    stage.flow(None, 1_000).await;
    let down = stage.flow(Some(120_000), 160).await;
    assert!(down < Duration::from_secs(5), "{down:?}");
    stage.flow(Some(2_000_000), 1_000).await;
}
