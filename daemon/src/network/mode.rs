//! Which interface leads out, and of which kind it is, from what the kernel writes to /proc/net and /sys/class/net.

use std::fs;
use std::path::Path;

use zego_protocol::state::NetworkMode;

/// Whether an interface can carry packets: it is up and has a carrier. One that does not say so is taken to.
pub(super) fn works(interfaces: &Path, interface: &str) -> bool {
    let state = fs::read_to_string(interfaces.join(interface).join("operstate")).unwrap_or_default();
    // RFC 2863, section 3.1.14.
    !["down", "lowerlayerdown", "dormant", "notpresent"].contains(&state.trim())
}

/// The interface of the default route, of several that work that with the smallest metric; IPv4 goes before IPv6.
pub(super) fn default_interface(ipv4: &str, ipv6: &str, works: impl Fn(&str) -> bool) -> Option<String> {
    let ipv4 = ipv4.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default = *fields.get(1)? == "00000000" && fields.get(7).is_none_or(|mask| *mask == "00000000");
        let metric = fields.get(6).and_then(|metric| metric.parse::<u32>().ok()).unwrap_or(0);
        is_default.then_some((metric, *fields.first()?))
    });
    let ipv6 = ipv6.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default = fields.first()?.bytes().all(|digit| digit == b'0') && *fields.get(1)? == "00";
        let metric = fields.get(5).and_then(|metric| u32::from_str_radix(metric, 16).ok()).unwrap_or(0);
        let interface = *fields.last()?;
        // The kernel's "unreachable" route of last resort is on the loopback.
        (is_default && interface != "lo").then_some((metric, interface))
    });
    let best = |routes: &mut dyn Iterator<Item = (u32, &str)>| {
        routes
            .filter(|(_, interface)| works(interface))
            .min_by_key(|(metric, _)| *metric)
            .map(|(_, name)| name.to_owned())
    };
    best(&mut ipv4.into_iter()).or_else(|| best(&mut ipv6.into_iter()))
}

/// Of which kind an interface is.
pub(super) fn mode_of(interfaces: &Path, interface: &str) -> NetworkMode {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (interface, file, text) in [
            ("eth0", "type", "1\n"),
            ("eth0", "operstate", "up\n"),
            ("eth1", "type", "1\n"),
            ("eth1", "operstate", "down\n"),
            ("wlan0", "wireless/x", ""),
            ("wwan0", "uevent", "DEVTYPE=wwan\n"),
            ("wwan0", "operstate", "unknown\n"),
        ] {
            let path = folder.path().join(interface).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn the_default_route_says_how_the_network_is_reached() {
        let folder = machine();
        let head = "Iface\tDestination\tGateway\n";
        let mode = |lines: &str| {
            let works = |interface: &str| works(folder.path(), interface);
            let interface = default_interface(&format!("{head}{lines}"), "", works);
            interface.map_or(NetworkMode::Offline, |interface| mode_of(folder.path(), &interface))
        };
        for (lines, expected) in [
            ("", NetworkMode::Offline),
            // A network is not the internet.
            ("eth0\t0000A8C0\t00000000\n", NetworkMode::Offline),
            ("eth0\t0000A8C0\t0\neth0\t00000000\t0101A8C0\n", NetworkMode::Ethernet),
            ("wlan0\t00000000\t0101A8C0\n", NetworkMode::Wifi),
            ("wwan0\t00000000\t0101A8C0\n", NetworkMode::Cellular),
            ("tun0\t00000000\t0101A8C0\n", NetworkMode::Unknown),
            // A cable that is not plugged in.
            ("eth1\t00000000\t0101A8C0\n", NetworkMode::Offline),
            // The smallest metric of those that work.
            (
                "eth1\t00000000\t0101A8C0\t0003\t0\t0\t50\t00000000\n\
                 wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\n\
                 eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\n",
                NetworkMode::Ethernet,
            ),
            // Half of the internet, as VPNs write it, is no default route.
            ("eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000080\n", NetworkMode::Offline),
        ] {
            assert_eq!(mode(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn ipv6_alone_will_do() {
        let folder = machine();
        let zero = "0".repeat(32);
        let line =
            |metric: &str, interface: &str| format!("{zero} 00 {zero} 00 fe80 {metric} 0 0 00000003 {interface}\n");
        let routes = format!("{}{}", line("00000400", "wlan0"), line("00000064", "eth0"));
        let works = |interface: &str| works(folder.path(), interface);
        assert_eq!(default_interface("head\n", &routes, works).as_deref(), Some("eth0"));
        assert_eq!(default_interface("head\n", &line("ffffffff", "lo"), works), None);
    }
}
