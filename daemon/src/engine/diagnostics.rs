//! What a bug report needs, without secrets; and how the network is reached.

use std::fs;
use std::path::Path;

use zego_protocol::state::NetworkMode;

use super::core::Core;
use super::error::EngineError;
use super::handle::Engine;

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
    let routes = ["/proc/net/route", "/proc/net/ipv6_route"].map(|path| fs::read_to_string(path).unwrap_or_default());
    mode_of(&routes[0], &routes[1], Path::new("/sys/class/net"))
}

fn mode_of(ipv4: &str, ipv6: &str, interfaces: &Path) -> NetworkMode {
    let default_ipv4 = ipv4.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let interface = fields.next()?;
        (fields.next()? == "00000000").then_some(interface)
    });
    let default_ipv6 = ipv6.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default = fields.first()?.bytes().all(|digit| digit == b'0') && *fields.get(1)? == "00";
        let interface = *fields.last()?;
        (is_default && interface != "lo").then_some(interface)
    });
    let Some(interface) = default_ipv4.or(default_ipv6) else { return NetworkMode::Offline };
    let folder = interfaces.join(interface);
    if folder.join("wireless").exists() || folder.join("phy80211").exists() {
        return NetworkMode::Wifi;
    }
    let event = fs::read_to_string(folder.join("uevent")).unwrap_or_default();
    if event.contains("DEVTYPE=wwan") || interface.starts_with("ppp") {
        return NetworkMode::Cellular;
    }
    // 1 is ARPHRD_ETHER of if_arp.h.
    match fs::read_to_string(folder.join("type")).unwrap_or_default().trim() {
        "1" => NetworkMode::Ethernet,
        _ => NetworkMode::Unknown,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_says_how_the_network_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        for (interface, file, text) in
            [("eth0", "type", "1\n"), ("wlan0", "wireless/x", ""), ("wwan0", "uevent", "DEVTYPE=wwan\n")]
        {
            let path = folder.path().join(interface).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let head = "Iface\tDestination\tGateway\n";
        let mode = |line: &str| mode_of(&format!("{head}{line}"), "", folder.path());
        assert_eq!(mode(""), NetworkMode::Offline);
        assert_eq!(mode("eth0\t0000A8C0\t00000000\n"), NetworkMode::Offline, "a network is not the internet");
        assert_eq!(mode("eth0\t0000A8C0\t0\neth0\t00000000\t0101A8C0\n"), NetworkMode::Ethernet);
        assert_eq!(mode("wlan0\t00000000\t0101A8C0\n"), NetworkMode::Wifi);
        assert_eq!(mode("wwan0\t00000000\t0101A8C0\n"), NetworkMode::Cellular);
        assert_eq!(mode("tun0\t00000000\t0101A8C0\n"), NetworkMode::Unknown);
        let zero = "0".repeat(32);
        let route = format!("{zero} 00 {zero} 00 fe80 00000400 0 0 00000003 eth0\n");
        assert_eq!(mode_of(head, &route, folder.path()), NetworkMode::Ethernet);
    }
}
