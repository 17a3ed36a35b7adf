//! Sessions in rooms of a real server: the project's own, and a `livekit-server` when one is given.
//!
//! `cargo build --release -p zegohub` first. With `LIVEKIT_SERVER=/path/to/livekit-server` and `--ignored`, the same is asked of it.

#![allow(clippy::unwrap_used, reason = "a test ends with its first failure")]

mod network;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use network::tcp::Proxy;
use tokio::sync::mpsc::unbounded_channel;
use zego_protocol::state::ZegoRemoteDeviceState;
use zego_protocol::token::{TokenRequest, generate_livekit};
use zegod::audio::Channels;
use zegod::clock::Monotonic;
use zegod::rtc::{
    IncomingRtp, MediaKind, MediaReceiver, MediaSender, Mime, NetworkConfig, OutgoingRtp, RtpSink, SendOutcome,
    SenderFeedback,
};
use zegod::signal::{DataMessage, JoinOptions, Joined, LayerWish, PublishRequest, Session, SessionEvent, SignalError};

const KEY: &str = "1234567890";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A server process on 127.0.0.1.
struct Server {
    child: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    async fn start(mut command: Command, port: u16, directory: tempfile::TempDir) -> Self {
        let child = command.stdout(Stdio::null()).spawn().expect("the server starts");
        let server = Self { child, address: format!("127.0.0.1:{port}"), _directory: directory };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(&server.address).await.is_ok() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the server does not listen");
    }

    async fn hub() -> Self {
        let mut program = std::env::current_exe().unwrap();
        program.pop();
        program.pop();
        program.push("zegohub");
        assert!(program.exists(), "build it first: cargo build --release -p zegohub");
        let directory = tempfile::tempdir().unwrap();
        let (port, udp_port) = (free_port(), free_port());
        let config = format!(
            "listen = \"127.0.0.1:{port}\"\nudp_port = {udp_port}\n[[app]]\nid = \"{KEY}\"\nsecret = \"{SECRET}\"\n"
        );
        std::fs::write(directory.path().join("zegohub.toml"), config).unwrap();
        let mut command = Command::new(program);
        command.arg("--config").arg(directory.path().join("zegohub.toml"));
        command.env("ZEGOHUB_STATE_DIRECTORY", directory.path());
        Self::start(command, port, directory).await
    }

    async fn livekit() -> Self {
        let program = PathBuf::from(std::env::var_os("LIVEKIT_SERVER").expect("LIVEKIT_SERVER names the program"));
        let directory = tempfile::tempdir().unwrap();
        let (port, udp_port, tcp_port) = (free_port(), free_port(), free_port());
        let config = format!(
            "port: {port}\nbind_addresses: [127.0.0.1]\nkeys: {{\"{KEY}\": {SECRET}}}\nrtc: {{tcp_port: {tcp_port}, udp_port: {udp_port}, \
             use_external_ip: false, node_ip: 127.0.0.1, enable_loopback_candidate: true, interfaces: {{includes: [lo]}}, \
             stun_servers: [\"127.0.0.1:3478\"]}}\nlogging: {{level: warn}}\n"
        );
        std::fs::write(directory.path().join("livekit.yaml"), config).unwrap();
        let mut command = Command::new(program);
        command.arg("--config").arg(directory.path().join("livekit.yaml"));
        Self::start(command, port, directory).await
    }
}

fn token(room: &str, user: &str, secret: &str, expired: bool) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let request = TokenRequest {
        app_id: KEY.to_owned(),
        secret: secret.to_owned(),
        user_id: user.to_owned(),
        user_name: user.to_uppercase(),
        room_id: Some(room.to_owned()),
        ttl_s: 600,
        can_publish: true,
        streams: None,
    };
    generate_livekit(&request, if expired { now - 7200 } else { now }).unwrap()
}

fn options(address: &str, room: &str, user: &str) -> JoinOptions {
    zegod::signal::install(zegod::signal::Trust::default());
    JoinOptions {
        server: format!("ws://{address}"),
        search: Default::default(),
        token: token(room, user, SECRET, false),
        room_id: room.to_owned(),
        user_id: user.to_owned(),
        user_name: user.to_uppercase(),
        membership: Default::default(),
        network: NetworkConfig { interfaces: vec!["127.0.0.1".to_owned()], ..NetworkConfig::default() },
    }
}

