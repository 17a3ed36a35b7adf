//! Hears of changes from the kernel: a netlink socket of the family ROUTE (rtnetlink(7)).
//!
//! The messages only say *that* something changed; what is there is read anew. So none has to be understood, and none that the
//! kernel drops is missed: it says so on the socket (ENOBUFS), which is one more reason to look.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use tokio::net::UnixDatagram;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::Network;

/// Multicast groups of linux/rtnetlink.h: links, IPv4 and IPv6 addresses, IPv4 and IPv6 routes.
const GROUPS: u32 = 0x1 | 0x10 | 0x100 | 0x40 | 0x400;
/// Changes come in bursts: an interface that comes up brings addresses and routes. It is looked at when there was nothing for so long …
const QUIET: Duration = Duration::from_millis(30);
/// … and at the latest after this.
const LATEST: Duration = Duration::from_millis(200);

/// The network as it is now, and as it becomes. Watching ends with the last receiver.
///
/// # Errors
/// The kernel gives no netlink socket.
pub fn watch() -> io::Result<watch::Receiver<Network>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Without a protocol it is that of number 0, ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    // Bound before the first look, so that no change is missed in between.
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    // A datagram socket like any other: only its addresses are not those of this type, and they are not asked for.
    let socket = UnixDatagram::from_std(socket.into())?;
    let (tell, network) = watch::channel(Network::now());
    tokio::spawn(async move {
        tokio::select! {
            () = tell.closed() => {}
            error = follow(&socket, &tell) => log::error!("changes of the network are not noticed any more: {error}"),
        }
    });
    Ok(network)
}

/// Looks at the network whenever something changes; ends only with an error.
async fn follow(socket: &UnixDatagram, tell: &watch::Sender<Network>) -> io::Error {
    loop {
        if let Err(error) = changed(socket).await {
            return error;
        }
        let latest = Instant::now() + LATEST;
        while let Ok(more) = timeout_at(latest.min(Instant::now() + QUIET), changed(socket)).await {
            if let Err(error) = more {
                return error;
            }
            if Instant::now() >= latest {
                break;
            }
        }
        let now = Network::now();
        tell.send_if_modified(|network| {
            let differs = *network != now;
            if differs {
                log::info!("the network is another one: {}", now.mode());
                *network = now;
            }
            differs
        });
    }
}

/// Waits for a message and throws it away.
async fn changed(socket: &UnixDatagram) -> io::Result<()> {
    // One that does not fit is cut off, which does no harm.
    let mut buffer = [0; 64];
    match socket.recv(&mut buffer).await {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => Ok(()),
        Err(error) => Err(error),
    }
}
