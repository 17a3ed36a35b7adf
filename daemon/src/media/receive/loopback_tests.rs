//! The whole way from a camera and a microphone to a view and a speaker, over a link that loses packets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{AudioPlay, RtpIn, VideoPlay};
use crate::audio::Channels;
use crate::bar;
use crate::clock::Monotonic;
use crate::devices::camera::{CameraSource, CaptureWish};
use crate::devices::microphone::MicrophoneSource;
use crate::devices::speaker::SpeakerSink;
use crate::media::camera::CameraCapture;
use crate::media::meter::{Audience, SoundMeter};
use crate::media::microphone::MicrophoneCapture;
use crate::media::playback::Playback;
use crate::media::send::{AudioConfig, AudioSend, RtpOut, VideoConfig, VideoSend};
use crate::media::sync::LipSync;
use crate::media::{FirstFrame, MediaEvent, MediaEvents};
use crate::picture::Picture;
use crate::rtc::{
    FeedbackHandler, IncomingRtp, Mime, OutgoingRtp, ReceiverStatistics, RtpSink, SendOutcome, SenderFeedback,
    SenderReport, SenderStatistics,
};
use crate::views::{Canvas, View, ViewKind};

/// What the link does to packets.
#[derive(Clone, Copy)]
struct Weather {
    /// Time that a packet takes.
    one_way: Duration,
    loss: f64,
    /// Time after which a lost packet arrives after all; `None` = never.
    repair: Option<Duration>,
}

const CLEAR: Weather = Weather { one_way: Duration::from_millis(2), loss: 0.0, repair: None };

/// One direction of a connection, with its own thread.
#[derive(Clone)]
struct Link(Arc<Wire>);

/// What is under way.
#[derive(Default)]
struct Queue {
    /// When which of the packets arrives.
    due: BinaryHeap<Reverse<(Monotonic, usize)>>,
    packets: Vec<Option<IncomingRtp>>,
    quit: bool,
}

struct Wire {
    mime: Mime,
    weather: Weather,
    ready: AtomicBool,
    sequence: AtomicU16,
    chance: AtomicU64,
    queue: Mutex<Queue>,
    wake: Condvar,
    sink: Mutex<Option<Arc<dyn RtpSink>>>,
    feedback: Mutex<Option<FeedbackHandler>>,
    report: Mutex<Option<SenderReport>>,
    key_frame_requests: AtomicU64,
}

impl Link {
    fn new(mime: Mime, weather: Weather) -> (Self, LinkThread) {
        let wire = Arc::new(Wire {
            mime,
            weather,
            ready: AtomicBool::new(true),
            sequence: AtomicU16::new(65_500),
            chance: AtomicU64::new(42),
            queue: Mutex::default(),
            wake: Condvar::new(),
            sink: Mutex::default(),
            feedback: Mutex::default(),
            report: Mutex::default(),
            key_frame_requests: AtomicU64::new(0),
        });
        let thread = std::thread::spawn({
            let wire = Arc::clone(&wire);
            move || wire.run()
        });
        (Self(Arc::clone(&wire)), LinkThread { wire, thread: Some(thread) })
    }

    fn set_ready(&self) {
        self.0.ready.store(true, Ordering::Release);
        let handler = self.0.feedback.lock().expect("feedback").clone();
        if let Some(handler) = handler {
            handler(SenderFeedback::Ready);
        }
    }
}

