//! Datagrams that a peer has given out and that leave together.

use std::net::SocketAddr;

use str0m::net::DatagramSend;

use super::sockets::Sockets;

/// They are all for one destination.
#[derive(Debug, Default)]
pub struct Outgoing {
    route: Option<(SocketAddr, SocketAddr)>,
    datagrams: Vec<DatagramSend>,
}

impl Outgoing {
    /// Adds one. Those that wait for another destination leave now.
    pub fn push(&mut self, (from, to): (SocketAddr, SocketAddr), datagram: DatagramSend, sockets: &Sockets) {
        if self.route != Some((from, to)) {
            self.send(sockets);
            self.route = Some((from, to));
        }
        self.datagrams.push(datagram);
    }

    /// Sends all.
    pub fn send(&mut self, sockets: &Sockets) {
        if let Some((from, to)) = self.route {
            sockets.send(from, to, &self.datagrams);
        }
        self.datagrams.clear();
    }
}
