//! Two peers of one process on 127.0.0.1 with real ICE, DTLS and SRTP, over a path that loses and delays.

#![allow(clippy::unwrap_used, reason = "a test ends with its first failure")]

mod network;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use network::{Path, Relay, moved};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use zegod::clock::Monotonic;
use zegod::rtc::{
    IncomingRtp, MediaKind, MediaReceiver, MediaSender, Mime, NetworkConfig, OutgoingRtp, Peer, PeerEvent, PeerState,
    RtpSink, SendOutcome, SenderFeedback,
};

fn loopback() -> NetworkConfig {
    NetworkConfig { interfaces: vec!["127.0.0.1".to_owned()], ..NetworkConfig::default() }
}

/// What a peer told, in order, without its candidates.
#[derive(Default)]
struct News {
    states: Vec<PeerState>,
    tracks: Vec<(String, String, String, MediaReceiver)>,
    ended: Vec<String>,
    data: Vec<(bool, Bytes)>,
}

/// One side of a call; a task passes its candidates on.
struct Side {
    peer: Peer,
    news: Arc<Mutex<News>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Side {
    fn drop(&mut self) {
        // It holds the other side's peer.
        self.task.abort();
    }
}

impl Side {
    async fn wait<T>(&self, what: &str, mut found: impl FnMut(&News) -> Option<T>) -> T {
        for _ in 0..1000 {
            if let Some(found) = found(&self.news.lock().unwrap()) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what} did not happen");
    }

    async fn connected(&self) {
        self.wait("connection", |news| news.states.contains(&PeerState::Connected).then_some(())).await;
    }

    async fn track(&self, track: &str) -> MediaReceiver {
        self.wait("track", |news| {
            news.tracks.iter().find(|(_, _, id, _)| id == track).map(|(_, _, _, receiver)| receiver.clone())
        })
        .await
    }
}

fn serve(
    mut events: UnboundedReceiver<PeerEvent>,
    other: Peer,
    relay: Option<std::net::SocketAddr>,
) -> (Arc<Mutex<News>>, tokio::task::JoinHandle<()>) {
    let news = Arc::new(Mutex::new(News::default()));
    let log = Arc::clone(&news);
    let task = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            match event {
                PeerEvent::LocalCandidate(json) => {
                    let json = relay.map_or(json.clone(), |relay| moved(&json, relay));
                    other.add_candidate(&json).await.unwrap();
                }
                PeerEvent::Gathered => {}
                PeerEvent::State(state) => log.lock().unwrap().states.push(state),
                PeerEvent::Track { mid, stream_id, track_id, receiver } => {
                    log.lock().unwrap().tracks.push((mid, stream_id, track_id, receiver));
                }
                PeerEvent::TrackEnded { mid } => log.lock().unwrap().ended.push(mid),
                PeerEvent::Data { reliable, bytes } => log.lock().unwrap().data.push((reliable, bytes)),
            }
        }
    });
    (news, task)
}

async fn sides(relay: Option<&Relay>) -> (Side, Side) {
    let (tell_a, events_a) = unbounded_channel();
    let (tell_b, events_b) = unbounded_channel();
    let a = Peer::new(&loopback(), tell_a).await.unwrap();
    let b = Peer::new(&loopback(), tell_b).await.unwrap();
    // What a tells b is where b sends to.
    let (news_a, task_a) = serve(events_a, b.clone(), relay.map(|relay| relay.second));
    let (news_b, task_b) = serve(events_b, a.clone(), relay.map(|relay| relay.first));
    (Side { peer: a, news: news_a, task: task_a }, Side { peer: b, news: news_b, task: task_b })
}

async fn negotiate(offerer: &Side, answerer: &Side) {
    let offer = offerer.peer.create_offer(false).await.unwrap();
    let answer = answerer.peer.accept_offer(&offer).await.unwrap();
    offerer.peer.accept_answer(&answer).await.unwrap();
}

/// Notes what arrives.
#[derive(Default)]
struct Log {
    packets: Mutex<Vec<(u32, u16, Instant, Mime)>>,
}

impl RtpSink for Log {
    fn receive(&self, packet: IncomingRtp) {
        assert!(packet.payload.iter().all(|byte| *byte == packet.payload[0]), "not torn");
        self.packets.lock().unwrap().push((packet.timestamp, packet.sequence, Instant::now(), packet.mime));
    }
}

