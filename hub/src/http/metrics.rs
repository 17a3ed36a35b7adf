//! `/metrics`, what Prometheus reads (text format 0.0.4), and `/healthz`, what supervisors ask.
//!
//! A scrape costs one question to the task of the rooms and some reads of counters; the media thread takes no part in it. How many
//! lines there are does not depend on how many rooms or people there are.

use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::listener::Caller;
use super::process::Process;
use super::tally::Refused;
use super::{Door, bearer};
use crate::core::{Errand, Input};
use crate::rooms::{Census, JOIN_BOUNDS_MS};
use crate::sfu::Counters;
use crate::webhooks::Totals;

/// A media thread that does not answer for so long is not well.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);
/// A reverse proxy on the same machine adds one of these: whoever asks is somewhere else.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// What is read, and who may read it.
#[derive(Debug)]
pub struct Watched {
    media: Arc<Counters>,
    webhooks: Arc<Totals>,
    refused: Arc<Refused>,
    token: Option<String>,
    started_s: f64,
}

impl Watched {
    /// The counters, and the token that lets read them; without one, whoever is on this machine may.
    pub fn new(media: Arc<Counters>, webhooks: Arc<Totals>, refused: Arc<Refused>, token: Option<String>) -> Watched {
        let started_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        Watched { media, webhooks, refused, token, started_s }
    }

    fn admits(&self, address: Option<SocketAddr>, headers: &HeaderMap) -> bool {
        match &self.token {
            Some(token) => bearer(headers).is_some_and(|shown| same(shown.as_bytes(), token.as_bytes())),
            None => {
                let local = address.is_some_and(|address| address.ip().to_canonical().is_loopback());
                local && !FORWARDED.iter().any(|name| headers.contains_key(*name))
            }
        }
    }
}

/// Compares in a time that does not tell where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

/// `GET /healthz`: 200 when the rooms and the media thread answer.
pub(super) async fn health(door: State<Door>) -> Response {
    let (answer, answered) = oneshot::channel();
    let asked = async {
        door.inbox.send(Input::Probe(answer)).await.ok()?;
        answered.await.ok()
    };
    match tokio::time::timeout(HEALTH_TIMEOUT, asked).await {
        Ok(Some(())) => "ok\n".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "The media thread does not answer\n").into_response(),
    }
}

