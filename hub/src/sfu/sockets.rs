//! The hub's UDP port: one socket for each address of the machine, so that an answer leaves from the address that was
//! asked, and ICE can name each of them.
//!
//! Outside of here addresses have no scope: candidates cannot carry one, and a socket that is bound to a link-local address has its link.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Deref;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::{addresses, burst};

/// A key frame of every publisher at once must fit while the thread is held up (the kernel's default holds about 90
/// packets). The kernel grants less where its limit is lower.
const RECEIVE_BUFFER: usize = 4 << 20;
const SEND_BUFFER: usize = 4 << 20;

/// Why the UDP port cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Binding failed.
    #[error(
        "cannot bind UDP {address}: {source}; another program uses this port, or the address is not this machine's"
    )]
    Bind {
        /// Address and port.
        address: SocketAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Likewise, for media over TCP.
    #[error(
        "cannot listen on TCP {address} for media: {source}; another program uses this port: set tcp_port to another, or to 0 for none"
    )]
    BindTcp {
        /// Address and port.
        address: SocketAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Reading the machine's addresses failed.
    #[error("cannot list this machine's addresses: {0}")]
    Addresses(io::Error),
    /// There is no address at all.
    #[error("this machine has no address to listen on: is the loopback interface up?")]
    NoAddress,
}

/// All sockets of the port.
#[derive(Debug)]
pub struct Sockets {
    wanted: IpAddr,
    port: u16,
    bound: Vec<(SocketAddr, UdpSocket)>,
    by_address: HashMap<SocketAddr, usize>,
    /// Whether the kernel takes several datagrams at once.
    takes_bursts: Cell<bool>,
}

impl Sockets {
    /// Binds `port` (0: any, the same for all addresses) on `wanted`, see [`addresses::to_bind`].
    pub fn bind(wanted: IpAddr, port: u16) -> Result<Sockets, SocketError> {
        let mut sockets =
            Sockets { wanted, port, bound: Vec::new(), by_address: HashMap::new(), takes_bursts: Cell::new(true) };
        for address in sockets.current()? {
            match sockets.add(address) {
                // IPv6 first makes sure that nobody else has a new address (RFC 4862, section 5.4). It is taken up later.
                Err(SocketError::Bind { address, source })
                    if source.kind() == io::ErrorKind::AddrNotAvailable && wanted.is_unspecified() =>
                {
                    log::info!("{address} cannot be used yet");
                }
                outcome => outcome?,
            }
        }
        if sockets.bound.is_empty() {
            return Err(SocketError::NoAddress);
        }
        Ok(sockets)
    }

    fn current(&self) -> Result<Vec<SocketAddr>, SocketError> {
        let all = addresses::all().map_err(SocketError::Addresses)?;
        Ok(addresses::to_bind(self.wanted, &all))
    }

    fn add(&mut self, address: SocketAddr) -> Result<(), SocketError> {
        let mut wanted = address;
        wanted.set_port(self.port);
        let fail = |source: io::Error| SocketError::Bind { address: wanted, source };
        let socket = open(wanted).map_err(fail)?;
        let local = without_scope(socket.local_addr().map_err(fail)?);
        self.port = local.port();
        self.takes_bursts.set(self.takes_bursts.get() && burst::is_supported(&socket));
        self.by_address.insert(local, self.bound.len());
        self.bound.push((local, socket));
        Ok(())
    }

    /// Binds addresses that the machine has got since; one that fails is reported in the log and left out. Those that are gone stay
    /// bound: whoever used them goes on when they are back.
    pub fn refresh(&mut self) {
        if !self.wanted.is_unspecified() {
            return;
        }
        let Ok(current) = self.current() else { return };
        for address in current {
            if !self.bound.iter().any(|(bound, _)| bound.ip() == address.ip()) {
                match self.add(address) {
                    Ok(()) => log::info!("media also on {}, port {}", address.ip(), self.port),
                    Err(error) => log::debug!("{error}"),
                }
            }
        }
    }

    /// Bound addresses, in the order of [`Sockets::get`].
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.bound.iter().map(|(address, _)| *address)
    }

    /// Number of sockets.
    pub fn len(&self) -> usize {
        self.bound.len()
    }

    /// Takes one datagram of a socket: its length and where it is from.
    pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        socket.recv_from(buffer).map(|(length, source)| (length, without_scope(source)))
    }

    /// A socket and its address.
    pub fn get(&self, index: usize) -> Option<&(SocketAddr, UdpSocket)> {
        self.bound.get(index)
    }

    /// Sends datagrams from a bound address. What the network does not take is lost, as on any network.
    pub fn send<D: Deref<Target = [u8]>>(&self, from: SocketAddr, to: SocketAddr, mut datagrams: &[D]) {
        let Some((_, socket)) = self.by_address.get(&from).and_then(|index| self.bound.get(*index)) else { return };
        while !datagrams.is_empty() {
            let length = if self.takes_bursts.get() { burst::length(datagrams) } else { 1 };
            let (first, others) = datagrams.split_at(length);
            datagrams = others;
            if length > 1 {
                match burst::send(socket, to, first) {
                    Ok(()) => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        log::debug!("{length} datagrams to {to} were not sent: {error}");
                        continue;
                    }
                    Err(error) => self.refused(to, &error),
                }
            }
            for datagram in first {
                if let Err(error) = socket.send_to(datagram, to) {
                    log::debug!("a datagram to {to} was not sent: {error}");
                }
            }
        }
    }

    /// The kernel did not take a burst.
    fn refused(&self, to: SocketAddr, error: &io::Error) {
        log::debug!("datagrams to {to} are sent one by one: {error}");
        // The network device computes no checksums, and will not the next time.
        if error.raw_os_error() == Some(libc::EIO) {
            self.takes_bursts.set(false);
        }
    }
}

/// The address as a candidate has it.
fn without_scope(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // The forced variant needs a privilege; without it the limit of the machine applies.
    if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
        sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
    }
    sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER)?;
    rustix::net::bind(&socket, &address)?;
    Ok(UdpSocket::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_is_an_error_that_names_it() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let first = Sockets::bind(loopback, 0).expect("a free port");
        let port = first.addresses().next().expect("bound").port();
        let error = Sockets::bind(loopback, port).expect_err("busy");
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    }

    #[test]
    fn the_receive_buffer_is_larger_than_the_kernels_default() {
        let sockets = Sockets::bind(IpAddr::from([127, 0, 0, 1]), 0).expect("a free port");
        let (_, socket) = sockets.get(0).expect("bound");
        let size = sockopt::socket_recv_buffer_size(socket).expect("readable");
        assert!(size >= 400_000, "{size}");
    }
}
