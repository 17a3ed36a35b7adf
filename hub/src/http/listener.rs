//! Connections as they come in: plain, or, where the hub has a certificate, TLS on the same port. The first byte tells which.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use super::tally::Refused;
use crate::limits::{Place, Places, block};

/// For a client to say what it speaks, and for a TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// So many handshakes may be under way at once; more connections are closed.
const HANDSHAKES: usize = 256;
/// And so many of one address, so that nobody takes every place: a household behind one address needs fewer.
const HANDSHAKES_OF_ONE: usize = 64;
/// First byte of a TLS connection: a handshake record (RFC 8446, section 5.1). HTTP begins with a letter.
const HANDSHAKE: u8 = 22;
/// A connection on which something waits to be taken is closed by the kernel when nothing of it was for so long.
const UNTAKEN: Duration = Duration::from_secs(30);
/// What somebody hears who has too many connections, before it said anything.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Access-Control-Allow-Origin: *\r\nConnection: close\r\nContent-Length: 62\r\n\r\n\
    This address has too many connections open: close some of them";

/// Who is calling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Its address.
    pub address: SocketAddr,
    /// It speaks TLS.
    pub is_secure: bool,
}

/// One connection.
pub struct Connection {
    stream: Stream,
    /// Given back when the connection ends, whatever became of it meanwhile.
    _place: Option<Place<IpAddr>>,
}

enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where connections come in.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Handshakes>,
    places: Places<IpAddr>,
    refused: Arc<Refused>,
}

struct Handshakes {
    acceptor: TlsAcceptor,
    places: Places<IpAddr>,
    done: mpsc::Sender<(Connection, Caller)>,
    ready: mpsc::Receiver<(Connection, Caller)>,
}

impl Listener {
    /// Takes the connections of `tcp`, as far as there are `places`; those that begin with TLS are told what `tls` says, if there is
    /// anything.
    pub fn new(
        tcp: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        places: Places<IpAddr>,
        refused: Arc<Refused>,
    ) -> Listener {
        let tls = tls.map(|config| {
            let (done, ready) = mpsc::channel(HANDSHAKES);
            let places = Places::new(HANDSHAKES, HANDSHAKES_OF_ONE);
            Handshakes { acceptor: config.into(), places, done, ready }
        });
        Listener { tcp, tls, places, refused }
    }

    /// The next connection.
    pub async fn accept(&mut self) -> (Connection, Caller) {
        loop {
            let ready = async {
                match &mut self.tls {
                    Some(tls) => tls.ready.recv().await,
                    None => std::future::pending().await,
                }
            };
            let (stream, address) = tokio::select! {
                Some(ready) = ready => return ready,
                accepted = axum::serve::Listener::accept(&mut self.tcp) => accepted,
            };
            let Some(place) = self.place(address.ip()) else {
                self.refused.connections.add();
                log::debug!("{address} is turned away: it has too many connections");
                self.turn_away(&stream);
                continue;
            };
            prepare(&stream);
            match &self.tls {
                Some(tls) => tls.begin(stream, address, place),
                None => {
                    let connection = Connection { stream: Stream::Plain(stream), _place: place };
                    return (connection, Caller { address, is_secure: false });
                }
            }
        }
    }

    /// A place for a connection, which one of this machine does not need. `None`: there is none left.
    #[allow(clippy::option_option)] // No place, and no need of one.
    fn place(&self, address: IpAddr) -> Option<Option<Place<IpAddr>>> {
        if address.to_canonical().is_loopback() {
            return Some(None);
        }
        self.places.take(block(address)).map(Some)
    }

    /// Says why, where that can be said without waiting; the connection ends when it is dropped.
    fn turn_away(&self, stream: &TcpStream) {
        if self.tls.is_none() {
            // The buffer of a new socket is empty. Whoever does not hear it sees the connection end.
            let _ = stream.try_write(TOO_MANY);
        }
    }
}

/// Sets what the kernel is to do with a connection.
fn prepare(stream: &TcpStream) {
    // A join and its answer are two small writes: held together until the first is acknowledged, the second would be 40 ms late.
    if let Err(error) = stream.set_nodelay(true) {
        log::debug!("a connection sends late: {error}");
    }
    // Whoever asks for much and reads nothing would keep it here for ever.
    let time = u32::try_from(UNTAKEN.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = sockopt::set_tcp_user_timeout(stream, time) {
        log::debug!("a connection may stay untaken: {error}");
    }
}

impl Handshakes {
    /// Finds out what a client speaks, beside everything else.
    fn begin(&self, stream: TcpStream, address: SocketAddr, place: Option<Place<IpAddr>>) {
        let Some(underway) = self.places.take(block(address.ip())) else {
            log::debug!("{address} is not heard: too many others are still to say what they speak");
            return;
        };
        let (acceptor, done) = (self.acceptor.clone(), self.done.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_TIME, handshake(&acceptor, stream)).await {
                Ok(Ok(stream)) => {
                    let is_secure = matches!(stream, Stream::Tls(_));
                    let connection = Connection { stream, _place: place };
                    // Nobody takes it any more when the hub is ending.
                    let _ = done.send((connection, Caller { address, is_secure })).await;
                }
                Ok(Err(error)) => log::debug!("{address}: no TLS: {error}"),
                Err(_) => log::debug!("{address}: no TLS in time"),
            }
            drop(underway);
        });
    }
}

async fn handshake(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<Stream> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
        return Ok(Stream::Plain(stream));
    }
    Ok(Stream::Tls(Box::new(acceptor.accept(stream).await?)))
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_one_too_many_is_as_long_as_it_says() {
        let text = std::str::from_utf8(TOO_MANY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head} {}", body.len());
    }
}