fn message(topic: &str, text: &str, reliable: bool, to: &[&str]) -> DataMessage {
    DataMessage {
        topic: topic.to_owned(),
        payload: text.as_bytes().to_vec(),
        reliable,
        to: to.iter().map(|user| (*user).to_owned()).collect(),
        ..DataMessage::default()
    }
}

/// One user in a room, and everything that was told.
struct Member {
    session: Session,
    joined: Joined,
    events: Arc<Mutex<Vec<SessionEvent>>>,
}

impl Member {
    async fn join(options: JoinOptions) -> Result<Self, SignalError> {
        let (tell, mut news) = unbounded_channel();
        let (session, joined) = Session::join(options, tell).await?;
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&events);
        tokio::spawn(async move {
            while let Some(event) = news.recv().await {
                log.lock().unwrap().push(event);
            }
        });
        Ok(Self { session, joined, events })
    }

    /// The events as words.
    fn words(&self) -> Vec<String> {
        self.events.lock().unwrap().iter().map(word).collect()
    }

    async fn wait(&self, expected: &str) {
        for _ in 0..1000 {
            if self.words().iter().any(|word| word == expected) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{expected:?} was not told, but {:?}", self.words());
    }

    async fn media(&self, stream: &str, kind: MediaKind) -> MediaReceiver {
        for _ in 0..1000 {
            let found = self.events.lock().unwrap().iter().rev().find_map(|event| match event {
                SessionEvent::Media { stream_id, receiver } if stream_id == stream && receiver.kind() == kind => {
                    Some(receiver.clone())
                }
                _ => None,
            });
            if let Some(receiver) = found {
                return receiver;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no media of {stream}, but {:?}", self.words());
    }

    fn forget(&self) {
        self.events.lock().unwrap().clear();
    }
}

fn word(event: &SessionEvent) -> String {
    let stream = |sign: &str, stream: &zegod::signal::RemoteStream| {
        let audio = if stream.has_audio { if stream.audio_muted { "a" } else { "A" } } else { "" };
        let video = if stream.has_video { if stream.video_muted { "v" } else { "V" } } else { "" };
        format!("{sign}{}@{}:{audio}{video}", stream.stream_id, stream.user.id)
    };
    match event {
        SessionEvent::UserJoined(user) => format!("+@{} {}", user.id, user.name),
        SessionEvent::UserLeft(user) => format!("-@{}", user.id),
        SessionEvent::StreamAdded(added) => stream("+", added),
        SessionEvent::StreamChanged(changed) => stream("~", changed),
        SessionEvent::StreamRemoved(removed, _) => format!("-{}", removed.stream_id),
        SessionEvent::Others(others) => format!("others {others}"),
        SessionEvent::RoomExtraInfo(info) => format!("extra info {}={} by {}", info.key, info.value, info.user_id),
        SessionEvent::Media { stream_id, receiver } => format!("media {stream_id} {}", receiver.kind().word()),
        SessionEvent::MediaEnded { stream_id, kind } => format!("end {stream_id} {}", kind.word()),
        SessionEvent::Data { from, topic, payload, reliable, .. } => {
            format!("data {} {topic} {} {reliable}", from.id, String::from_utf8_lossy(payload))
        }
        SessionEvent::Reconnecting => "reconnecting".to_owned(),
        SessionEvent::Reconnected => "reconnected".to_owned(),
        SessionEvent::Disconnected(reason) => format!("disconnected {reason:?}"),
    }
}

/// Counts what arrives.
#[derive(Default)]
struct Counter {
    packets: AtomicUsize,
    newest: Mutex<Option<(Mime, u32)>>,
}

impl RtpSink for Counter {
    fn receive(&self, packet: IncomingRtp) {
        if !packet.payload.is_empty() {
            self.packets.fetch_add(1, Ordering::Relaxed);
            *self.newest.lock().unwrap() = Some((packet.mime, packet.timestamp));
        }
    }
}

async fn ready(sender: &MediaSender) {
    for _ in 0..1000 {
        if sender.ready() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the sender is never ready");
}

/// Sends `count` packets, each a picture or a sound of its own, 5 ms apart: what a server passes on must look like media, so
/// pictures are key frames of one slice.
async fn send(sender: &MediaSender, count: usize, from: u32) {
    let picture: Vec<u8> =
        [&[0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 2, 0x68, 0xce, 0, 40, 0x65][..], &[0x88; 39]].concat();
    for index in 0..count {
        let audio = sender.kind() == MediaKind::Audio;
        let packet = OutgoingRtp {
            marker: !audio,
            timestamp: from.wrapping_add(index as u32 * if audio { 960 } else { 3000 }),
            captured_at: Monotonic::now(),
            audio_level: audio.then_some(30),
            payload: Bytes::from(if audio { vec![0x78, 1, 2, 3, 4] } else { picture.clone() }),
        };
        assert_eq!(sender.send(packet), SendOutcome::Queued);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn counted(counter: &Counter, at_least: usize) {
    for _ in 0..400 {
        if counter.packets.load(Ordering::Relaxed) >= at_least {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} packets of {at_least} arrived", counter.packets.load(Ordering::Relaxed));
}

fn door_stream(stream_id: &str) -> PublishRequest {
    PublishRequest {
        stream_id: stream_id.to_owned(),
        audio: Some(Channels::Mono),
        video: Some((640, 480)),
        extra_info: String::new(),
    }
}

async fn a_call(server: &Server) {
    let start = Instant::now();
    let door = Member::join(options(&server.address, "lobby", "door")).await.unwrap();
    println!("joined after {:?}", start.elapsed());
    assert!(!door.joined.room_sid.is_empty());
    assert_eq!((door.joined.users.len(), door.joined.streams.len()), (0, 0));
    let start = Instant::now();
    let publication = door.session.publish(door_stream("door-1")).await.unwrap();
    println!("published after {:?}", start.elapsed());
    let (audio, video) = (publication.audio.unwrap(), publication.video.unwrap());
    ready(&video).await;
    ready(&audio).await;
    println!("ready after {:?}", start.elapsed());
    assert_eq!(video.codec().unwrap().mime, Mime::H264);
    let feedback = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&feedback);
    video.on_feedback(Arc::new(move |what| log.lock().unwrap().push(what)));
    // A server may announce a track only when its media arrives.
    let (sound, film) = (audio.clone(), video.clone());
    let on_air = tokio::spawn(async move {
        let mut round = 0u32;
        loop {
            tokio::join!(send(&sound, 10, round * 9600), send(&film, 10, round * 30_000));
            round += 1;
        }
    });

    let desk = Member::join(options(&server.address, "lobby", "desk")).await.unwrap();
    door.wait("+@desk DESK").await;
    // What was there is in the list, what came later is told.
    if desk.joined.streams.is_empty() {
        desk.wait("+door-1@door:AV").await;
    } else {
        assert_eq!(desk.joined.users[0].id, "door");
        assert_eq!(desk.joined.streams[0].stream_id, "door-1");
    }
    subscribed(&desk, "door-1", true, true).await;
    let start = Instant::now();
    let pictures = desk.media("door-1", MediaKind::Video).await;
    let sounds = desk.media("door-1", MediaKind::Audio).await;
    println!("media after {:?}", start.elapsed());
    let (seen, heard) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    pictures.attach(Arc::clone(&seen) as Arc<dyn RtpSink>);
    sounds.attach(Arc::clone(&heard) as Arc<dyn RtpSink>);
    counted(&seen, 50).await;
    counted(&heard, 50).await;
    println!("50 packets after {:?}", start.elapsed());
    assert_eq!(seen.newest.lock().unwrap().unwrap().0, Mime::H264);
    pictures.request_key_frame();
    for _ in 0..300 {
        if feedback.lock().unwrap().contains(&SenderFeedback::KeyFrameRequested) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(feedback.lock().unwrap().contains(&SenderFeedback::KeyFrameRequested), "PLI passes");

    // The other direction at the same time.
    let answer = desk.session.publish(door_stream("desk-1")).await.unwrap();
    let (voice, face) = (answer.audio.unwrap(), answer.video.unwrap());
    ready(&face).await;
    let on_air_too = tokio::spawn(async move {
        loop {
            tokio::join!(send(&voice, 10, 0), send(&face, 10, 0));
        }
    });
    subscribed(&door, "desk-1", false, true).await;
    let answer_seen = Arc::new(Counter::default());
    door.media("desk-1", MediaKind::Video).await.attach(Arc::clone(&answer_seen) as Arc<dyn RtpSink>);
    counted(&answer_seen, 50).await;
    assert!(!door.words().contains(&"media desk-1 audio".to_owned()), "only what was asked for");

    door.session.show_device("door-1", MediaKind::Audio, ZegoRemoteDeviceState::Mute);
    desk.wait("~door-1@door:aV").await;
    door.session.show_device("door-1", MediaKind::Audio, ZegoRemoteDeviceState::Open);
    door.session.send_data(message("zego.broadcast", "hello", true, &[])).await.unwrap();
    desk.wait("data door zego.broadcast hello true").await;
    desk.session.send_data(message("zego.barrage", "hi", false, &["door"])).await.unwrap();
    door.wait("data desk zego.barrage hi false").await;

    let statistics = desk.session.statistics().await;
    assert!(statistics.packets_received > 100 && statistics.packets_sent > 50, "{statistics:?}");
    desk.session.unsubscribe("door-1").await;
    desk.wait("end door-1 video").await;
    desk.wait("end door-1 audio").await;
    let before = seen.packets.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(seen.packets.load(Ordering::Relaxed), before);

    // Played again, published again: sections are used anew.
    desk.forget();
    desk.session.subscribe("door-1", false, true, LayerWish::default()).await.unwrap();
    let again = Arc::new(Counter::default());
    desk.media("door-1", MediaKind::Video).await.attach(Arc::clone(&again) as Arc<dyn RtpSink>);
    counted(&again, 20).await;
    on_air.abort();
    door.session.unpublish("door-1").await.unwrap();
    desk.wait("-door-1").await;
    desk.wait("end door-1 video").await;
    assert!(matches!(door.session.unpublish("door-1").await, Err(SignalError::UnknownStream(_))));
    assert!(matches!(
        desk.session.subscribe("door-1", true, true, LayerWish::default()).await,
        Err(SignalError::UnknownStream(_))
    ));
    desk.forget();
    let second = door.session.publish(PublishRequest { video: None, ..door_stream("door-2") }).await.unwrap();
    assert!(second.video.is_none());
    let sound = second.audio.unwrap();
    ready(&sound).await;
    let on_air = tokio::spawn(async move {
        loop {
            send(&sound, 10, 0).await;
        }
    });
    desk.wait("+door-2@door:A").await;
    desk.session.subscribe("door-2", true, true, LayerWish::default()).await.unwrap();
    let heard_again = Arc::new(Counter::default());
    desk.media("door-2", MediaKind::Audio).await.attach(Arc::clone(&heard_again) as Arc<dyn RtpSink>);
    counted(&heard_again, 20).await;
    on_air.abort();
    on_air_too.abort();
    let start = Instant::now();
    door.session.leave().await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    desk.wait("-@door").await;
    let words = desk.words();
    let position = |wanted: &str| words.iter().position(|word| word == wanted);
    assert!(position("-door-2") < position("-@door"), "{words:?}");
    assert!(matches!(door.session.publish(door_stream("x")).await, Err(SignalError::Ended)));
    assert!(!door.words().iter().any(|word| word.starts_with("disconnected")), "we left");
    desk.session.leave().await;
}

/// Subscribes as soon as the stream is there: a server may tell of it only when its media arrives.
async fn subscribed(member: &Member, stream_id: &str, audio: bool, video: bool) {
    for _ in 0..400 {
        if member.session.subscribe(stream_id, audio, video, LayerWish::default()).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{stream_id} never came, but {:?}", member.words());
}

async fn same_user_twice(server: &Server) {
    let first = Member::join(options(&server.address, "hall", "door")).await.unwrap();
    let second = Member::join(options(&server.address, "hall", "door")).await.unwrap();
    first.wait("disconnected DuplicateIdentity").await;
    assert!(second.words().is_empty(), "{:?}", second.words());
    second.session.leave().await;
}

async fn refusals(server: &Server) {
    let good = options(&server.address, "lobby", "door");
    let refused = |options: JoinOptions| async move {
        match Member::join(options).await {
            Err(SignalError::Refused { code, message }) => (code, message),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("let in"),
        }
    };
    for (what, token) in [
        ("expired", token("lobby", "door", SECRET, true)),
        ("another secret", token("lobby", "door", "another secret that is long enough!", false)),
        ("another user", token("lobby", "desk", SECRET, false)),
        ("another room", token("hall", "door", SECRET, false)),
        ("nonsense", "nonsense".to_owned()),
    ] {
        let (code, message) = refused(JoinOptions { token, ..good.clone() }).await;
        println!("{what}: {code} {message}");
        assert!((1_002_033..=1_002_080).contains(&code), "{what}: {code} {message}");
        assert!(!message.is_empty() && !message.contains('[') && !message.contains("eyJ"), "{message}");
    }
    let nobody = JoinOptions { server: format!("ws://127.0.0.1:{}", free_port()), ..good.clone() };
    let start = Instant::now();
    assert!(matches!(Member::join(nobody).await, Err(SignalError::Unreachable { .. })));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = JoinOptions { server: format!("ws://{}", silent.local_addr().unwrap()), ..good.clone() };
    let answer = Member::join(mute).await.err().unwrap();
    assert!(matches!(answer, SignalError::Timeout(_)), "{answer}");
    let strange = Member::join(JoinOptions { server: "http://h".to_owned(), ..good }).await.err().unwrap();
    assert!(matches!(strange, SignalError::BadAddress(_)), "{strange}");
}

async fn a_lost_signal_connection(server: &Server) {
    let proxy = Proxy::new(server.address.clone()).await;
    let door = Member::join(options(&proxy.address.to_string(), "yard", "door")).await.unwrap();
    let desk = Member::join(options(&server.address, "yard", "desk")).await.unwrap();
    let video = door.session.publish(door_stream("door-1")).await.unwrap().video.unwrap();
    ready(&video).await;
    let film = video.clone();
    let on_air = tokio::spawn(async move {
        let mut round = 0u32;
        loop {
            send(&film, 10, round * 30_000).await;
            round += 1;
        }
    });
    subscribed(&desk, "door-1", false, true).await;
    let seen = Arc::new(Counter::default());
    desk.media("door-1", MediaKind::Video).await.attach(Arc::clone(&seen) as Arc<dyn RtpSink>);
    counted(&seen, 20).await;
    proxy.cut();
    let start = Instant::now();
    door.wait("reconnecting").await;
    door.wait("reconnected").await;
    println!("back after {:?}", start.elapsed());
    let before = seen.packets.load(Ordering::Relaxed);
    counted(&seen, before + 50).await;
    assert!(video.ready());
    // The session works on: something new can be published and is seen by the other.
    door.session.publish(PublishRequest { video: None, ..door_stream("door-2") }).await.unwrap();
    assert!(!desk.words().iter().any(|word| word.starts_with('-')), "nobody noticed: {:?}", desk.words());
    on_air.abort();
    door.session.leave().await;
    desk.session.leave().await;
}

async fn the_server_goes_away(mut server: Server) {
    let door = Member::join(options(&server.address, "lobby", "door")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.child.kill().unwrap();
    door.wait("reconnecting").await;
    // Leaving while nobody answers must not take long.
    let start = Instant::now();
    door.session.leave().await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_call_through_the_hub() {
    a_call(&Server::hub().await).await;
}

#[tokio::test]
async fn the_hub_lets_a_user_in_once() {
    same_user_twice(&Server::hub().await).await;
}

#[tokio::test]
async fn refusals_of_the_hub_have_codes() {
    refusals(&Server::hub().await).await;
}

#[tokio::test]
async fn a_lost_signal_connection_to_the_hub() {
    a_lost_signal_connection(&Server::hub().await).await;
}

#[tokio::test]
async fn the_hub_goes_away() {
    the_server_goes_away(Server::hub().await).await;
}

#[tokio::test]
#[ignore = "needs LIVEKIT_SERVER"]
async fn a_call_through_livekit_server() {
    a_call(&Server::livekit().await).await;
}

#[tokio::test]
#[ignore = "needs LIVEKIT_SERVER"]
async fn livekit_server_lets_a_user_in_once() {
    same_user_twice(&Server::livekit().await).await;
}

#[tokio::test]
#[ignore = "needs LIVEKIT_SERVER"]
async fn refusals_of_livekit_server_have_codes() {
    refusals(&Server::livekit().await).await;
}

#[tokio::test]
#[ignore = "needs LIVEKIT_SERVER"]
async fn a_lost_signal_connection_to_livekit_server() {
    a_lost_signal_connection(&Server::livekit().await).await;
}
