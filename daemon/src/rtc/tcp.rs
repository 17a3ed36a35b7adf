//! Media over TCP (RFC 6544), for networks where no UDP gets through.
//!
//! We connect, and nobody connects to us: a device has no open port. A server's TCP candidates are kept from the crate until UDP has had its
//! time, because a connection that settles on TCP, only because one packet was lost, stays there.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpStream;
use webrtc::runtime::{AsyncTcpListener, AsyncTcpStream};

use super::runtime::Wake;

/// For UDP to connect, before TCP is tried as well.
pub(super) const UDP_TIME: Duration = Duration::from_millis(1500);

/// Whether a candidate line is one of TCP's: `candidate:FOUNDATION COMPONENT TRANSPORT …`, RFC 8839 §5.1.
pub(super) fn is_tcp(candidate: &str) -> bool {
    candidate.split_whitespace().nth(2).is_some_and(|transport| transport.eq_ignore_ascii_case("tcp"))
}

/// Where the crate would wait for others to connect. It needs one for each address from which it is to connect itself.
#[derive(Debug)]
pub(super) struct NoListener(pub(super) SocketAddr);

type Accepted = io::Result<(std::sync::Arc<dyn AsyncTcpStream>, SocketAddr)>;

impl AsyncTcpListener for NoListener {
    fn accept<'a>(&'a self) -> Pin<Box<dyn Future<Output = Accepted> + Send + 'a>> {
        Box::pin(std::future::pending())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.0)
    }
}

/// A connection to a server.
#[derive(Debug)]
pub(super) struct PeerStream {
    stream: TcpStream,
    wake: Wake,
}

impl PeerStream {
    pub(super) async fn connect(remote: SocketAddr, wake: Wake) -> io::Result<Self> {
        let stream = TcpStream::connect(remote).await?;
        // A packet is not to wait until the one before it is acknowledged.
        stream.set_nodelay(true)?;
        Ok(Self { stream, wake })
    }
}

impl AsyncTcpStream for PeerStream {
    fn read<'a, 'b>(&'a self, buf: &'b mut [u8]) -> Pin<Box<dyn Future<Output = io::Result<usize>> + Send + 'b>>
    where
        'a: 'b,
    {
        Box::pin(async move {
            loop {
                self.stream.readable().await?;
                match self.stream.try_read(buf) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => {
                        // The driver is to look at what it gives rise to, see `PeerSocket`.
                        self.wake.wake();
                        return result;
                    }
                }
            }
        })
    }

    fn write_all<'a, 'b>(&'a self, buf: &'b [u8]) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'b>>
    where
        'a: 'b,
    {
        Box::pin(async move {
            let mut rest = buf;
            while !rest.is_empty() {
                self.stream.writable().await?;
                match self.stream.try_write(rest) {
                    Ok(count) => rest = &rest[count..],
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_of_tcp_are_told_apart() {
        for (candidate, expected) in [
            ("candidate:1 1 tcp 1518280447 10.77.0.1 7882 typ host tcptype passive", true),
            ("candidate:1 1 TCP 1518280447 10.77.0.1 7882 typ host tcptype passive", true),
            ("candidate:1 1 udp 2130706431 10.77.0.1 7882 typ host", false),
            ("candidate:tcp 1 udp 2130706431 tcp 7882 typ host", false),
            ("", false),
        ] {
            assert_eq!(is_tcp(candidate), expected, "{candidate}");
        }
    }
}
