//! Media over TCP, for networks without UDP: passive ICE candidates (RFC 6544), which clients connect to.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use zego_media_stream::{Deframer, Kind, Sender, Waits};

use crate::limits::{Place, Places, block};

/// Connections that may be open at once, and those of one address that have not shown yet which participant they belong to.
const CONNECTIONS: usize = 4_096;
const UNKNOWN: usize = 512;
const UNKNOWN_OF_ONE: usize = 64;
/// A connection must show in so long to whom it belongs.
const TIME_TO_SHOW: Duration = Duration::from_secs(10);
/// A connection on which nothing came for so long is over: ICE checks it every few seconds (RFC 7675).
const SILENCE: Duration = Duration::from_secs(60);
/// Datagrams of a connection that nobody knows, before it is closed: a check may come before its offer.
const STRANGE: usize = 32;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;
/// Bytes taken of one connection before the others get their turn.
const READ: usize = 64 << 10;

/// One connection of a client's.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    local: SocketAddr,
    remote: SocketAddr,
    deframer: Deframer,
    sender: Sender,
    heard_at: Instant,
    /// Given back when it is known whose it is.
    unknown: Option<Place<IpAddr>>,
    strange: usize,
}

/// All of them, and where they come in.
#[derive(Debug)]
pub struct TcpSockets {
    port: Option<u16>,
    listeners: Vec<(SocketAddr, TcpListener)>,
    connections: Vec<Option<Connection>>,
    by_route: HashMap<(SocketAddr, SocketAddr), usize>,
    unknown: Places<IpAddr>,
    buffer: Vec<u8>,
}

impl TcpSockets {
    /// Listens on `port` of nothing yet (0: any, the same for all addresses); `None`: there is no media over TCP.
    pub fn new(port: Option<u16>) -> TcpSockets {
        TcpSockets {
            port,
            listeners: Vec::new(),
            connections: Vec::new(),
            by_route: HashMap::new(),
            unknown: Places::new(UNKNOWN, UNKNOWN_OF_ONE),
            buffer: vec![0; READ],
        }
    }

    /// Listens on an address, unless it does already. The error names the address. Link-local addresses are left out: a network that is
    /// one link has nothing in it that keeps UDP back.
    pub fn listen(&mut self, address: IpAddr) -> Result<(), (SocketAddr, io::Error)> {
        if matches!(address, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            return Ok(());
        }
        let Some(port) = self.port.filter(|_| !self.listeners.iter().any(|(bound, _)| bound.ip() == address)) else {
            return Ok(());
        };
        let wanted = SocketAddr::new(address, port);
        let listener = open(wanted).map_err(|error| (wanted, error))?;
        let local = listener.local_addr().map_err(|error| (wanted, error))?;
        self.port = Some(local.port());
        self.listeners.push((local, listener));
        Ok(())
    }

