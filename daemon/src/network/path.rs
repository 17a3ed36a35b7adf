//! The way to one server: by which address of ours it is reached, and what became of that.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::Network;

/// What a change of the network means for a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// Nothing: what runs over it runs on.
    Unchanged,
    /// There is no way any more.
    Lost,
    /// It is back as it was before.
    Found,
    /// It goes by another address of ours: connections from the old one are dead.
    Moved,
}

/// The way to a server.
#[derive(Clone, Debug)]
pub struct Path {
    servers: Vec<SocketAddr>,
    /// The address of ours that was used last.
    address: Option<IpAddr>,
    up: bool,
}

impl Path {
    /// The way to a server that was reached just now at one of `servers`. Without any, nothing is known about it, and nothing changes.
    #[must_use]
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        let address = servers.iter().find_map(|server| local_address(*server));
        // One that was reached although there is no way to it was reached by way of a proxy.
        let servers = if address.is_some() { servers } else { Vec::new() };
        Self { servers, address, up: true }
    }

    /// Looks at it again after a change of the network.
    pub fn look(&mut self, network: &Network) -> PathChange {
        if self.servers.is_empty() {
            return PathChange::Unchanged;
        }
        let usable = |server: &SocketAddr| {
            // What stays inside the machine needs no cable.
            local_address(*server).filter(|address| *address == server.ip() || network.is_usable(*address))
        };
        let address = self.servers.iter().find_map(usable);
        self.is_now(address)
    }

    fn is_now(&mut self, address: Option<IpAddr>) -> PathChange {
        let was_up = std::mem::replace(&mut self.up, address.is_some());
        let Some(address) = address else {
            return if was_up { PathChange::Lost } else { PathChange::Unchanged };
        };
        match (self.address.replace(address) == Some(address), was_up) {
            (true, true) => PathChange::Unchanged,
            (true, false) => PathChange::Found,
            (false, _) => PathChange::Moved,
        }
    }
}

/// The address of ours that the kernel would send from. No packet is sent.
#[must_use]
pub fn local_address(server: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_lost_found_and_moved() {
        let old: Option<IpAddr> = Some("10.0.0.2".parse().unwrap());
        let new: Option<IpAddr> = Some("10.0.0.9".parse().unwrap());
        let mut path = Path { servers: Vec::new(), address: old, up: true };
        for (step, (now, change)) in [
            (old, PathChange::Unchanged),
            (None, PathChange::Lost),
            (None, PathChange::Unchanged),
            (old, PathChange::Found),
            (new, PathChange::Moved),
            (new, PathChange::Unchanged),
            (None, PathChange::Lost),
            (old, PathChange::Moved),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(path.is_now(now), change, "step {step}");
        }
    }

    #[test]
    fn the_way_to_this_machine_is_always_there() {
        let mut path = Path::new(vec!["127.0.0.1:9".parse().unwrap()]);
        assert_eq!(path.address, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(path.look(&Network::default()), PathChange::Unchanged);
    }

    #[test]
    fn nothing_is_said_about_a_server_of_unknown_address() {
        let mut path = Path::new(Vec::new());
        assert_eq!(path.look(&Network::default()), PathChange::Unchanged);
    }
}
