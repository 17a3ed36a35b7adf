//! A client over str0m and the hub's peer for it without a network between them: what leaves one is given to the other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use str0m::net::{Protocol, Receive};
use str0m::{Event, Input, Output, Rtc};

/// Where the hub is.
pub const HUB: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7881);
/// Where the client is.
pub const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);

/// Whether both are connected within ten seconds from `now` on; the error of whoever ends it.
pub fn connect(hub: &mut Rtc, client: &mut Rtc, mut now: Instant) -> Result<bool, String> {
    let (mut hub_is, mut client_is) = (false, false);
    let end = now + Duration::from_secs(10);
    while now < end && !(hub_is && client_is) {
        for datagram in turn(hub, now, &mut hub_is)? {
            give(client, HUB, CLIENT, &datagram, now)?;
        }
        for datagram in turn(client, now, &mut client_is)? {
            give(hub, CLIENT, HUB, &datagram, now)?;
        }
        now += Duration::from_millis(20);
    }
    Ok(hub_is && client_is)
}

/// Drives one side; returns what leaves it.
pub fn turn(rtc: &mut Rtc, now: Instant, connected: &mut bool) -> Result<Vec<Vec<u8>>, String> {
    let mut leaving = Vec::new();
    rtc.handle_input(Input::Timeout(now)).map_err(|error| error.to_string())?;
    loop {
        match rtc.poll_output().map_err(|error| error.to_string())? {
            Output::Transmit(transmit) => leaving.push(transmit.contents.to_vec()),
            Output::Event(Event::Connected) => *connected = true,
            Output::Event(_) => {}
            Output::Timeout(_) => return Ok(leaving),
        }
    }
}

fn give(rtc: &mut Rtc, from: SocketAddr, to: SocketAddr, datagram: &[u8], now: Instant) -> Result<(), String> {
    let received = Receive::new(Protocol::Udp, from, to, datagram).map_err(|error| error.to_string())?;
    rtc.handle_input(Input::Receive(now, received)).map_err(|error| error.to_string())
}
