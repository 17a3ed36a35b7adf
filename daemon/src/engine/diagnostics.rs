//! What a bug report needs, without secrets; and how the network is reached.

use std::fs;

use zego_protocol::state::NetworkMode;

use super::core::Core;
use super::error::EngineError;
use super::handle::Engine;
use crate::network::Network;

/// One value of GetDiagnostics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Diagnostic {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// Several texts.
    List(Vec<String>),
}

impl Core {
    fn diagnostics(&self) -> Vec<(&'static str, Diagnostic)> {
        use Diagnostic::{List, Number, Text};
        let count = |count: usize| Number(count as u64);
        let config = &self.config;
        let channels: Vec<String> = self
            .channels
            .iter()
            .map(|(number, entry)| {
                let stream = entry.publishing.as_ref().map_or("nothing", |published| published.stream_id.as_str());
                format!("{number}: publishes {stream}, {} preview", if entry.previewing { "with" } else { "without" })
            })
            .collect();
        vec![
            ("version", Text(env!("CARGO_PKG_VERSION").to_owned())),
            ("state", Text(if self.info.created { "created" } else { "destroyed" }.to_owned())),
            ("app_id", Number(u64::from(self.info.app_id))),
            ("scenario", Text(self.scenario.to_string())),
            ("room_mode", Text(if self.several_rooms { "several" } else { "single" }.to_owned())),
            ("rooms", List(self.rooms.keys().cloned().collect())),
            ("channels", List(channels)),
            ("players", List(self.players.keys().cloned().collect())),
            ("views", count(self.views.list().len())),
            ("server", Text(config.room.server.clone())),
            ("authority", Text(config.room.authority.display().to_string())),
            ("fingerprint", Text(config.room.fingerprint.map_or_else(String::new, |pin| pin.to_string()))),
            ("camera", Text(config.camera.source.to_string())),
            ("microphone", Text(config.microphone.source.to_string())),
            ("speaker", Text(config.speaker.sink.to_string())),
            ("network_mode", Text(network_mode().word().to_owned())),
            ("kernel", Text(first_line("/proc/sys/kernel/osrelease"))),
            ("system", Text(os_name())),
            ("memory_kb", Number(process_status("VmRSS:"))),
            ("memory_peak_kb", Number(process_status("VmHWM:"))),
            ("threads", Number(process_status("Threads:"))),
            ("descriptors", count(fs::read_dir("/proc/self/fd").map_or(0, Iterator::count))),
        ]
    }
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default()
}

fn os_name() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or_default().trim_matches('"').to_owned()
}

/// A number of `/proc/self/status`, 0 if it is not there.
fn process_status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// How the network is reached: by the interface of the default route.
#[must_use]
pub fn network_mode() -> NetworkMode {
    Network::now().mode()
}

impl Engine {
    /// GetDiagnostics.
    ///
    /// # Errors
    /// None but an engine that has ended.
    pub async fn diagnostics(&self) -> Result<Vec<(&'static str, Diagnostic)>, EngineError> {
        self.with(|core| Ok(core.diagnostics())).await
    }
}
