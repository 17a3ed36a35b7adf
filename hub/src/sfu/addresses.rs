//! Addresses of this machine.
#![allow(unsafe_code)] // getifaddrs(3) has no safe wrapper in what the hub depends on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Addresses of all interfaces that are up, loopback included, without those of IPv6 that count on their own link only.
pub fn local() -> io::Result<Vec<IpAddr>> {
    Ok(all()?.iter().map(SocketAddr::ip).filter(|address| !is_link_local(*address)).collect())
}

/// Whether an address of IPv6 counts on its own link only (RFC 4291, section 2.5.6).
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Every address of an interface that is up, with port 0; link-local IPv6 addresses with their interface's number.
pub fn all() -> io::Result<Vec<SocketAddr>> {
    let mut head: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `head` is a valid place for the list's head; on success the list is ours until freeifaddrs.
    if unsafe { libc::getifaddrs(&mut head) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut entry = head;
    while !entry.is_null() {
        // SAFETY: `entry` is not null and points into the list, which lives until freeifaddrs below.
        let interface = unsafe { &*entry };
        if interface.ifa_flags & libc::IFF_UP as u32 != 0 && !interface.ifa_addr.is_null() {
            // SAFETY: `ifa_addr` is not null and points to a socket address whose family says its type.
            if let Some(address) = unsafe { address(interface.ifa_addr) } {
                found.push(address);
            }
        }
        entry = interface.ifa_next;
    }
    // SAFETY: `head` came from getifaddrs and nothing refers to the list any more.
    unsafe { libc::freeifaddrs(head) };
    Ok(found)
}

/// # Safety
/// `from` points to a socket address that is as long as its family requires.
unsafe fn address(from: *const libc::sockaddr) -> Option<SocketAddr> {
    // SAFETY: the caller guarantees a valid socket address; the family decides how it is read.
    unsafe {
        match i32::from((*from).sa_family) {
            libc::AF_INET => {
                let v4 = std::ptr::read_unaligned(from.cast::<libc::sockaddr_in>());
                Some(SocketAddrV4::new(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)), 0).into())
            }
            libc::AF_INET6 => {
                let v6 = std::ptr::read_unaligned(from.cast::<libc::sockaddr_in6>());
                let address = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let scope = if address.is_unicast_link_local() { v6.sin6_scope_id } else { 0 };
                Some(SocketAddrV6::new(address, 0, 0, scope).into())
            }
            _ => None,
        }
    }
}

/// Of `all`, those on which others can reach this machine when it binds `wanted`: itself when it is a real address;
/// when it is unspecified, every address of its family (IPv6's unspecified address means both families) that is not
/// loopback, or loopback when there is no other.
pub fn reachable(wanted: IpAddr, all: &[IpAddr]) -> Vec<IpAddr> {
    if !wanted.is_unspecified() {
        return vec![wanted];
    }
    let family = |address: &&IpAddr| wanted.is_ipv6() || address.is_ipv4();
    let mut chosen: Vec<IpAddr> = all.iter().filter(family).filter(|a| !a.is_loopback()).copied().collect();
    if chosen.is_empty() {
        chosen = all.iter().filter(family).filter(|a| a.is_loopback()).copied().collect();
    }
    chosen.dedup();
    chosen
}

/// What to bind for `wanted`, see [`reachable`]. IPv6's unspecified address means link-local addresses, too. Port 0.
pub fn to_bind(wanted: IpAddr, all: &[SocketAddr]) -> Vec<SocketAddr> {
    let link_local = all.iter().copied().filter(|address| is_link_local(address.ip()));
    if is_link_local(wanted) {
        return link_local.filter(|address| address.ip() == wanted).collect();
    }
    let others: Vec<IpAddr> = all.iter().map(SocketAddr::ip).filter(|address| !is_link_local(*address)).collect();
    let mut chosen: Vec<SocketAddr> =
        reachable(wanted, &others).into_iter().map(|address| SocketAddr::new(address, 0)).collect();
    if wanted == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        for address in link_local {
            // Candidates do not say on which link an address is, so that one that two links share is of no use on the second.
            if !chosen.iter().any(|other| other.ip() == address.ip()) {
                chosen.push(address);
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn loopback_is_used_only_when_asked_for_or_when_there_is_nothing_else() {
        let any = ip("0.0.0.0");
        let lan = [ip("127.0.0.1"), ip("192.168.1.5"), ip("fd00::1"), ip("10.0.0.2")];
        assert_eq!(reachable(any, &lan), [ip("192.168.1.5"), ip("10.0.0.2")]);
        assert_eq!(reachable(ip("::"), &lan), [ip("192.168.1.5"), ip("fd00::1"), ip("10.0.0.2")]);
        assert_eq!(reachable(any, &[ip("127.0.0.1")]), [ip("127.0.0.1")]);
        assert_eq!(reachable(ip("127.0.0.1"), &lan), [ip("127.0.0.1")]);
    }

    #[test]
    fn link_local_addresses_are_bound_with_ipv6_only() {
        let read = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let machine = [read("192.168.1.5:0"), read("[fd00::1]:0"), read("[fe80::1%2]:0"), read("[fe80::1%3]:0")];
        let text = |wanted: &str| {
            let addresses = to_bind(ip(wanted), &machine).iter().map(ToString::to_string).collect::<Vec<_>>();
            addresses.join(" ")
        };
        assert_eq!(text("0.0.0.0"), "192.168.1.5:0");
        assert_eq!(text("::"), "192.168.1.5:0 [fd00::1]:0 [fe80::1%2]:0");
        assert_eq!(text("fe80::1"), "[fe80::1%2]:0 [fe80::1%3]:0");
        assert_eq!(text("fd00::1"), "[fd00::1]:0");
    }

    #[test]
    fn this_machine_has_an_address() {
        assert!(!local().expect("a list").is_empty());
    }
}
