//! What the daemon does over D-Bus without any network.

#![allow(clippy::unwrap_used, reason = "a test ends with its first failure")]

mod rig;

use std::collections::HashMap;
use std::time::Duration;

use rig::{Device, NAME, Options, PrivateBus, ROOT, SIMULATED, member, none, refusal, zegod};
use zbus::{OwnedFd, OwnedObjectPath, OwnedVariant, Proxy, Variant};
use zego_protocol::token::{TokenRequest, generate_livekit};

const SECRET: &str = "abcdefghijklmnopqrstuvwxyz012345";

fn token(user: &str, room: &str) -> String {
    let request = TokenRequest { room_id: Some(room.to_owned()), ..TokenRequest::new("1234567890", SECRET, user) };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    generate_livekit(&request, now).unwrap()
}

/// Options of a login to a server that is not there.
fn nowhere(token: &str) -> Options {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Options::from([
        ("token", token.to_owned().into()),
        ("server", format!("ws://127.0.0.1:{port}").into()),
        ("wait", false.into()),
    ])
}

#[tokio::test]
async fn the_objects_are_there_with_the_name_and_explain_themselves() {
    let bus = PrivateBus::start();
    let device = Device::start(&bus, SIMULATED).await;
    let devices = device.objects("Device").await;
    let mut ids = Vec::new();
    for path in &devices {
        ids.push(device.text(path.as_str(), "Device", "DeviceID").await);
    }
    for id in ["pattern", "pattern:2", "tone", "null"] {
        assert!(ids.iter().any(|other| other == id), "{id} is not among {ids:?}");
    }
    let introspect = async |path: &str| -> String {
        let proxy = Proxy::new(&device.connection, NAME, path.to_owned(), "org.freedesktop.DBus.Introspectable");
        proxy.await.unwrap().call("Introspect", &()).await.unwrap()
    };
    let xml = introspect(ROOT).await;
    for part in [
        "<method name=\"LoginRoom\">",
        "<arg name=\"room\" type=\"o\" direction=\"out\"/>",
        "<signal name=\"RoomStateUpdate\">",
        "<arg name=\"extended_data\" type=\"a{sv}\"/>",
        "<property name=\"AppID\" type=\"u\" access=\"read\"/>",
        "Errors: InvalidArgument, AlreadyLoggedIn",
        "org.freedesktop.DBus.ObjectManager",
    ] {
        assert!(xml.contains(part), "{part} is not in the introspection data");
    }
    assert!(introspect(devices[0].as_str()).await.contains("`available`, `in_use`"));
}

#[tokio::test]
async fn an_engine_is_made_once() {
    let bus = PrivateBus::start();
    let mut device = Device::start(&bus, SIMULATED).await;
    assert_eq!(device.text(ROOT, "Engine", "State").await, "destroyed");
    let zero = Options::from([("app_id", 0_u32.into())]);
    let (name, code, _) = device.refused("CreateEngine", &zero).await;
    assert_eq!((name.as_str(), code), ("org.zegod1.Error.InvalidArgument", 1_001_000));
    let profile = Options::from([("app_id", 42_u32.into()), ("scenario", 3_i32.into()), ("room_mode", 1_i32.into())]);
    let () = device.call("CreateEngine", &profile).await.unwrap();
    assert_eq!(u32::try_from(device.get(ROOT, "Engine", "AppID").await).unwrap(), 42);
    assert_eq!(device.text(ROOT, "Engine", "State").await, "created");
    let () = device.call("CreateEngine", &Options::from([("app_id", 43_u32.into())])).await.unwrap();
    assert_eq!(u32::try_from(device.get(ROOT, "Engine", "AppID").await).unwrap(), 42, "a second call changes nothing");
    let (_, code, _) = device.refused("CreateEngine", &Options::from([("room_mode", 0_i32.into())])).await;
    assert_eq!(code, 1_001_020);
    let () = device.call("MuteMicrophone", &true).await.unwrap();
    assert!(bool::try_from(device.get(ROOT, "Engine", "MicrophoneMuted").await).unwrap());
    for _ in 0..2 {
        let () = device.call("DestroyEngine", &()).await.unwrap();
    }
    assert_eq!(device.text(ROOT, "Engine", "State").await, "destroyed");
    assert!(!bool::try_from(device.get(ROOT, "Engine", "MicrophoneMuted").await).unwrap(), "mutes end with the engine");
    let changes = device.signals().await.iter().filter(|signal| member(signal) == "PropertiesChanged").count();
    assert!(changes >= 6, "created, app id, muted, and back: {changes}");
}

