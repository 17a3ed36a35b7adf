//! `doctor`: why does my device not work?

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use zego_protocol::discovery::{AUTO, browse};
use zego_protocol::trust::Trust;

use crate::arguments::{BusChoice, Doctor};
use crate::bus::{self, Daemon, Objects};
use crate::doctor::server::{self, Visit};
use crate::doctor::{Finding, Verdict, clock, devices, discovery, is_healthy, lines, token};
use crate::failure::Failure;
use crate::output::Output;
use crate::value;

/// How long hubs are looked for.
const FIND_TIME: Duration = Duration::from_secs(2);

/// What the daemon says of itself.
struct Seen {
    engine: Map<String, Value>,
    diagnostics: Map<String, Value>,
    objects: Objects,
}

/// Looks for the usual troubles and prints what it found.
pub async fn examine(choice: &BusChoice, options: Doctor, output: Output) -> Result<(), Failure> {
    let visit = Visit {
        token: options.token.or_else(|| std::env::var("ZEGO_TOKEN").ok()).unwrap_or_default(),
        user: options.user.unwrap_or_default(),
        room: options.room.unwrap_or_default(),
    };
    let mut findings = Vec::new();
    let seen = ask_daemon(choice, &mut findings).await;
    match &seen {
        Some(seen) => {
            findings.extend(devices::check(&seen.objects, &seen.diagnostics));
            if value::flag(&seen.engine, "call_active") {
                let message = "A telephone call has the microphone and the speaker.";
                findings.push(Finding::warning("call", message, "wait for its end: the sound comes back by itself"));
            }
        }
        None => findings.push(Finding::skipped("devices", "Only a running zegod knows its devices.", "")),
    }
    let answer = ask_server(options.server, seen.as_ref(), &visit, &mut findings).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    findings.push(clock::check(now, answer.as_ref().and_then(|answer| answer.time)));
    let mut whose = token::check(&visit, now);
    if matches!(whose.verdict, Verdict::Fine | Verdict::Warning)
        && let Some(refused) = answer.as_ref().and_then(server::refusal)
    {
        whose = refused;
    }
    findings.push(whose);
    if let Some(seen) = &seen {
        findings.extend(token::check_rooms(&seen.objects, now));
    }
    let healthy = is_healthy(&findings);
    let object = json!({"healthy": healthy, "findings": findings.iter().map(Finding::object).collect::<Vec<_>>()});
    output.answer(&object, || lines(&findings))?;
    if healthy { Ok(()) } else { Err(Failure::Told) }
}

/// Asks the daemon for everything; what keeps it from answering is found.
async fn ask_daemon(choice: &BusChoice, findings: &mut Vec<Finding>) -> Option<Seen> {
    if let Err(failure) = bus::connect(choice).await {
        let advice = "check --bus, and whether the bus is there: `systemctl status dbus`";
        findings.push(Finding::problem("bus", sentence(&failure), advice));
        return None;
    }
    findings.push(Finding::fine("bus", "The bus can be reached."));
    let asked = async {
        let daemon = Daemon::on(choice).await?;
        let engine = daemon.engine_properties().await?;
        let diagnostics = value::properties(&daemon.engine.get_diagnostics().await?);
        Ok(Seen { engine, diagnostics, objects: daemon.objects().await? })
    };
    match asked.await {
        Ok(seen) => {
            findings.push(version(&value::text(&seen.engine, "version")));
            Some(seen)
        }
        Err(failure) => {
            findings.push(no_daemon(&failure));
            None
        }
    }
}

fn version(daemon: &str) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    if daemon == own {
        return Finding::fine("daemon", format!("zegod {daemon} is running."));
    }
    let message = format!("zegod {daemon} is running, and this is zegoctl {own}.");
    Finding::warning("daemon", message, "restart zegod after an upgrade: `systemctl restart zegod`")
}

fn no_daemon(failure: &Failure) -> Finding {
    match failure {
        Failure::Refused { name, .. } if name == "org.freedesktop.DBus.Error.AccessDenied" => Finding::problem(
            "permission",
            "You may not use zegod on this bus.",
            "let root add you to group zegod (`adduser NAME zegod`), and log in again",
        ),
        Failure::NoDaemon(_) => Finding::problem(
            "daemon",
            sentence(failure),
            "start it: `systemctl start zegod`; why it ended is in `journalctl -u zegod`",
        ),
        _ => Finding::problem("daemon", sentence(failure), "read its journal: `journalctl -u zegod`"),
    }
}

/// Looks at the server that was named, else at those of the rooms, else at the configuration's.
async fn ask_server(
    named: Option<String>,
    seen: Option<&Seen>,
    visit: &Visit,
    findings: &mut Vec<Finding>,
) -> Option<server::Answer> {
    let room = seen.and_then(|seen| seen.objects.of("Room").next().map(|room| room.text("server")));
    let configured = seen.map(|seen| value::text(&seen.diagnostics, "server"));
    let url = named.or(room.filter(|url| !url.is_empty())).or(configured).unwrap_or_default();
    if url.is_empty() {
        let advice = "give --server, or set [room] server in /etc/zegod/zegod.toml";
        findings.push(Finding::skipped("server", "No room server is known.", advice));
        return None;
    }
    let (url, addresses) = if url == AUTO {
        let hubs = browse::hubs(FIND_TIME, |_| false).await.unwrap_or_default();
        let app_id = seen.map(|seen| value::text(&seen.diagnostics, "app_id")).unwrap_or_default();
        let (finding, place) = discovery::check(&hubs, &app_id);
        findings.push(finding);
        let place = place?;
        (place.url, place.addresses)
    } else {
        (url, Vec::new())
    };
    let (finding, answer) = server::look(&url, addresses, visit, &trust(seen)).await;
    findings.push(finding);
    answer
}

/// Whose certificates zegod believes; the system's authorities' when it is not there to be asked.
fn trust(seen: Option<&Seen>) -> Trust {
    let told = |key| seen.map(|seen| value::text(&seen.diagnostics, key)).filter(|text| !text.is_empty());
    Trust {
        authority: told("authority").map(PathBuf::from),
        fingerprint: told("fingerprint").and_then(|pin| pin.parse().ok()),
    }
}

/// What a failure says, as a sentence of its own.
fn sentence(failure: &Failure) -> String {
    let text = match failure {
        Failure::Refused { message, .. } | Failure::NoDaemon(message) | Failure::Usage(message) => message.as_str(),
        Failure::ReaderGone | Failure::Told => "",
    };
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
