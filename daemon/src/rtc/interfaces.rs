//! Which local addresses a connection uses.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use rtc::shared::ifaces::{Kind, ifaces};

use super::error::RtcError;

/// The addresses to bind, port 0, for the wished interfaces (names or addresses); empty = all but loopback, or loopback alone
/// when there is no other.
///
/// # Errors
/// [`RtcError::NoInterface`] when none of them has an address.
pub(super) fn addresses(wished: &[String]) -> Result<Vec<SocketAddr>, RtcError> {
    let present = ifaces().map_err(|error| RtcError::NoInterface(error.to_string()))?;
    let present = present.into_iter().filter(|interface| matches!(interface.kind, Kind::Ipv4 | Kind::Ipv6));
    let present: Vec<(String, IpAddr)> =
        present.filter_map(|interface| interface.addr.map(|address| (interface.name, address.ip()))).collect();
    let chosen = choose(wished, &present);
    if chosen.is_empty() {
        return Err(RtcError::NoInterface(if wished.is_empty() { "none is up".to_owned() } else { wished.join(", ") }));
    }
    Ok(chosen.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
}

/// The addresses of the wished interfaces whenever they are asked for: the crate does so before each start of ICE, and so finds
/// those that the machine has got meanwhile.
#[derive(Clone, Debug)]
pub(super) struct LocalAddresses(pub(super) Vec<String>);

impl ToSocketAddrs for LocalAddresses {
    type Iter = std::vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        addresses(&self.0).map(Vec::into_iter).map_err(io::Error::other)
    }
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

/// Addresses that mean nothing without the name of the link: ICE leaves them out (RFC 8445 §5.1.1.1).
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