#[tokio::test]
async fn wrong_arguments_are_named() {
    let bus = PrivateBus::start();
    let mut device = Device::start(&bus, SIMULATED).await;
    let invalid = "org.zegod1.Error.InvalidArgument";
    let unknown = Options::from([("tokn", "x".into())]);
    let wrong = Options::from([("token", 7_u32.into())]);
    let good = Options::from([("token", token("user1", "lobby").into())]);
    let bad_server = Options::from([("token", token("user1", "lobby").into()), ("server", "http://x".into())]);
    let long = "x".repeat(128);
    for (room, user, options, code, word) in [
        ("lobby", "user1", &unknown, 1_000_017, "tokn"),
        ("lobby", "user1", &wrong, 1_000_017, "token"),
        ("", "user1", &good, 1_002_011, "room id"),
        ("the lobby", "user1", &good, 1_002_012, "the lobby"),
        (long.as_str(), "user1", &good, 1_002_013, "128"),
        ("lobby", "", &good, 1_002_005, "user id"),
        ("lobby", "a/b", &good, 1_002_006, "a/b"),
        ("lobby", "user1", &bad_server, 1_000_017, "http://x"),
    ] {
        let (name, is, message) = device.refused("LoginRoom", &(room, user, "", options)).await;
        assert_eq!((name.as_str(), is), (invalid, code), "{message}");
        assert!(message.contains(word) && message.ends_with(&format!(" [{code}]")), "{message}");
    }
    let (name, code, _) = device.refused("LoginRoom", &("lobby", "user1", "", none())).await;
    assert_eq!((name.as_str(), code), ("org.zegod1.Error.AuthenticationFailed", 1_002_067));
    let states = device.signals().await.iter().filter(|signal| member(signal) == "RoomStateUpdate").count();
    assert_eq!(states, 0, "what was refused at once has no signals");

    let view = Options::from([("view", 4711_u64.into())]);
    let (name, code, _) = device.refused("StartPreview", &view).await;
    assert_eq!((name.as_str(), code), ("org.zegod1.Error.ViewNotFound", 1_000_017));
    for (method, stream, name, code) in [
        ("StartPublishing", "door", "NotLoggedIn", 1_000_002),
        ("StartPlaying", "door", "NotLoggedIn", 1_000_002),
        ("StartPlaying", "a.b", "InvalidArgument", 1_000_016),
        ("StartPublishing", "", "InvalidArgument", 1_000_015),
    ] {
        let (is, number, _) = device.refused(method, &(stream, none())).await;
        assert_eq!((is, number), (format!("org.zegod1.Error.{name}"), code), "{method} {stream}");
    }
    let (name, code, _) = device.refused("LogoutRoom", &"cellar").await;
    assert_eq!((name.as_str(), code), ("org.zegod1.Error.RoomNotFound", 1_002_002));
    let (_, code, _) = device.refused("StopPlaying", &"unheard-of").await;
    assert_eq!(code, 1_004_011);
    let (_, code, _) = device.refused("StopPublishing", &"unheard-of").await;
    assert_eq!(code, 1_003_001);
    let () = device.call("StopPublishing", &"").await.unwrap();
    let (name, code, message) = device.refused("TakeSnapshot", &("", none())).await;
    assert_eq!((name.as_str(), code), ("org.zegod1.Error.NotPublishing", 1_003_001), "{message}");
}

#[tokio::test]
async fn a_token_that_cannot_fit_is_a_login_that_failed() {
    let bus = PrivateBus::start();
    let mut device = Device::start(&bus, SIMULATED).await;
    let foreign = Options::from([("token", token("somebody", "lobby").into())]);
    let (name, code, message) = device.refused("LoginRoom", &("lobby", "user1", "", foreign)).await;
    assert_eq!((name.as_str(), code), ("org.zegod1.Error.AuthenticationFailed", 1_002_077), "{message}");
    assert!(!message.contains("eyJ"), "the token is in the message");
    let mut told = Vec::new();
    for signal in device.signals().await {
        if member(&signal) == "RoomStateUpdate" {
            let (room, state, code, more): (String, i32, i32, HashMap<String, OwnedVariant>) =
                signal.body().deserialize().unwrap();
            told.push((room, state, code, String::try_from(more["reason"].try_clone().unwrap()).unwrap()));
        }
    }
    let word = str::to_owned;
    assert_eq!(
        told,
        [(word("lobby"), 1, 0, word("logining")), (word("lobby"), 0, 1_002_077, word("login_failed"))],
        "connecting, then out"
    );
    assert!(device.objects("Room").await.is_empty());
}

