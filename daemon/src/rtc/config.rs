//! What a peer connection may use of the network.

use std::net::SocketAddrV6;

/// One STUN or TURN server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:host:port` or `turn:host:port?transport=udp`, RFC 7064 and RFC 7065. TURN over TCP and TLS is not supported.
    pub urls: Vec<String>,
    /// TURN user name, empty for STUN.
    pub username: String,
    /// TURN password, empty for STUN.
    pub credential: String,
}

/// Servers and interfaces of a peer connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Servers that tell our public address or relay for us; none are needed on one LAN.
    pub ice_servers: Vec<IceServer>,
    /// Names of the network interfaces to use, or addresses of them. Empty = every one except loopback, or loopback when there is
    /// no other. `lo` may be named.
    pub interfaces: Vec<String>,
    /// Our address, with the number of its link, on the link of a server that can be reached there only.
    pub link_local: Option<SocketAddrV6>,
}
