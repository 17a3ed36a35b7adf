//! Who is let in, who is not and why; starting and ending.

mod running;

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use running::{APP, Hub, SECRET, escape, livekit_token, token04};

#[test]
fn good_tokens_of_both_kinds_are_accepted() {
    let hub = Hub::start("");
    let livekit = livekit_token("door", "lobby", 0, 600);
    assert_eq!(hub.get("/rtc/validate", &format!("Authorization: Bearer {livekit}")), (200, "success".into()));
    assert_eq!(hub.get(&format!("/rtc/validate?access_token={livekit}"), "").0, 200);
    let zego = escape(&token04("door", |_| {}));
    let path = format!("/rtc/validate?access_token={zego}&zego_room=lobby&zego_user=door&zego_name=T%C3%BCr");
    assert_eq!(hub.get(&path, ""), (200, "success".into()));
}

#[test]
fn every_refusal_is_a_sentence_that_ends_with_its_code() {
    let hub = Hub::start("");
    let zego = |token: &str, room: &str, user: &str| {
        format!("/rtc/validate?access_token={}&zego_room={}&zego_user={}", escape(token), escape(room), escape(user))
    };
    let good = token04("door", |_| {});
    let bound = token04("door", |request| request.room_id = Some("lobby".into()));
    let foreign = token04("door", |request| request.secret = "0123456789abcdef0123456789abcdef".into());
    let livekit = livekit_token("door", "lobby", 0, 600);
    let expired = livekit_token("door", "lobby", 4_000, 600);
    let none = livekit.replace('.', "");
    let long = "x".repeat(128);
    let cases = [
        ("/rtc/validate".to_owned(), 401, 1_002_067),
        ("/rtc/validate?access_token=rubbish".into(), 401, 1_002_079),
        (format!("/rtc/validate?access_token={none}"), 401, 1_002_079),
        (format!("/rtc/validate?access_token={expired}"), 401, 1_002_078),
        (format!("/rtc/validate?access_token={livekit}&zego_room=garage"), 403, 1_002_033),
        (format!("/rtc/validate?access_token={livekit}&zego_user=desk"), 403, 1_002_077),
        (zego(&good[..good.len() - 3], "lobby", "door"), 401, 1_002_075),
        (zego(&foreign, "lobby", "door"), 401, 1_002_033),
        (zego(&good, "lobby", "desk"), 403, 1_002_077),
        (zego(&bound, "garage", "door"), 403, 1_002_033),
        (zego(&good, "", "door"), 400, 1_002_011),
        (zego(&good, "lobby", ""), 400, 1_002_005),
        (zego(&good, "lob/by", "door"), 400, 1_002_012),
        (zego(&good, &long, "door"), 400, 1_002_013),
        (zego(&good, "lobby", "do or"), 400, 1_002_006),
        (format!("/rtc/v1/validate?access_token={livekit}"), 400, 1_000_017),
        (format!("/rtc?access_token={livekit}"), 400, 1_000_017),
    ];
    for (path, status, code) in cases {
        let (got, body) = hub.get(&path, "");
        assert_eq!(got, status, "{path}: {body}");
        assert!(body.ends_with(&format!(" [{code}]")), "{path}: {body}");
        assert!(body.len() < 300 && !body.contains('\n'), "one sentence: {body}");
        assert!(!body.contains(&good[5..25]), "no part of a token: {body}");
    }
}

#[test]
fn the_page_and_health_are_served() {
    let hub = Hub::start("");
    assert_eq!(hub.get("/healthz", ""), (200, "ok\n".into()));
    let (status, page) = hub.get("/?app_id=1&room=lobby", "");
    assert_eq!(status, 200);
    assert!(page.to_lowercase().contains("<!doctype html>"), "{page}");
    assert_eq!(hub.get("/nothing/here", "").0, 404);
}

#[test]
fn without_configuration_it_makes_an_app_and_keeps_it() {
    let configuration = "listen = \"127.0.0.1:0\"\nudp_port = 0\n";
    let hub = Hub::with_configuration(configuration);
    let file = hub.directory.path().join("state/app.toml");
    let kept = std::fs::read_to_string(&file).expect("kept");
    assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    let value = |key: &str| {
        let line = kept.lines().find_map(|line| line.strip_prefix(key)).expect(key);
        line.trim_start_matches(" = ").trim_matches('"').to_owned()
    };
    let mut request = zego_protocol::token::TokenRequest::new(value("id"), value("secret"), "door");
    request.room_id = Some("lobby".into());
    let token = zego_protocol::token::generate_livekit(&request, running::now()).expect("a token");
    assert_eq!(hub.get(&format!("/rtc/validate?access_token={token}"), "").0, 200);
    let other = livekit_token("door", "lobby", 0, 600);
    assert_eq!(hub.get(&format!("/rtc/validate?access_token={other}"), "").0, 401);
}

#[test]
fn it_ends_cleanly_when_told_to() {
    let mut hub = Hub::start("");
    let (time, success) = hub.terminate();
    assert!(success && time < Duration::from_secs(2), "{time:?}");
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let directory = tempfile::tempdir().expect("a directory");
    let app = format!("[[app]]\nid = {APP}\nsecret = \"{SECRET}\"\n");
    let tcp_port = tcp.local_addr().expect("bound").port();
    let udp_port = udp.local_addr().expect("bound").port();
    let cases = [
        (format!("listen = \"127.0.0.1:{tcp_port}\"\nudp_port = 0\n{app}"), format!("127.0.0.1:{tcp_port}")),
        (format!("listen = \"127.0.0.1:0\"\nudp_port = {udp_port}\n{app}"), format!("127.0.0.1:{udp_port}")),
        (format!("lissen = \"127.0.0.1:0\"\n{app}"), "zegohub.toml:1: lissen".into()),
    ];
    for (configuration, expected) in cases {
        let file = directory.path().join("zegohub.toml");
        std::fs::write(&file, &configuration).expect("written");
        let mut hub = Command::new(env!("CARGO_BIN_EXE_zegohub"));
        let output = hub.arg("--config").arg(&file).output().expect("started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&expected), "{expected}: {said}");
    }
}