#[tokio::test]
async fn a_login_goes_on_in_the_background_until_the_logout() {
    let bus = PrivateBus::start();
    let device = Device::start(&bus, SIMULATED).await;
    let arguments = ("lobby", "user1", "Anna", nowhere(&token("user1", "lobby")));
    let (room, state): (OwnedObjectPath, i32) = device.call("LoginRoom", &arguments).await.unwrap();
    assert_eq!(state, 1);
    assert_eq!(device.text(room.as_str(), "Room", "State").await, "connecting");
    assert_eq!(device.text(room.as_str(), "Room", "UserName").await, "Anna");
    let (name, code, _) = device.refused("LoginRoom", &arguments).await;
    assert_eq!((name.as_str(), code), ("org.zegod1.Error.AlreadyLoggedIn", 1_002_001));
    // Publishing waits for the room; the device is opened already, and everything ends with the room.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let () = device.call("LogoutRoom", &"lobby").await.unwrap();
    assert!(device.objects("Room").await.is_empty());
    let (_, code, _) = device.refused("LogoutRoom", &"lobby").await;
    assert_eq!(code, 1_002_002);
}

#[tokio::test]
async fn the_time_to_retry_ends() {
    let bus = PrivateBus::start();
    let mut device = Device::start(&bus, &SIMULATED.replace("retry_time_s = 60", "retry_time_s = 1")).await;
    let mut options = nowhere(&token("user1", "lobby"));
    options.insert("wait", true.into());
    let (name, code, _) = device.refused("LoginRoom", &("lobby", "user1", "", options)).await;
    assert_eq!((name.as_str(), code), ("org.zegod1.Error.ServerUnreachable", 1_002_053));
    let last = device.signals().await.into_iter().rfind(|signal| member(signal) == "RoomStateUpdate").unwrap();
    let (_, state, code, _): (String, i32, i32, HashMap<String, OwnedVariant>) = last.body().deserialize().unwrap();
    assert_eq!((state, code), (0, 1_002_053));
}