struct LinkThread {
    wire: Arc<Wire>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for LinkThread {
    fn drop(&mut self) {
        self.wire.queue.lock().expect("queue").quit = true;
        self.wire.wake.notify_all();
        self.thread.take().expect("thread").join().expect("link");
    }
}

impl Wire {
    fn chance(&self) -> f64 {
        let next =
            |state: u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let state = self.chance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).expect("state");
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn run(&self) {
        let mut queue = self.queue.lock().expect("queue");
        while !queue.quit {
            let now = Monotonic::now();
            match queue.due.peek().copied() {
                Some(Reverse((due, index))) if due <= now => {
                    queue.due.pop();
                    let mut packet = queue.packets[index].take().expect("once");
                    drop(queue);
                    packet.arrived = now;
                    let sink = self.sink.lock().expect("sink").clone();
                    if let Some(sink) = sink {
                        sink.receive(packet);
                    }
                    queue = self.queue.lock().expect("queue");
                }
                Some(Reverse((due, _))) => queue = self.wake.wait_timeout(queue, due.since(now)).expect("queue").0,
                None => queue = self.wake.wait(queue).expect("queue"),
            }
        }
    }
}

impl RtpOut for Link {
    fn ready(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }

    fn send(&self, packet: OutgoingRtp) -> SendOutcome {
        if !self.ready() {
            return SendOutcome::NotReady;
        }
        let wire = &self.0;
        let now = Monotonic::now();
        let nanos = u128::from(packet.captured_at.as_nanos());
        let ntp = ((nanos << 32) / 1_000_000_000) as u64;
        *wire.report.lock().expect("report") = Some(SenderReport { ntp, rtp: packet.timestamp, arrived: now });
        let incoming = IncomingRtp {
            arrived: now,
            sequence: wire.sequence.fetch_add(1, Ordering::Relaxed),
            timestamp: packet.timestamp,
            marker: packet.marker,
            payload_type: 96,
            mime: wire.mime,
            payload: packet.payload,
            audio_level: None,
            captured_at: Some(packet.captured_at),
        };
        let mut due = now + wire.weather.one_way;
        while wire.chance() < wire.weather.loss {
            match wire.weather.repair {
                Some(repair) => due = due + repair,
                None => return SendOutcome::Queued,
            }
        }
        let mut queue = wire.queue.lock().expect("queue");
        let index = queue.packets.len();
        queue.packets.push(Some(incoming));
        queue.due.push(Reverse((due, index)));
        wire.wake.notify_one();
        SendOutcome::Queued
    }

    fn on_feedback(&self, handler: FeedbackHandler) {
        *self.0.feedback.lock().expect("feedback") = Some(handler);
        if self.ready() {
            self.set_ready();
        }
    }

    fn statistics(&self) -> SenderStatistics {
        SenderStatistics::default()
    }
}

impl RtpIn for Link {
    fn attach(&self, sink: Arc<dyn RtpSink>) {
        *self.0.sink.lock().expect("sink") = Some(sink);
    }

    fn detach(&self) {
        *self.0.sink.lock().expect("sink") = None;
    }

    fn request_key_frame(&self) {
        self.0.key_frame_requests.fetch_add(1, Ordering::Relaxed);
        let handler = self.0.feedback.lock().expect("feedback").clone();
        if let Some(handler) = handler {
            handler(SenderFeedback::KeyFrameRequested);
        }
    }

    fn statistics(&self) -> ReceiverStatistics {
        ReceiverStatistics {
            rtt: Some(self.0.weather.one_way * 2),
            sender_report: *self.0.report.lock().expect("report"),
            ..ReceiverStatistics::default()
        }
    }
}

/// A view that reads the bar of every picture.
#[derive(Default)]
struct Reader {
    /// Frame counter and latency of each picture; `None` = the bar was not intact.
    seen: Mutex<Vec<Option<(u16, u16)>>>,
    size: Mutex<(u32, u32)>,
}

impl View for Reader {
    fn id(&self) -> u64 {
        1
    }

    fn kind(&self) -> ViewKind {
        ViewKind::Null
    }

    fn size(&self) -> (u32, u32) {
        *self.size.lock().expect("size")
    }

    fn frames_shown(&self) -> u64 {
        self.seen.lock().expect("seen").len() as u64
    }

    fn set_canvas(&self, _canvas: Canvas) {}