    /// Where it listens.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.listeners.iter().map(|(address, _)| *address)
    }

    /// What to wait for new connections on, in the order of [`TcpSockets::accept`].
    pub fn listeners(&self) -> impl Iterator<Item = &TcpListener> + '_ {
        self.listeners.iter().map(|(_, listener)| listener)
    }

    /// Connections, each with its number and whether something waits for room.
    pub fn connections(&self) -> impl Iterator<Item = (usize, &TcpStream, bool)> + '_ {
        let all = self.connections.iter().enumerate();
        all.filter_map(|(number, c)| c.as_ref().map(|c| (number, &c.stream, c.sender.waits() == Waits::Room)))
    }

    /// Takes the connections that wait at a listener.
    pub fn accept(&mut self, listener: usize, now: Instant) {
        while let Some((_, tcp)) = self.listeners.get(listener) {
            match tcp.accept() {
                Ok((stream, remote)) => {
                    if let Err(error) = self.add(stream, remote, now) {
                        log::debug!("{remote}: no media over TCP: {error}");
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // It is gone already; or there are no descriptors, and asking again at once would not help.
                Err(error) => {
                    log::debug!("a connection for media is not accepted: {error}");
                    return;
                }
            }
        }
    }

    fn add(&mut self, stream: TcpStream, remote: SocketAddr, now: Instant) -> io::Result<()> {
        let free = self.connections.iter().position(Option::is_none).unwrap_or(self.connections.len());
        let place = self.unknown.take(block(remote.ip())).filter(|_| free < CONNECTIONS);
        let Some(place) = place else { return Err(io::Error::other("there are too many")) };
        stream.set_nonblocking(true)?;
        zego_media_stream::prepare(&stream)?;
        let local = stream.local_addr()?;
        let connection = Connection {
            stream,
            local,
            remote,
            deframer: Deframer::default(),
            sender: Sender::new(now),
            heard_at: now,
            unknown: Some(place),
            strange: 0,
        };
        self.by_route.insert((local, remote), free);
        match self.connections.get_mut(free) {
            Some(slot) => *slot = Some(connection),
            None => self.connections.push(Some(connection)),
        }
        Ok(())
    }

    /// Reads what a connection has received; its datagrams are then given by [`TcpSockets::next`].
    pub fn read(&mut self, number: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(number).and_then(Option::as_mut) else { return };
        match connection.stream.read(&mut self.buffer) {
            Ok(0) => self.close(number),
            Ok(count) => {
                connection.heard_at = now;
                connection.deframer.push(&self.buffer[..count]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.close(number),
        }
    }

    /// The next datagram that a connection brought, in `datagram`: its local and its remote address.
    pub fn next(&mut self, number: usize, datagram: &mut Vec<u8>) -> Option<(SocketAddr, SocketAddr)> {
        let connection = self.connections.get_mut(number).and_then(Option::as_mut)?;
        match connection.deframer.next(datagram) {
            Ok(true) => Some((connection.local, connection.remote)),
            Ok(false) => None,
            Err(error) => {
                log::debug!("{}: not media over TCP: {error}", connection.remote);
                self.close(number);
                None
            }
        }
    }

    /// Whether a datagram of a connection belonged to a participant.
    pub fn judge(&mut self, number: usize, is_known: bool) {
        let Some(connection) = self.connections.get_mut(number).and_then(Option::as_mut) else { return };
        if is_known {
            connection.unknown = None;
        } else if connection.unknown.is_some() {
            connection.strange += 1;
            if connection.strange > STRANGE {
                self.close(number);
            }
        }
    }

    /// Sends a datagram. What has no room is lost, as on any network.
    pub fn send(&mut self, from: SocketAddr, to: SocketAddr, kind: Kind, datagram: &[u8], now: Instant) {
        let Some(&number) = self.by_route.get(&(from, to)) else { return };
        let Some(connection) = self.connections.get_mut(number).and_then(Option::as_mut) else { return };
        if connection.sender.send(&connection.stream, kind, datagram, now).is_err() {
            self.close(number);
        }
    }

    /// Sends what waits for a connection, as far as it goes now.
    pub fn flush(&mut self, number: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(number).and_then(Option::as_mut) else { return };
        if connection.sender.flush(&connection.stream, now).is_err() {
            self.close(number);
        }
    }

    /// Sends what waited for a line that was full; returns when to look again.
    pub fn flush_held(&mut self, now: Instant) -> Option<Instant> {
        for number in 0..self.connections.len() {
            let waits = self.connections[number].as_ref().map(|connection| connection.sender.waits());
            if matches!(waits, Some(Waits::Line(at)) if at <= now) {
                self.flush(number, now);
            }
        }
        let held = self.connections.iter().flatten().filter_map(|connection| match connection.sender.waits() {
            Waits::Line(at) => Some(at),
            Waits::Nothing | Waits::Room => None,
        });
        held.min()
    }

    /// Closes what is silent; returns when the next may be.
    pub fn close_silent(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for number in 0..self.connections.len() {
            let Some(connection) = &self.connections[number] else { continue };
            let time = if connection.unknown.is_some() { TIME_TO_SHOW } else { SILENCE };
            let at = connection.heard_at + time;
            if at <= now {
                self.close(number);
            } else {
                next = Some(next.map_or(at, |earlier| earlier.min(at)));
            }
        }
        next
    }

    fn close(&mut self, number: usize) {
        if let Some(connection) = self.connections.get_mut(number).and_then(Option::take) {
            self.by_route.remove(&(connection.local, connection.remote));
        }
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // So that a restart need not wait for connections of before.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// The sockets, and a client that is connected to them.
    fn connected() -> (TcpSockets, TcpStream, Instant) {
        let mut sockets = TcpSockets::new(Some(0));
        sockets.listen(HERE).expect("a free port");
        let client = TcpStream::connect(sockets.addresses().next().expect("an address")).expect("connected");
        let now = Instant::now();
        sockets.accept(0, now);
        assert_eq!(sockets.connections().count(), 1);
        (sockets, client, now)
    }

    /// Reads until a datagram is there.
    fn receive(sockets: &mut TcpSockets, now: Instant) -> (Vec<u8>, SocketAddr, SocketAddr) {
        let mut datagram = Vec::new();
        for _ in 0..1_000 {
            sockets.read(0, now);
            if let Some((local, remote)) = sockets.next(0, &mut datagram) {
                return (datagram, local, remote);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("nothing came");
    }

    #[test]
    fn datagrams_go_both_ways() {
        let (mut sockets, mut client, now) = connected();
        client.write_all(&[0, 3, 1, 2, 3]).expect("sent");
        let (datagram, local, remote) = receive(&mut sockets, now);
        assert_eq!((datagram.as_slice(), remote), (&[1, 2, 3][..], client.local_addr().expect("bound")));
        sockets.send(local, remote, Kind::Control, &[7, 8], now);
        let mut answer = [0; 4];
        client.read_exact(&mut answer).expect("received");
        assert_eq!(answer, [0, 2, 7, 8]);
    }

    #[test]
    fn a_client_that_does_not_read_fills_nothing() {
        let (mut sockets, client, now) = connected();
        let (local, remote) = (sockets.addresses().next().expect("one"), client.local_addr().expect("bound"));
        let picture = [144; 1_200];
        for _ in 0..50_000 {
            sockets.send(local, remote, Kind::Picture, &picture, now);
        }
        assert!(sockets.connections().all(|(_, _, waits)| waits));
    }

    #[test]
    fn who_does_not_show_whose_it_is_is_closed_and_who_does_may_be_silent_longer() {
        let (mut sockets, _client, now) = connected();
        assert_eq!(sockets.close_silent(now), Some(now + TIME_TO_SHOW));
        sockets.judge(0, true);
        assert_eq!(sockets.close_silent(now + TIME_TO_SHOW), Some(now + SILENCE));
        assert_eq!(sockets.close_silent(now + SILENCE), None);
        assert_eq!((sockets.connections().count(), sockets.by_route.len()), (0, 0));
        let (mut sockets, _client, now) = connected();
        (0..=STRANGE).for_each(|_| sockets.judge(0, false));
        assert_eq!((sockets.connections().count(), sockets.close_silent(now)), (0, None));
    }

    #[test]
    fn who_speaks_something_else_is_closed() {
        let (mut sockets, mut client, now) = connected();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
        for _ in 0..1_000 {
            sockets.read(0, now);
            if sockets.next(0, &mut Vec::new()).is_none() && sockets.connections().count() == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("it is still open");
    }
}