#[tokio::test]
async fn a_bound_room_ends_with_its_caller() {
    let bus = PrivateBus::start();
    let device = Device::start(&bus, SIMULATED).await;
    let caller = bus.connect().await;
    let engine = Proxy::new(&caller, NAME, ROOT, "org.zegod1.Engine").await.unwrap();
    let mut options = nowhere(&token("user1", "lobby"));
    options.insert("bind_to_caller", true.into());
    let _: (OwnedObjectPath, i32) = engine.call("LoginRoom", &("lobby", "user1", "", options)).await.unwrap();
    assert_eq!(device.objects("Room").await.len(), 1);
    drop(engine);
    caller.close().await.unwrap();
    for _ in 0..100 {
        if device.objects("Room").await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the room is still there");
}

#[tokio::test]
async fn a_preview_needs_no_room() {
    let bus = PrivateBus::start();
    let device = Device::start(&bus, SIMULATED).await;
    let format = Options::from([("format", "YU12".into())]);
    let view: u64 = device.call("CreateTextureRenderer", &(320_u32, 240_u32, format)).await.unwrap();
    let path = format!("/org/zegod1/view/{view}");
    let canvas = Options::from([("view", view.into()), ("mirror", false.into())]);
    let () = device.call("StartPreview", &canvas).await.unwrap();
    assert_eq!(device.text(&path, "View", "Source").await, "preview");
    let shown = async || u64::try_from(device.get(&path, "View", "FramesShown").await).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let frames = shown().await;
    assert!((10..=40).contains(&frames), "{frames} frames in a second of 30 pictures");
    let (memory, wakeup, layout): (OwnedFd, OwnedFd, HashMap<String, OwnedVariant>) =
        device.call("OpenTexture", &view).await.unwrap();
    assert_eq!(u32::try_from(layout["width"].try_clone().unwrap()).unwrap(), 320);
    drop((memory, wakeup));
    let mut states = Vec::new();
    for camera in device.objects("Device").await {
        if device.text(camera.as_str(), "Device", "DeviceID").await == "pattern" {
            states.push(device.text(camera.as_str(), "Device", "State").await);
        }
    }
    assert_eq!(states, ["in_use"]);

    // The same camera in another view; the first one is free.
    let null: u64 = device.call("CreatePlatformView", &Options::from([("kind", "null".into())])).await.unwrap();
    let () = device.call("StartPreview", &Options::from([("view", null.into())])).await.unwrap();
    assert_eq!(device.text(&path, "View", "Source").await, "");
    let (name, _, _) = device.refused("DestroyPlatformView", &view).await;
    assert_eq!(name, "org.zegod1.Error.ViewNotFound", "a texture is no platform view");

    let () = device.call("StopPreview", &0_i32).await.unwrap();
    let () = device.call("StopPreview", &0_i32).await.unwrap();
    let frames = shown().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(shown().await, frames, "nothing is shown after the preview");
    let () = device.call("DestroyEngine", &()).await.unwrap();
    assert!(device.objects("View").await.is_empty());
    let (_, code, _) = device.refused("StopPreview", &4_i32).await;
    assert_eq!(code, 1_000_017);
}

#[tokio::test]
async fn a_camera_that_is_not_there_is_named() {
    let bus = PrivateBus::start();
    let missing = SIMULATED.replace("\"pattern\"\nwidth", "\"v4l2:no-such-camera\"\nwidth");
    let device = Device::start(&bus, &missing).await;
    let (name, code, message) = device.refused("StartPreview", &none()).await;
    assert_eq!((name.as_str(), code), ("org.zegod1.Error.DeviceNotFound", 1_006_002));
    assert!(message.contains("no-such-camera"), "{message}");
    // Another one can be chosen, and then it works.
    for path in device.objects("Device").await {
        if device.text(path.as_str(), "Device", "DeviceID").await == "pattern:2" {
            let () = device.call("UseDevice", &(&path, 0_i32)).await.unwrap();
        }
    }
    let () = device.call("StartPreview", &none()).await.unwrap();
    let wrong = zbus::ObjectPath::try_from("/org/zegod1/device/4711").unwrap();
    let (name, _, _) = device.refused("UseDevice", &(&wrong, 0_i32)).await;
    assert_eq!(name, "org.zegod1.Error.DeviceNotFound");
}

#[tokio::test]
async fn devices_have_no_volume_of_their_own_yet_and_say_so() {
    let bus = PrivateBus::start();
    let device = Device::start(&bus, SIMULATED).await;
    let path = device.objects("Device").await.remove(0);
    let proxy = Proxy::new(&device.connection, NAME, &path, "org.freedesktop.DBus.Properties").await.unwrap();
    let arguments = ("org.zegod1.Device", "Volume", Variant::from(50_i32));
    let (name, code, _) = refusal(proxy.call_method("Set", &arguments).await.map(drop));
    assert_eq!((name.as_str(), code), ("org.zegod1.Error.Unsupported", 1_000_006));
}

#[tokio::test]
async fn standby_sleeps_and_is_small() {
    let bus = PrivateBus::start();
    let device = Device::start(&bus, SIMULATED).await;
    let () = device.call("CreateEngine", &none()).await.unwrap();
    // A preview before it: what it started must be gone.
    let () = device.call("StartPreview", &none()).await.unwrap();
    let () = device.call("StopPreview", &0_i32).await.unwrap();
    // Threads that opened and closed the camera wait a while for more work.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let before = device.wakeups();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(device.wakeups(), before, "something wakes up");
    assert!(device.memory_kb() <= 15 * 1024, "{} kB", device.memory_kb());
}

#[tokio::test]
async fn it_ends_when_asked() {
    for signal in ["TERM", "INT"] {
        let bus = PrivateBus::start();
        let mut device = Device::start(&bus, SIMULATED).await;
        let () = device.call("StartPreview", &none()).await.unwrap();
        let arguments = ("lobby", "user1", "", nowhere(&token("user1", "lobby")));
        let _: (OwnedObjectPath, i32) = device.call("LoginRoom", &arguments).await.unwrap();
        let (code, time) = device.process.end(signal);
        assert_eq!(code, Some(0));
        assert!(time < Duration::from_secs(2), "{time:?}");
    }
}

#[tokio::test]
async fn it_says_why_it_does_not_start() {
    let bus = PrivateBus::start();
    let _first = Device::start(&bus, SIMULATED).await;
    let file = bus.file("second.toml", SIMULATED);
    let typo = bus.file("typo.toml", "[camera]\nsorce = \"pattern\"\n");
    for (mut command, status, words) in [
        (zegod(&file, &bus.address), 1, vec!["org.zegod1"]),
        (zegod(&file, "unix:path=/nowhere/bus"), 1, vec!["/nowhere/bus"]),
        (zegod(&typo, &bus.address), 1, vec!["typo.toml:2", "sorce", "did you mean `source`?"]),
        (zegod(std::path::Path::new("/no/such.toml"), &bus.address), 1, vec!["/no/such.toml"]),
        (zegod(&file, "nonsense"), 2, vec!["nonsense", "session"]),
    ] {
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{text}");
        for word in words {
            assert!(text.contains(word), "{word} is not in {text}");
        }
    }
}
