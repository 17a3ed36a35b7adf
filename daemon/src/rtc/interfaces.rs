//! Which local addresses a connection uses.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};

use rtc::shared::ifaces::{Kind, ifaces};

use super::config::NetworkConfig;
use super::error::RtcError;

/// What is bound in place of our link-local address, see [`super::link_local`].
pub(super) const STAND_IN: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// The addresses to bind, port 0, for the wished interfaces (names or addresses); empty = all but loopback, or loopback alone
/// when there is no other. With them, where there is one, what stands for our address on the server's link.
///
/// # Errors
/// [`RtcError::NoInterface`] when none of them has an address.
pub(super) fn addresses(config: &NetworkConfig) -> Result<Vec<SocketAddr>, RtcError> {
    let wished = &config.interfaces;
    let present = ifaces().map_err(|error| RtcError::NoInterface(error.to_string()))?;
    let present = present.into_iter().filter(|interface| matches!(interface.kind, Kind::Ipv4 | Kind::Ipv6));
    let present: Vec<(String, IpAddr)> =
        present.filter_map(|interface| interface.addr.map(|address| (interface.name, address.ip()))).collect();
    let mut chosen = choose(wished, &present);
    if config.link_local.is_some_and(|address| is_wished(wished, &present, address)) {
        // Nothing on another machine is reached from loopback.
        chosen.retain(|address| !address.is_loopback());
        chosen.push(STAND_IN);
    }
    if chosen.is_empty() {
        return Err(RtcError::NoInterface(if wished.is_empty() { "none is up".to_owned() } else { wished.join(", ") }));
    }
    Ok(chosen.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
}

/// The addresses of the wished interfaces whenever they are asked for: the crate does so before each start of ICE, and so finds
/// those that the machine has got meanwhile.
#[derive(Clone, Debug)]
pub(super) struct LocalAddresses(pub(super) NetworkConfig);

impl ToSocketAddrs for LocalAddresses {
    type Iter = std::vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        addresses(&self.0).map(Vec::into_iter).map_err(io::Error::other)
    }
}

/// Whether media may use the link of this address.
fn is_wished(wished: &[String], present: &[(String, IpAddr)], address: SocketAddrV6) -> bool {
    let is_it = |(name, other): &(String, IpAddr)| {
        *other == IpAddr::V6(*address.ip()) && (wished.is_empty() || wished.contains(name))
    };
    present.iter().any(is_it)
}

fn choose(wished: &[String], present: &[(String, IpAddr)]) -> Vec<IpAddr> {
    let mut chosen: Vec<IpAddr> = Vec::new();
    let mut add = |address: IpAddr| {
        if !link_local(address) && !chosen.contains(&address) {
            chosen.push(address);
        }
    };
    if wished.is_empty() {
        present.iter().filter(|(_, address)| !address.is_loopback()).for_each(|(_, address)| add(*address));
        if chosen.is_empty() {
            return present.iter().map(|(_, address)| *address).filter(IpAddr::is_loopback).collect();
        }
    } else {
        for wish in wished {
            let matches = present.iter().filter(|(name, address)| name == wish || address.to_string() == *wish);
            matches.for_each(|(_, address)| add(*address));
        }
    }
    chosen
}

/// Addresses that mean nothing without the name of the link, which no candidate carries.
fn link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_counts_when_its_interface_does() {
        let machine =
            [("eth0".to_owned(), "fe80::1".parse().unwrap()), ("eth1".to_owned(), "10.0.0.9".parse().unwrap())];
        let wished = |names: &[&str], address: &str| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            is_wished(&names, &machine, SocketAddrV6::new(address.parse().unwrap(), 0, 0, 2))
        };
        assert!(wished(&[], "fe80::1") && wished(&["eth1", "eth0"], "fe80::1"));
        assert!(!wished(&["eth1"], "fe80::1") && !wished(&[], "fe80::2"), "another interface, an address that is gone");
    }

    #[test]
    fn interfaces_are_chosen_by_name_or_address() {
        let machine: Vec<(String, IpAddr)> = [
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("eth0", "192.168.1.7"),
            ("eth0", "fe80::1"),
            ("eth0", "2001:db8::7"),
            ("wlan0", "169.254.3.4"),
            ("wlan0", "10.0.0.9"),
        ]
        .map(|(name, address)| (name.to_owned(), address.parse().unwrap()))
        .to_vec();
        let cases: [(&[&str], &[&str]); 6] = [
            (&[], &["192.168.1.7", "2001:db8::7", "10.0.0.9"]),
            (&["lo"], &["127.0.0.1", "::1"]),
            (&["127.0.0.1"], &["127.0.0.1"]),
            (&["wlan0", "eth0"], &["10.0.0.9", "192.168.1.7", "2001:db8::7"]),
            (&["eth0", "eth0"], &["192.168.1.7", "2001:db8::7"]),
            (&["ppp0"], &[]),
        ];
        for (wished, expected) in cases {
            let wished: Vec<String> = wished.iter().map(|name| (*name).to_owned()).collect();
            let chosen: Vec<String> = choose(&wished, &machine).iter().map(ToString::to_string).collect();
            assert_eq!(chosen, expected, "{wished:?}");
        }
        assert_eq!(choose(&[], &machine[..2]).len(), 2, "a machine without a network talks to itself");
    }
}
