//! Connections as they come in: plain, or, where the hub has a certificate, TLS on the same port. The first byte tells which.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{self, IncomingStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

/// For a client to say what it speaks, and for a TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// So many handshakes may be under way at once; more connections are closed.
const HANDSHAKES: usize = 256;
/// And so many of one address, so that nobody takes every place: a household behind one address needs fewer.
const HANDSHAKES_OF_ONE: usize = 64;
/// First byte of a TLS connection: a handshake record (RFC 8446, section 5.1). HTTP begins with a letter.
const HANDSHAKE: u8 = 22;

/// Who is calling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Its address.
    pub address: SocketAddr,
    /// It speaks TLS.
    pub is_secure: bool,
}

/// One connection.
pub enum Connection {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where connections come in.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Handshakes>,
}

struct Handshakes {
    acceptor: TlsAcceptor,
    underway: Arc<Mutex<HashMap<IpAddr, usize>>>,
    done: mpsc::Sender<(Connection, Caller)>,
    ready: mpsc::Receiver<(Connection, Caller)>,
}

impl Listener {
    /// Takes the connections of `tcp`; those that begin with TLS are told what `tls` says, if there is anything.
    pub fn new(tcp: TcpListener, tls: Option<Arc<ServerConfig>>) -> Listener {
        let tls = tls.map(|config| {
            let (done, ready) = mpsc::channel(HANDSHAKES);
            Handshakes { acceptor: config.into(), underway: Arc::default(), done, ready }
        });
        Listener { tcp, tls }
    }
}

impl Handshakes {
    /// Finds out what a client speaks, beside everything else.
    fn begin(&self, stream: TcpStream, address: SocketAddr) {
        let Some(place) = Place::take(&self.underway, address.ip()) else {
            log::debug!("{address} is not heard: too many others are still to say what they speak");
            return;
        };
        let (acceptor, done) = (self.acceptor.clone(), self.done.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_TIME, handshake(&acceptor, stream)).await {
                Ok(Ok(connection)) => {
                    let is_secure = matches!(connection, Connection::Tls(_));
                    // Nobody takes it any more when the hub is ending.
                    let _ = done.send((connection, Caller { address, is_secure })).await;
                }
                Ok(Err(error)) => log::debug!("{address}: no TLS: {error}"),
                Err(_) => log::debug!("{address}: no TLS in time"),
            }
            drop(place);
        });
    }
}

/// Room for one handshake, given back when it is dropped.
struct Place {
    underway: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Place {
    fn take(underway: &Arc<Mutex<HashMap<IpAddr, usize>>>, address: IpAddr) -> Option<Place> {
        let mut counts = underway.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = counts.get(&address).copied().unwrap_or(0);
        if of_one >= HANDSHAKES_OF_ONE || counts.values().sum::<usize>() >= HANDSHAKES {
            return None;
        }
        counts.insert(address, of_one + 1);
        Some(Place { underway: Arc::clone(underway), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.underway.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

async fn handshake(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<Connection> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
        return Ok(Connection::Plain(stream));
    }
    Ok(Connection::Tls(Box::new(acceptor.accept(stream).await?)))
}

impl serve::Listener for Listener {
    type Io = Connection;
    type Addr = Caller;

    async fn accept(&mut self) -> (Connection, Caller) {
        loop {
            let ready = async {
                match &mut self.tls {
                    Some(tls) => tls.ready.recv().await,
                    None => std::future::pending().await,
                }
            };
            let (stream, address) = tokio::select! {
                Some(ready) = ready => return ready,
                accepted = serve::Listener::accept(&mut self.tcp) => accepted,
            };
            // A join and its answer are two small writes: held together until the first is acknowledged, the second would be 40 ms late.
            if let Err(error) = stream.set_nodelay(true) {
                log::debug!("a connection sends late: {error}");
            }
            match &self.tls {
                Some(tls) => tls.begin(stream, address),
                None => return (Connection::Plain(stream), Caller { address, is_secure: false }),
            }
        }
    }

    fn local_addr(&self) -> io::Result<Caller> {
        Ok(Caller { address: self.tcp.local_addr()?, is_secure: self.tls.is_some() })
    }
}

impl Connected<IncomingStream<'_, Listener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Caller {
        *stream.remote_addr()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Connection::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Connection::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_only_its_share_of_the_places() {
        let underway = Arc::default();
        let take = |last: u8| Place::take(&underway, IpAddr::from([10, 0, 0, last]));
        let mut first: Vec<Place> = std::iter::from_fn(|| take(1)).collect();
        assert_eq!(first.len(), HANDSHAKES_OF_ONE);
        let others: Vec<Place> = (2..=255).filter_map(take).collect();
        assert_eq!(first.len() + others.len(), HANDSHAKES);
        assert!(take(1).is_none());
        first.pop();
        assert!(take(1).is_some(), "one is over");
        drop((first, others));
        assert!(underway.lock().unwrap().is_empty(), "nothing is kept of those who went");
    }
}