fn packet(timestamp: u32, marker: bool, size: usize) -> OutgoingRtp {
    OutgoingRtp {
        marker,
        timestamp,
        captured_at: Monotonic::now(),
        audio_level: None,
        payload: Bytes::from(vec![timestamp as u8; size]),
    }
}

async fn ready(sender: &MediaSender) {
    for _ in 0..1000 {
        if sender.ready() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never ready");
}

/// Sends `frames` pictures of `packets` packets, 30 a second, from a plain thread; returns when each was sent.
async fn film(sender: &MediaSender, frames: u32, packets: u32) -> HashMap<u32, Instant> {
    let sender = sender.clone();
    tokio::task::spawn_blocking(move || {
        let mut sent = HashMap::new();
        let start = Instant::now();
        for frame in 0..frames {
            let due = start + Duration::from_micros(33_333) * frame;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            sent.insert(frame * 3000, Instant::now());
            for index in 1..=packets {
                assert_eq!(sender.send(packet(frame * 3000, index == packets, 1000)), SendOutcome::Queued);
            }
        }
        sent
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_call_connects_fast_and_carries_sound_and_picture() {
    let (a, b) = sides(None).await;
    let video = a.peer.add_sender(MediaKind::Video, "door", "cam").await.unwrap();
    let audio = a.peer.add_sender(MediaKind::Audio, "door", "mic").await.unwrap();
    assert!(video.codec().is_none());
    assert_eq!(video.send(packet(0, true, 10)), SendOutcome::NotReady);
    let start = Instant::now();
    negotiate(&a, &b).await;
    a.connected().await;
    b.connected().await;
    let took = start.elapsed();
    println!("connected after {took:?}");
    assert!(took < Duration::from_millis(150), "{took:?}");

    ready(&video).await;
    let codec = video.codec().unwrap();
    assert_eq!((codec.mime, codec.clock_rate), (Mime::H264, 90_000));
    assert!(codec.fmtp.contains("42e01f"), "{}", codec.fmtp);
    assert_eq!(audio.codec().unwrap().fmtp, "minptime=10;useinbandfec=1;stereo=1");

    let (seen, heard) = (Arc::new(Log::default()), Arc::new(Log::default()));
    b.track("cam").await.attach(Arc::clone(&seen) as Arc<dyn RtpSink>);
    b.track("mic").await.attach(Arc::clone(&heard) as Arc<dyn RtpSink>);
    for number in 0..50 {
        assert_eq!(audio.send(packet(number * 960, false, 80)), SendOutcome::Queued);
    }
    film(&video, 30, 7).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let seen = seen.packets.lock().unwrap().clone();
    assert_eq!(seen.len(), 210);
    assert!(seen.windows(2).all(|pair| pair[1].1 == pair[0].1.wrapping_add(1)), "in order");
    assert!(seen.iter().all(|packet| packet.3 == Mime::H264));
    let heard = heard.packets.lock().unwrap().clone();
    assert_eq!(heard.len(), 50);
    assert!(heard.iter().all(|packet| packet.3 == Mime::Opus));
    a.peer.close().await;
    b.peer.close().await;
}

#[tokio::test]
async fn losses_are_repaired_in_time_and_nothing_comes_twice() {
    let relay = Relay::new(Path { lost: 20, delay: Duration::from_millis(40) }).await;
    let (a, b) = sides(Some(&relay)).await;
    let video = a.peer.add_sender(MediaKind::Video, "door", "cam").await.unwrap();
    negotiate(&a, &b).await;
    ready(&video).await;
    let log = Arc::new(Log::default());
    let receiver = b.track("cam").await;
    receiver.attach(Arc::clone(&log) as Arc<dyn RtpSink>);
    let frames = 300;
    let sent = film(&video, frames, 7).await;
    tokio::time::sleep(Duration::from_millis(700)).await;

    let packets = log.packets.lock().unwrap();
    let mut numbers: Vec<u16> = packets.iter().map(|packet| packet.1).collect();
    let arrived = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), arrived, "nothing comes twice");
    // A picture is in time when its last packet is there within what Chromium's jitter buffer waits at this loss.
    let mut complete: HashMap<u32, (usize, Instant)> = HashMap::new();
    for (timestamp, _, at, _) in packets.iter() {
        let entry = complete.entry(*timestamp).or_insert((0, *at));
        *entry = (entry.0 + 1, entry.1.max(*at));
    }
    let mut delays: Vec<Duration> = complete
        .iter()
        .filter(|(_, (count, _))| *count == 7)
        .map(|(timestamp, (_, at))| at.duration_since(sent[timestamp]))
        .collect();
    delays.sort_unstable();
    let in_time = delays.iter().filter(|delay| **delay <= Duration::from_millis(250)).count();
    let receiver = receiver.statistics();
    let sender = video.statistics();
    println!(
        "{in_time} of {frames} frames in time, p50 {:?} p95 {:?} max {:?}; dropped {} of {arrived}; {receiver:?}; {sender:?}",
        delays[delays.len() / 2],
        delays[delays.len() * 95 / 100],
        delays[delays.len() - 1],
        relay.dropped.load(Ordering::Relaxed),
    );
    assert!(in_time * 1000 >= frames as usize * 993, "{in_time} of {frames}");
    assert!(receiver.recovered > 10, "losses were repaired: {receiver:?}");
    assert!(receiver.nacks <= receiver.recovered * 2 + 20, "no storm of requests: {receiver:?}");
    assert!(
        sender.retransmitted <= receiver.recovered + receiver.recovered / 4 + 10,
        "no storm of repairs: {sender:?}"
    );
    let rtt = sender.rtt.unwrap();
    assert!((Duration::from_millis(75)..Duration::from_millis(120)).contains(&rtt), "{rtt:?}");
    assert!(sender.fraction_lost.is_some());
    assert!(receiver.sender_report.is_some() && receiver.jitter.is_some());
    assert_eq!(receiver.rtt, None, "this side measured nothing, so it says nothing");
}

#[tokio::test]
async fn key_frames_are_asked_for_in_both_directions() {
    let (a, b) = sides(None).await;
    let camera_a = a.peer.add_sender(MediaKind::Video, "a", "cam-a").await.unwrap();
    negotiate(&a, &b).await;
    a.connected().await;
    b.connected().await;
    let camera_b = b.peer.add_sender(MediaKind::Video, "b", "cam-b").await.unwrap();
    negotiate(&b, &a).await;
    for (sender, side, track) in [(&camera_a, &b, "cam-a"), (&camera_b, &a, "cam-b")] {
        ready(sender).await;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        sender.on_feedback(Arc::new(move |feedback| log.lock().unwrap().push(feedback)));
        assert_eq!(*asked.lock().unwrap(), [SenderFeedback::Ready]);
        film(sender, 3, 2).await;
        let receiver = side.track(track).await;
        receiver.request_key_frame();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let requests = asked.lock().unwrap().iter().filter(|what| **what == SenderFeedback::KeyFrameRequested).count();
        assert_eq!(requests, 1, "{track}: {:?}", asked.lock().unwrap());
        assert_eq!((sender.statistics().plis, receiver.statistics().plis), (1, 1));
    }
}

#[tokio::test]
async fn tracks_come_and_go_by_renegotiation() {
    let (a, b) = sides(None).await;
    a.peer.open_data_channels().await.unwrap();
    a.peer.add_receivers(1, 1).await.unwrap();
    negotiate(&a, &b).await;
    a.connected().await;
    b.connected().await;
    for round in 0..3 {
        let cid = format!("cam-{round}");
        let camera = a.peer.add_sender(MediaKind::Video, "door", &cid).await.unwrap();
        let microphone = a.peer.add_sender(MediaKind::Audio, "door", &format!("mic-{round}")).await.unwrap();
        negotiate(&a, &b).await;
        ready(&camera).await;
        ready(&microphone).await;
        let log = Arc::new(Log::default());
        b.track(&cid).await.attach(Arc::clone(&log) as Arc<dyn RtpSink>);
        film(&camera, 5, 3).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(log.packets.lock().unwrap().len(), 15, "round {round}");
        a.peer.remove_sender(&cid).await.unwrap();
        a.peer.remove_sender(&format!("mic-{round}")).await.unwrap();
        assert_eq!(camera.send(packet(0, true, 10)), SendOutcome::Closed);
        negotiate(&a, &b).await;
        b.wait("end of the track", |news| (news.ended.len() == 2 * (round + 1)).then_some(())).await;
    }
    assert!(a.peer.remove_sender("cam-0").await.is_err());
    let total = b.peer.statistics().await;
    assert_eq!(total.packets_received, 45, "the counters of tracks that are gone are kept");

    a.peer.send_data(true, Bytes::from_static(b"hello")).await.unwrap();
    b.wait("data", |news| news.data.first().cloned()).await;
    assert_eq!(b.news.lock().unwrap().data[0], (true, Bytes::from_static(b"hello")));
    b.peer.send_data(false, Bytes::from_static(b"there")).await.unwrap();
    assert_eq!(a.wait("data", |news| news.data.first().cloned()).await, (false, Bytes::from_static(b"there")));
}

#[tokio::test]
async fn candidates_written_into_an_inactive_section_count() {
    let (tell_a, mut events_a) = unbounded_channel();
    let (tell_b, mut events_b) = unbounded_channel();
    let a = Peer::new(&loopback(), tell_a).await.unwrap();
    let b = Peer::new(&loopback(), tell_b).await.unwrap();
    // Somebody who joins a room: sections to receive on, and nobody sends yet.
    a.open_data_channels().await.unwrap();
    a.add_receivers(1, 1).await.unwrap();
    let answer = b.accept_offer(&a.create_offer(false).await.unwrap()).await.unwrap();
    let candidate = loop {
        if let Some(PeerEvent::LocalCandidate(json)) = events_b.recv().await {
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            break json["candidate"].as_str().unwrap().to_owned();
        }
    };
    assert!(answer.contains("m=audio") && !answer.contains("a=candidate"));
    let answer = answer.replacen("a=mid:0\r\n", &format!("a=mid:0\r\na={candidate}\r\n"), 1);
    let answer = answer.replacen("a=recvonly", "a=inactive", 1);
    a.accept_answer(&answer).await.unwrap();
    let connected = async {
        loop {
            if let Some(PeerEvent::State(PeerState::Connected)) = events_a.recv().await {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(2), connected).await.expect("connected without any trickled candidate");
    // The channels open right after that, not with some later timer.
    let start = Instant::now();
    a.send_data(true, Bytes::from_static(b"x")).await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_ice_restart_takes_media_to_new_sockets() {
    let (a, b) = sides(None).await;
    let video = a.peer.add_sender(MediaKind::Video, "door", "cam").await.unwrap();
    negotiate(&a, &b).await;
    ready(&video).await;
    let log = Arc::new(Log::default());
    b.track("cam").await.attach(Arc::clone(&log) as Arc<dyn RtpSink>);
    film(&video, 5, 3).await;
    let offer = a.peer.create_offer(true).await.unwrap();
    let answer = b.peer.accept_offer(&offer).await.unwrap();
    a.peer.accept_answer(&answer).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    film(&video, 10, 3).await;
    // What the old sockets had not delivered is repaired over the new ones.
    let sent = 15 + 30;
    for _ in 0..100 {
        if log.packets.lock().unwrap().len() == sent {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        log.packets.lock().unwrap().len(),
        sent,
        "{:?}",
        (a.news.lock().unwrap().states.clone(), b.news.lock().unwrap().states.clone())
    );
    assert!(video.ready());
}

/// Sockets of this process that are bound to UDP.
fn udp_sockets() -> usize {
    let table = std::fs::read_to_string("/proc/self/net/udp").unwrap();
    let inodes: Vec<String> = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(9).map(|inode| format!("socket:[{inode}]")))
        .collect();
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|link| inodes.iter().any(|inode| link.to_str() == Some(inode)))
        .count()
}

/// Runs alone, so that no other test's sockets are counted.
#[test]
fn closing_and_dropping_leave_no_sockets() {
    if std::env::var_os("ZEGOD_TEST_ALONE").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "closing_and_dropping_leave_no_sockets", "--nocapture"])
            .env("ZEGOD_TEST_ALONE", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for closed in [true, false, true, false] {
            let (a, b) = sides(None).await;
            a.peer.open_data_channels().await.unwrap();
            let video = a.peer.add_sender(MediaKind::Video, "door", "cam").await.unwrap();
            negotiate(&a, &b).await;
            ready(&video).await;
            film(&video, 3, 3).await;
            assert_eq!(udp_sockets(), 2);
            if closed {
                a.peer.close().await;
                a.peer.close().await;
                b.peer.close().await;
                assert_eq!(udp_sockets(), 0, "gone on return");
                assert_eq!(video.send(packet(0, true, 10)), SendOutcome::Closed);
                assert!(a.peer.create_offer(false).await.is_err());
            } else {
                drop(a);
                drop(b);
                for _ in 0..200 {
                    if udp_sockets() == 0 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                assert_eq!(udp_sockets(), 0, "gone soon after the last clone");
            }
        }
    });
}
