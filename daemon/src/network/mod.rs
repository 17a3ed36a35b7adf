//! The machine's network as far as a session cares for it: how it is reached, which addresses are in use, and when that changes.
//!
//! [`watch`] hears of every change from the kernel and tells those that make a difference; [`Path`] says what one means for the
//! way to a server. Nothing is sent and nothing polls.

mod mode;
mod path;
mod watch;

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path as FilePath;

use rtc::shared::ifaces::{Kind, ifaces};
use zego_protocol::state::NetworkMode;

pub use path::{Path, PathChange, local_address};
pub use watch::watch;

/// Where the kernel describes its interfaces.
const INTERFACES: &str = "/sys/class/net";

/// The network at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The interface of the default route, if there is one that works, and its kind.
    route: Option<(String, NetworkMode)>,
    /// Name and address of every interface that works, loopback too.
    addresses: BTreeSet<(String, IpAddr)>,
}

impl Network {
    /// The network as it is now.
    #[must_use]
    pub fn now() -> Self {
        let routes =
            ["/proc/net/route", "/proc/net/ipv6_route"].map(|path| fs::read_to_string(path).unwrap_or_default());
        let folder = FilePath::new(INTERFACES);
        let works = |interface: &str| mode::works(folder, interface);
        let present = ifaces().unwrap_or_else(|error| {
            log::warn!("the machine's addresses cannot be read: {error}");
            Vec::new()
        });
        let addresses = present
            .into_iter()
            .filter(|interface| matches!(interface.kind, Kind::Ipv4 | Kind::Ipv6) && works(&interface.name))
            .filter_map(|interface| interface.addr.map(|address| (interface.name, address.ip())));
        let route = mode::default_interface(&routes[0], &routes[1], works).map(|interface| {
            let mode = mode::mode_of(folder, &interface);
            (interface, mode)
        });
        Self { route, addresses: addresses.collect() }
    }

    /// How the network is reached: by the interface of the default route.
    #[must_use]
    pub fn mode(&self) -> NetworkMode {
        self.route.as_ref().map_or(NetworkMode::Offline, |(_, mode)| *mode)
    }

    /// Whether something is there that was not there in `before`: what could not be reached then may be reached now.
    #[must_use]
    pub fn gained(&self, before: &Self) -> bool {
        (self.route.is_some() && self.route != before.route) || !self.addresses.is_subset(&before.addresses)
    }

    /// Whether packets from this address of ours can leave.
    fn is_usable(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|(_, other)| *other == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(route: Option<&str>, addresses: &[(&str, &str)]) -> Network {
        let addresses = addresses.iter().map(|(name, address)| ((*name).to_owned(), address.parse().unwrap()));
        Network { route: route.map(|name| (name.to_owned(), NetworkMode::Ethernet)), addresses: addresses.collect() }
    }

    #[test]
    fn only_what_comes_is_a_gain() {
        let none = network(None, &[("lo", "127.0.0.1")]);
        let wired = network(Some("eth0"), &[("lo", "127.0.0.1"), ("eth0", "10.0.0.2")]);
        let other = network(Some("eth0"), &[("lo", "127.0.0.1"), ("eth0", "10.0.0.9")]);
        let local = network(None, &[("lo", "127.0.0.1"), ("eth0", "10.0.0.2")]);
        assert!(wired.gained(&none) && !none.gained(&wired));
        assert!(other.gained(&wired) && wired.gained(&other), "another address");
        assert!(wired.gained(&local) && !local.gained(&wired), "a default route");
        assert!(!wired.gained(&wired));
        assert!(wired.is_usable("10.0.0.2".parse().unwrap()) && !wired.is_usable("10.0.0.9".parse().unwrap()));
    }

    #[test]
    fn this_machine_has_a_loopback() {
        assert!(Network::now().is_usable("127.0.0.1".parse().unwrap()));
    }
}
