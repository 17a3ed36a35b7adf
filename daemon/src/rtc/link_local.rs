//! Media on a link where there are no other addresses than link-local ones (RFC 4291, section 2.5.6).
//!
//! The crate knows a socket by its address, and an address of a candidate has no scope: it would never find a socket that is bound to
//! `fe80::1%2`. So it binds a socket to the loopback address in its place, which is exchanged here for one on the link, with the same
//! port. Nothing else is different: the kernel sends what leaves such a socket over its link, and candidates are told with the real
//! address.

use std::io;
use std::net::{SocketAddrV6, UdpSocket};

use super::interfaces::STAND_IN;

/// The socket on the link, where `socket` stands for one.
///
/// # Errors
/// The address, or the port there, cannot be used.
pub(super) fn replace(socket: UdpSocket, link_local: Option<SocketAddrV6>) -> io::Result<UdpSocket> {
    let bound = socket.local_addr()?;
    let Some(address) = link_local.filter(|_| bound.ip() == STAND_IN) else { return Ok(socket) };
    let real = UdpSocket::bind(SocketAddrV6::new(*address.ip(), bound.port(), 0, address.scope_id()))?;
    real.set_nonblocking(true)?;
    Ok(real)
}

/// A candidate's line (RFC 8839, section 5.1) with the real address.
pub(super) fn told(line: &str, link_local: Option<SocketAddrV6>) -> String {
    match link_local {
        Some(address) => line.replacen(&format!(" {STAND_IN} "), &format!(" {} ", address.ip()), 1),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_told_with_the_real_address() {
        let link: SocketAddrV6 = "[fe80::7%3]:0".parse().unwrap();
        let line = "candidate:1 1 udp 2130706431 ::1 5000 typ host";
        assert_eq!(told(line, Some(link)), "candidate:1 1 udp 2130706431 fe80::7 5000 typ host");
        assert_eq!(told(line, None), line);
        let other = "candidate:1 1 udp 2130706431 2001:db8::1 5000 typ host";
        assert_eq!(told(other, Some(link)), other);
    }

    #[test]
    fn other_sockets_stay_as_they_are() {
        let link: SocketAddrV6 = "[fe80::7%3]:0".parse().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        assert_eq!(replace(socket, Some(link)).unwrap().local_addr().unwrap(), address);
    }
}
