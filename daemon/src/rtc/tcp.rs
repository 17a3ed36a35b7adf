//! Media over TCP (RFC 6544), for networks where no UDP gets through.
//!
//! We connect, and nobody connects to us: a device has no open port. A server's TCP candidates are kept from the crate until UDP has had its
//! time, because a connection that settles on TCP, only because one packet was lost, stays there.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use webrtc::runtime::{AsyncTcpListener, AsyncTcpStream};
use zego_media_stream::{Kind, Sender, Waits};

use super::codecs::OPUS_PAYLOAD_TYPE;
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

type Accepted = io::Result<(Arc<dyn AsyncTcpStream>, SocketAddr)>;

impl AsyncTcpListener for NoListener {
    fn accept<'a>(&'a self) -> Pin<Box<dyn Future<Output = Accepted> + Send + 'a>> {
        Box::pin(std::future::pending())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.0)
    }
}

/// Told what a line carries, in bit/s, when it is too narrow or shows that it was.
pub(super) type Carries = Arc<dyn Fn(u64) + Send + Sync>;

/// A connection to a server.
pub(super) struct PeerStream {
    stream: TcpStream,
    sender: Mutex<Sender>,
    /// Something waits to go out.
    waits: Notify,
    wake: Wake,
    carries: Carries,
}

impl fmt::Debug for PeerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}

impl PeerStream {
    pub(super) async fn connect(remote: SocketAddr, wake: Wake, carries: Carries) -> io::Result<Self> {
        let stream = TcpStream::connect(remote).await?;
        zego_media_stream::prepare(&stream)?;
        Ok(Self { stream, sender: Mutex::new(Sender::new(Instant::now())), waits: Notify::new(), wake, carries })
    }

    fn sender(&self) -> MutexGuard<'_, Sender> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what waits, whenever something does; why that is over.
    async fn send_waiting(&self) -> io::Error {
        loop {
            let waits = self.sender().waits();
            let sent = match waits {
                Waits::Nothing => {
                    self.waits.notified().await;
                    Ok(())
                }
                Waits::Line(at) => {
                    tokio::time::sleep_until(at.into()).await;
                    self.sender().flush(&self.stream, Instant::now())
                }
                Waits::Room => self.send_when_there_is_room().await,
            };
            if let Err(error) = sent {
                return error;
            }
            self.tell_what_it_carries();
        }
    }

    /// Has the encoders make no more than the line carries.
    fn tell_what_it_carries(&self) {
        let carries = self.sender().carries();
        carries.into_iter().for_each(|bits_per_second| (self.carries)(bits_per_second));
    }

    async fn send_when_there_is_room(&self) -> io::Result<()> {
        self.stream.writable().await?;
        let sent = self.stream.try_io(Interest::WRITABLE, || {
            let mut sender = self.sender();
            sender.flush(&self.stream, Instant::now())?;
            // So that the runtime waits for room, too.
            if sender.waits() == Waits::Room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        sent.or_else(|error| if error.kind() == io::ErrorKind::WouldBlock { Ok(()) } else { Err(error) })
    }

    async fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
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
    }
}

impl AsyncTcpStream for PeerStream {
    /// The crate always reads, so that what waits to go out is sent meanwhile.
    fn read<'a, 'b>(&'a self, buf: &'b mut [u8]) -> Pin<Box<dyn Future<Output = io::Result<usize>> + Send + 'b>>
    where
        'a: 'b,
    {
        Box::pin(async move {
            tokio::select! {
                result = self.receive(buf) => result,
                error = self.send_waiting() => Err(error),
            }
        })
    }

    /// Takes a datagram behind its length. It never waits: the crate does nothing else meanwhile, and what comes late is worth nothing.
    fn write_all<'a, 'b>(&'a self, buf: &'b [u8]) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'b>>
    where
        'a: 'b,
    {
        Box::pin(async move {
            let datagram = buf.get(2..).unwrap_or_default();
            let kind = Kind::of(datagram, |payload_type| payload_type == OPUS_PAYLOAD_TYPE);
            {
                let mut sender = self.sender();
                sender.send(&self.stream, kind, datagram, Instant::now())?;
                if sender.waits() != Waits::Nothing {
                    self.waits.notify_one();
                }
            }
            self.tell_what_it_carries();
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