/// `GET /metrics`.
pub(super) async fn serve(
    door: State<Door>,
    address: Option<Extension<ConnectInfo<Caller>>>,
    headers: HeaderMap,
) -> Response {
    if !door.watched.admits(address.map(|Extension(ConnectInfo(caller))| caller.address), &headers) {
        let why = "Metrics are for this machine, or for whoever shows the token of [metrics] in zegohub.toml\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let (errand, answered) = Errand::new(|rooms, _| rooms.census());
    if door.inbox.send(Input::Errand(errand)).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let Ok(census) = answered.await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let page = page(&census, &door.watched, &Process::now());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}

/// One metric after another, in the text format.
#[derive(Default)]
struct Page(String);

impl Page {
    fn metric(&mut self, name: &str, kind: &str, help: &str, values: &[(&str, &dyn Display)]) {
        self.head(name, kind, help);
        for (labels, value) in values {
            self.line(name, labels, value);
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: &dyn Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }
}

fn page(census: &Census, watched: &Watched, process: &Process) -> String {
    let mut page = Page::default();
    let tally = &census.tally;
    let (received, sent) = (&watched.media.received, &watched.media.sent);
    let webhook = |total: &std::sync::atomic::AtomicU64| total.load(Ordering::Relaxed);
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    page.metric("zegohub_build_info", "gauge", "The version that runs.", &[(&version, &1)]);
    page.metric("zegohub_rooms", "gauge", "Rooms.", &[("", &census.rooms)]);
    page.metric("zegohub_participants", "gauge", "Participants in all rooms.", &[("", &census.participants)]);
    let tracks: [(&str, &dyn Display); 2] =
        [("kind=\"audio\"", &census.audio_tracks), ("kind=\"video\"", &census.video_tracks)];
    page.metric("zegohub_tracks", "gauge", "Published tracks.", &tracks);
    page.metric("zegohub_joins_total", "counter", "Sessions that began.", &[("", &tally.joined)]);
    let ends: [(&str, &dyn Display); 2] = [("connected=\"yes\"", &tally.left), ("connected=\"no\"", &tally.aborted)];
    page.metric("zegohub_leaves_total", "counter", "Sessions that ended, by whether their media was ever up.", &ends);
    join_durations(&mut page, census);
    for (name, help, of) in [
        ("datagrams", "UDP datagrams, of whatever is in them.", [&received.datagrams, &sent.datagrams]),
        ("bytes", "Bytes in UDP datagrams.", [&received.bytes, &sent.bytes]),
        (
            "rtp_packets",
            "RTP packets with their retransmissions, counted every 5 s.",
            [&received.packets, &sent.packets],
        ),
        ("rtp_lost", "RTP packets that their receiver counts as lost.", [&received.lost, &sent.lost]),
        ("nacks", "Requests for retransmission of what goes in this direction.", [&received.nacks, &sent.nacks]),
        ("plis", "Requests for key frames of what goes in this direction.", [&received.plis, &sent.plis]),
    ] {
        let [incoming, outgoing] = of.map(|counter| counter.get());
        let values: [(&str, &dyn Display); 2] = [("direction=\"in\"", &incoming), ("direction=\"out\"", &outgoing)];
        page.metric(&format!("zegohub_{name}_total"), "counter", help, &values);
    }
    let (delivered, failed, dropped) =
        (webhook(&watched.webhooks.delivered), webhook(&watched.webhooks.failed), webhook(&watched.webhooks.dropped));
    let events: [(&str, &dyn Display); 3] =
        [("outcome=\"delivered\"", &delivered), ("outcome=\"failed\"", &failed), ("outcome=\"dropped\"", &dropped)];
    page.metric("zegohub_webhook_events_total", "counter", "Webhook events, by what became of them.", &events);
    limits(&mut page, census, watched);
    page.metric("process_resident_memory_bytes", "gauge", "Memory in use.", &[("", &process.resident_bytes)]);
    page.metric("process_open_fds", "gauge", "Open descriptors.", &[("", &process.open_fds)]);
    page.metric("process_max_fds", "gauge", "Most descriptors that may be open.", &[("", &process.max_fds)]);
    page.metric("process_cpu_seconds_total", "counter", "Processor time.", &[("", &process.cpu_s)]);
    page.metric("process_start_time_seconds", "gauge", "When it started, Unix time.", &[("", &watched.started_s)]);
    page.0
}

/// What met a limit, and which.
fn limits(page: &mut Page, census: &Census, watched: &Watched) {
    let (refused, limited) = (&watched.refused, &census.tally.limited);
    let met = [
        ("connections", refused.connections.get()),
        ("requests", refused.requests.get()),
        ("joins", refused.joins.get()),
        ("messages", refused.messages.get()),
        ("tracks", limited.tracks),
        ("texts", limited.texts),
        ("descriptions", limited.descriptions),
        ("slow_readers", limited.slow_readers),
        ("data", watched.media.data_dropped.get()),
    ];
    let labels = met.map(|(limit, _)| format!("limit=\"{limit}\""));
    let values: Vec<(&str, &dyn Display)> =
        labels.iter().zip(&met).map(|(label, (_, count))| (label.as_str(), count as &dyn Display)).collect();
    page.metric("zegohub_limited_total", "counter", "What was refused or dropped because it was too much.", &values);
}

fn join_durations(page: &mut Page, census: &Census) {
    let name = "zegohub_join_duration_seconds";
    page.head(name, "histogram", "From joining until media is up.");
    let mut below = 0;
    for (class, many) in census.tally.join_classes.iter().enumerate() {
        below += many;
        let bound = JOIN_BOUNDS_MS.get(class).map_or("+Inf".to_owned(), |bound| (*bound as f64 / 1000.0).to_string());
        page.line(&format!("{name}_bucket"), &format!("le=\"{bound}\""), &below);
    }
    page.line(&format!("{name}_sum"), "", &census.tally.join_time.as_secs_f64());
    page.line(&format!("{name}_count"), "", &below);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Gate;
    use crate::limits::Limits;

    fn watched(token: Option<&str>) -> Watched {
        Watched::new(Default::default(), Default::default(), Default::default(), token.map(str::to_owned))
    }

    #[test]
    fn only_this_machine_or_the_token_reads_the_metrics() {
        let mut plain = HeaderMap::new();
        let mut proxied = HeaderMap::new();
        proxied.insert("x-forwarded-for", "192.0.2.1".parse().expect("a value"));
        let address = |text: &str| Some(text.parse().expect("an address"));
        for (from, headers, expected) in [
            (address("127.0.0.1:5"), &plain, true),
            (address("[::1]:5"), &plain, true),
            (address("[::ffff:127.0.0.1]:5"), &plain, true),
            (address("192.0.2.1:5"), &plain, false),
            (None, &plain, false),
            (address("127.0.0.1:5"), &proxied, false),
        ] {
            assert_eq!(watched(None).admits(from, headers), expected, "{from:?}");
        }
        assert!(!watched(Some("s3")).admits(address("127.0.0.1:5"), &plain), "the token goes for everybody");
        for (shown, expected) in [("Bearer s3", true), ("Bearer s4", false), ("Bearer s33", false), ("s3", false)] {
            plain.insert("authorization", shown.parse().expect("a value"));
            assert_eq!(watched(Some("s3")).admits(address("192.0.2.1:5"), &plain), expected, "{shown}");
        }
    }

    #[test]
    fn join_durations_add_up() {
        let mut census = Census::default();
        census.tally.join_classes = [1, 0, 2, 0, 0, 0, 0, 0, 0, 3];
        let text = page(&census, &watched(None), &Process::default());
        for line in ["_bucket{le=\"0.05\"} 1", "_bucket{le=\"0.2\"} 3", "_bucket{le=\"+Inf\"} 6", "_count 6"] {
            assert!(text.contains(&format!("zegohub_join_duration_seconds{line}\n")), "{line} in {text}");
        }
    }

    #[tokio::test]
    async fn a_media_thread_that_does_not_answer_is_not_well() {
        for (answers, expected) in [(true, StatusCode::OK), (false, StatusCode::SERVICE_UNAVAILABLE)] {
            let (inbox, mut inputs) = tokio::sync::mpsc::channel(1);
            let core = tokio::spawn(async move {
                let Some(Input::Probe(answer)) = inputs.recv().await else { panic!("no probe") };
                if answers {
                    let _ = answer.send(());
                } else {
                    std::future::pending::<()>().await;
                    drop(answer);
                }
            });
            let door = Door {
                apps: Default::default(),
                inbox,
                connections: Default::default(),
                watched: Arc::new(watched(None)),
                sessions: Default::default(),
                gate: Arc::new(Gate::new(&Limits::default(), 1)),
            };
            assert_eq!(health(State(door)).await.status(), expected);
            core.abort();
        }
    }
}