    fn show(&self, picture: &Picture<'_>, _captured_at: Option<Monotonic>) {
        *self.size.lock().expect("size") = (picture.width as u32, picture.height as u32);
        let now = Monotonic::now().as_millis() as u16;
        let found = bar::read(picture.y.data, picture.width, picture.y.stride);
        self.seen.lock().expect("seen").push(found.map(|(frame, made)| (frame, now.wrapping_sub(made))));
    }

    fn clear(&self) {}
}

impl Reader {
    /// How many frames were seen, in order and intact, and their latencies in ms, sorted. Panics on a picture that is not intact.
    fn check(&self) -> (usize, Vec<u16>) {
        let seen = self.seen.lock().expect("seen").clone();
        let mut latencies = Vec::new();
        let mut last = None;
        for (n, found) in seen.iter().enumerate() {
            let (frame, latency) = found.unwrap_or_else(|| panic!("picture {n} of {} is not intact", seen.len()));
            assert!(last.is_none_or(|last: u16| frame.wrapping_sub(last) as i16 > 0), "picture {frame} after {last:?}");
            last = Some(frame);
            latencies.push(latency);
        }
        latencies.sort_unstable();
        (seen.len(), latencies)
    }
}

/// A meter that nobody looks at.
fn unheard() -> SoundMeter {
    SoundMeter::new(&Audience::default())
}

fn events() -> (MediaEvents, Arc<Mutex<Vec<String>>>) {
    let list = Arc::new(Mutex::new(Vec::new()));
    let events: MediaEvents = {
        let list = Arc::clone(&list);
        Arc::new(move |event| list.lock().expect("list").push(format!("{event:?}")))
    };
    (events, list)
}

fn nobody() -> MediaEvents {
    Arc::new(|_| {})
}

fn camera() -> CameraCapture {
    let wish = CaptureWish { width: 640, height: 480, fps: 30 };
    CameraCapture::start(&CameraSource::Pattern(String::new()), wish, nobody()).expect("camera")
}

const CONFIG: VideoConfig =
    VideoConfig { width: 640, height: 480, fps: 30, bitrate_kbps: 800, key_frame_interval_s: 0 };

fn wait_for(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let end = Monotonic::now() + limit;
    while !done() {
        assert!(Monotonic::now() < end, "{what} did not happen within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Names of this process's threads that begin with one of ours.
fn media_threads() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir("/proc/self/task")
        .expect("tasks")
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| ["camera", "microphone", "playback", "video encoder", "video decoder"].contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

/// The tests of this file run one after the other: they look at this process's threads, and at the time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn on_a_clear_link_every_picture_is_shown_intact_and_soon() {
    let _alone = alone();
    let (link, _thread) = Link::new(Mime::H264, CLEAR);
    let (news, list) = events();
    let view = Arc::new(Reader::default());
    let play = VideoPlay::start_from(Box::new(link.clone()), Some(view.clone()), &LipSync::new(), Arc::clone(&news))
        .expect("play");
    let camera = camera();
    let send = VideoSend::start_to(&camera, CONFIG, Box::new(link.clone()), news).expect("send");
    std::thread::sleep(Duration::from_secs(4));
    send.set_muted(true);
    std::thread::sleep(Duration::from_millis(150));
    let sent = send.statistics();
    let (count, latencies) = view.check();
    println!(
        "clear: {count} of {} shown, latency p50 {} ms, p95 {} ms",
        sent.sent,
        latencies[count / 2],
        latencies[count * 95 / 100]
    );
    assert!(sent.sent >= 90, "{sent:?}");
    assert_eq!(count as u64, sent.sent, "everything that was sent");
    assert_eq!((sent.key_frames, sent.encoder, sent.width), (1, "openh264", 640));
    let played = play.statistics();
    assert_eq!((played.withheld, played.key_frame_requests, played.decoder), (0, 0, "openh264"));
    assert!(played.buffer_delay < Duration::from_millis(20), "{played:?}");
    let list = list.lock().expect("list").clone();
    for expected in
        [FirstFrame::VideoCaptured, FirstFrame::VideoSent, FirstFrame::VideoReceived, FirstFrame::VideoRendered]
    {
        let expected = format!("{:?}", MediaEvent::FirstFrame(expected));
        assert_eq!(list.iter().filter(|event| **event == expected).count(), 1, "{expected} in {list:?}");
    }
    assert!(list.contains(&"SizeChanged { width: 640, height: 480 }".to_owned()), "{list:?}");
}

#[test]
fn at_two_percent_loss_with_repairs_nearly_every_picture_is_shown_and_none_is_broken() {
    let _alone = alone();
    let weather = Weather { one_way: Duration::from_millis(40), loss: 0.02, repair: Some(Duration::from_millis(95)) };
    let (link, _thread) = Link::new(Mime::H264, weather);
    let view = Arc::new(Reader::default());
    let play =
        VideoPlay::start_from(Box::new(link.clone()), Some(view.clone()), &LipSync::new(), nobody()).expect("play");
    let send = VideoSend::start_to(&camera(), CONFIG, Box::new(link.clone()), nobody()).expect("send");
    std::thread::sleep(Duration::from_secs(6));
    let sent = send.statistics().sent;
    drop(send);
    std::thread::sleep(Duration::from_millis(400));
    let (count, latencies) = view.check();
    println!(
        "lossy: {count} of {sent} shown, latency p50 {} ms, p95 {} ms",
        latencies[count / 2],
        latencies[count * 95 / 100]
    );
    // Until the first picture some may pass: the very first packet can be lost.
    let played = play.statistics();
    assert!(played.withheld * 1000 <= sent * 7, "{played:?}");
    assert!(count as u64 + played.withheld + 8 >= sent, "{count} of {sent}: {played:?}");
}

#[test]
fn losses_that_nobody_repairs_lead_to_key_frames_and_no_broken_picture() {
    let _alone = alone();
    let weather = Weather { one_way: Duration::from_millis(10), loss: 0.03, repair: None };
    let (link, _thread) = Link::new(Mime::H264, weather);
    let view = Arc::new(Reader::default());
    let play =
        VideoPlay::start_from(Box::new(link.clone()), Some(view.clone()), &LipSync::new(), nobody()).expect("play");
    let send = VideoSend::start_to(&camera(), CONFIG, Box::new(link.clone()), nobody()).expect("send");
    std::thread::sleep(Duration::from_secs(5));
    let sent = send.statistics();
    drop(send);
    let (count, _) = view.check();
    let played = play.statistics();
    println!("no repairs: {count} of {} shown, {} key frames asked for", sent.sent, played.key_frame_requests);
    assert!(played.key_frame_requests > 0 && played.withheld > 0, "{played:?}");
    assert!(sent.key_frames > 1 && sent.key_frames <= played.key_frame_requests + 1, "{sent:?} {played:?}");
    assert!(count > 20, "{count}");
}

#[test]
fn nothing_is_sent_before_the_link_is_ready_and_then_a_key_frame_comes_first() {
    let _alone = alone();
    let (link, _thread) = Link::new(Mime::H264, CLEAR);
    link.0.ready.store(false, Ordering::Release);
    let view = Arc::new(Reader::default());
    let _play =
        VideoPlay::start_from(Box::new(link.clone()), Some(view.clone()), &LipSync::new(), nobody()).expect("play");
    let send = VideoSend::start_to(&camera(), CONFIG, Box::new(link.clone()), nobody()).expect("send");
    std::thread::sleep(Duration::from_millis(300));
    let before = send.statistics();
    assert_eq!((before.encoded, before.dropped), (0, 0));
    assert!(before.captured > 3);
    let start = Monotonic::now();
    link.set_ready();
    wait_for("the first picture", Duration::from_secs(2), || view.frames_shown() > 0);
    println!("first picture {:?} after the link was ready", Monotonic::now().since(start));
    let after = send.statistics();
    assert_eq!((after.key_frames, link.0.key_frame_requests.load(Ordering::Relaxed)), (1, 0));
}

#[test]
fn muting_stops_the_pictures_and_a_new_size_comes_with_a_key_frame() {
    let _alone = alone();
    let (link, _thread) = Link::new(Mime::H264, CLEAR);
    let view = Arc::new(Reader::default());
    let (news, list) = events();
    let _play = VideoPlay::start_from(Box::new(link.clone()), Some(view.clone()), &LipSync::new(), news).expect("play");
    let camera = camera();
    let send = VideoSend::start_to(&camera, CONFIG, Box::new(link.clone()), nobody()).expect("send");
    wait_for("pictures", Duration::from_secs(5), || view.frames_shown() > 5);
    send.set_muted(true);
    std::thread::sleep(Duration::from_millis(150));
    let muted = view.frames_shown();
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(view.frames_shown(), muted);
    send.set_config(VideoConfig { width: 320, height: 240, ..CONFIG });
    send.set_muted(false);
    wait_for("pictures of the new size", Duration::from_secs(5), || view.size() == (320, 240));
    assert_eq!(send.statistics().key_frames, 2);
    let list = list.lock().expect("list").clone();
    let breaks: Vec<&String> = list.iter().filter(|event| event.contains("Break")).collect();
    assert_eq!(breaks, ["VideoBreak(true)", "VideoBreak(false)"]);
    assert!(list.contains(&"SizeChanged { width: 320, height: 240 }".to_owned()));
}

#[test]
fn one_camera_serves_two_senders_and_a_preview() {
    let _alone = alone();
    let (first, _a) = Link::new(Mime::H264, CLEAR);
    let (second, _b) = Link::new(Mime::H264, CLEAR);
    let (large, small, preview) =
        (Arc::new(Reader::default()), Arc::new(Reader::default()), Arc::new(Reader::default()));
    let _one =
        VideoPlay::start_from(Box::new(first.clone()), Some(large.clone()), &LipSync::new(), nobody()).expect("play");
    let _two =
        VideoPlay::start_from(Box::new(second.clone()), Some(small.clone()), &LipSync::new(), nobody()).expect("play");
    let camera = camera();
    camera.add_view(preview.clone());
    let slow = VideoConfig { width: 320, height: 240, fps: 10, ..CONFIG };
    let send_large = VideoSend::start_to(&camera, CONFIG, Box::new(first), nobody()).expect("send");
    let send_small = VideoSend::start_to(&camera, slow, Box::new(second), nobody()).expect("send");
    std::thread::sleep(Duration::from_secs(3));
    camera.remove_view(1);
    std::thread::sleep(Duration::from_millis(100));
    let shown = preview.frames_shown();
    let thinned = send_small.statistics();
    drop((send_large, send_small));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(preview.frames_shown(), shown, "the preview stopped");
    let (large_count, _) = large.check();
    let (preview_count, _) = preview.check();
    assert!(preview_count >= 60 && large_count >= 60, "{preview_count} {large_count}");
    assert_eq!(small.size(), (320, 240));
    assert!((20..=34).contains(&small.frames_shown()), "{} at 10 fps in 3 s; {thinned:?}", small.frames_shown());
}

#[test]
fn sound_and_picture_arrive_together() {
    let _alone = alone();
    let weather = Weather { one_way: Duration::from_millis(20), ..CLEAR };
    let (video, _a) = Link::new(Mime::H264, weather);
    let (audio, _b) = Link::new(Mime::Opus, weather);
    let sync = LipSync::new();
    let view = Arc::new(Reader::default());
    let (news, list) = events();
    let playback = Playback::start(SpeakerSink::Null, nobody(), Arc::new(|_| {}));
    let play = VideoPlay::start_from(Box::new(video.clone()), Some(view), &sync, nobody()).expect("play");
    let audience = Audience::default();
    let (_seat, meter) = (audience.join(), SoundMeter::new(&audience));
    let listen = AudioPlay::start_from(Box::new(audio.clone()), &playback, &sync, meter.clone(), Arc::clone(&news))
        .expect("listen");
    let microphone =
        MicrophoneCapture::start(&MicrophoneSource::Tone(String::new()), Channels::Mono, unheard(), nobody())
            .expect("microphone");
    let _pictures = VideoSend::start_to(&camera(), CONFIG, Box::new(video), nobody()).expect("send");
    let sound = AudioSend::start_to(
        &microphone,
        AudioConfig { bitrate_kbps: 32, channels: Channels::Mono },
        Box::new(audio),
        news,
    )
    .expect("speak");
    let mut loudest = 0.0_f64;
    for _ in 0..80 {
        std::thread::sleep(Duration::from_millis(50));
        loudest = loudest.max(meter.reading(Monotonic::now()).level);
    }
    let offset = play.statistics().av_offset_ms.expect("both were measured");
    let heard = listen.statistics();
    println!("sound and picture {offset} ms apart; voice {heard:?}");
    assert!(offset.abs() < 80, "{offset} ms");
    // The beep: -12 dBFS peak is -15 dB of mean square, on a scale that ends 60 dB down: 75.
    assert!((60.0..80.0).contains(&loudest), "{loudest}");
    assert!(heard.played > 48_000 * 3 && heard.concealed < heard.played / 10, "{heard:?}");
    assert!(sound.statistics().sent > 150);
    let list = list.lock().expect("list").clone();
    for expected in ["AudioCaptured", "AudioSent", "AudioReceived"] {
        assert_eq!(list.iter().filter(|event| event.contains(expected)).count(), 1, "{expected} in {list:?}");
    }
}

#[test]
fn every_thread_ends_soon_after_its_handle() {
    let _alone = alone();
    wait_for("earlier threads' end", Duration::from_secs(2), || media_threads().is_empty());
    let (video, _a) = Link::new(Mime::H264, CLEAR);
    let (audio, _b) = Link::new(Mime::Opus, CLEAR);
    let playback = Playback::start(SpeakerSink::Null, nobody(), Arc::new(|_| {}));
    let microphone =
        MicrophoneCapture::start(&MicrophoneSource::Tone(String::new()), Channels::Mono, unheard(), nobody())
            .expect("microphone");
    let camera = camera();
    let pictures = VideoSend::start_to(&camera, CONFIG, Box::new(video.clone()), nobody()).expect("send");
    let sound = AudioSend::start_to(
        &microphone,
        AudioConfig { bitrate_kbps: 32, channels: Channels::Mono },
        Box::new(audio.clone()),
        nobody(),
    )
    .expect("speak");
    let play = VideoPlay::start_from(Box::new(video), None, &LipSync::new(), nobody()).expect("play");
    let listen =
        AudioPlay::start_from(Box::new(audio), &playback, &LipSync::new(), unheard(), nobody()).expect("listen");
    wait_for("pictures without a view", Duration::from_secs(5), || play.statistics().shown > 3);
    assert_eq!(media_threads(), ["camera", "microphone", "playback", "video decoder", "video encoder"]);
    let start = Monotonic::now();
    drop(listen);
    wait_for("the speaker's end", Duration::from_millis(300), || !media_threads().contains(&"playback".to_owned()));
    drop((camera, microphone));
    assert!(media_threads().contains(&"camera".to_owned()), "the senders still need them");
    drop((pictures, sound, play));
    let took = Monotonic::now().since(start);
    assert_eq!(media_threads(), Vec::<String>::new());
    assert!(took < Duration::from_millis(600), "{took:?}");
}
