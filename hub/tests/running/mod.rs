//! The real program, started for a test.
#![allow(dead_code)] // Every test file uses its own part.

pub mod client;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use zego_protocol::token::{App, Claims, TokenRequest, generate_livekit, generate_token04, sign_claims, verify_any};

/// AppID of the tests.
pub const APP: &str = "1234567890";
/// Its secret.
pub const SECRET: &str = "fa94dd0f974cf2e293728a526b028271";

/// A running hub on loopback, on ports of its own.
pub struct Hub {
    child: Child,
    /// `IP:PORT` of HTTP.
    pub address: String,
    /// Its directory.
    pub directory: TempDir,
}

impl Hub {
    /// Starts one with the tests' AppID and `more` lines of configuration.
    pub fn start(more: &str) -> Hub {
        let apps = format!("[[app]]\nid = {APP}\nsecret = \"{SECRET}\"\n[log]\nlevel = \"info\"\n");
        Hub::with_configuration(&format!("listen = \"127.0.0.1:0\"\nudp_port = 0\n{more}\n{apps}"))
    }

    /// Starts one with a whole configuration; it must listen on a port that is free.
    pub fn with_configuration(configuration: &str) -> Hub {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("zegohub.toml");
        std::fs::write(&file, configuration).expect("written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_zegohub"))
            .arg("--config")
            .arg(&file)
            .env("ZEGOHUB_STATE_DIRECTORY", directory.path().join("state"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = loop {
            let line = lines.next().expect("it says when it is ready").expect("text");
            if let Some((_, address)) = line.split_once("ready on http://") {
                break address.to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(|line| eprintln!("hub: {}", line.unwrap_or_default())));
        Hub { child, address, directory }
    }

    /// Sends SIGTERM and returns how long it took to end, and whether that was a success.
    pub fn terminate(&mut self) -> (Duration, bool) {
        let begin = Instant::now();
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
        let status = self.child.wait().expect("it ends");
        (begin.elapsed(), status.success())
    }

    /// Status and body of a GET request, with the header line `header` if it is not empty.
    pub fn get(&self, path: &str, header: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        write!(stream, "GET {path} HTTP/1.1\r\nHost: hub\r\n{header}Connection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        let open = head.to_ascii_lowercase().contains("access-control-allow-origin: *");
        assert_eq!(open, path.starts_with("/rtc"), "a page from elsewhere may ask: {head}");
        (status, body.to_owned())
    }
}

impl Hub {
    /// Calls a method of the RoomService with a body of JSON; the status.
    pub fn call(&self, method: &str, token: &str, body: &str) -> u16 {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let head = format!("POST /twirp/livekit.RoomService/{method} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n");
        let about = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        write!(stream, "{head}{about}Authorization: Bearer {token}\r\n\r\n{body}").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("text");
        answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status")
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // Only fails when it ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A LiveKit token for `user` in `room`, made `age` seconds ago, good for `ttl` seconds.
pub fn livekit_token(user: &str, room: &str, age: u64, ttl: u64) -> String {
    let mut request = TokenRequest::new(APP, SECRET, user);
    request.room_id = Some(room.to_owned());
    request.ttl_s = ttl;
    generate_livekit(&request, now() - age).expect("a token")
}

/// A LiveKit token for `user` in `room` that grants something else than usual.
pub fn granting(user: &str, room: &str, change: impl FnOnce(&mut Claims)) -> String {
    let app = App::new(APP, SECRET);
    let usual = livekit_token(user, room, 0, 600);
    let mut claims = verify_any(&usual, std::slice::from_ref(&app), now()).expect("a good token");
    change(&mut claims);
    sign_claims(&claims, &app)
}

/// A token04 for `user`.
pub fn token04(user: &str, change: impl FnOnce(&mut TokenRequest)) -> String {
    let mut request = TokenRequest::new(APP, SECRET, user);
    change(&mut request);
    generate_token04(&request, now()).expect("a token")
}

/// For use in a query.
pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
