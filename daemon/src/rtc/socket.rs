//! A connection's socket: it keeps ICE checks that come before the answer, leaves out what the crate must not see of a handshake, and has
//! the driver look again after a packet that is not media.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

use super::handshake::Repetitions;
use super::handshake_budget::HandshakeBudget;
use super::runtime::Wake;

/// The first two bytes of a STUN Binding request, RFC 8489 §5.
const BINDING_REQUEST: [u8; 2] = [0, 1];
/// Requests that are kept of one socket: a server sends one for each of its addresses, and some again.
const KEPT: usize = 16;

/// Whether the other side's ICE credentials are known.
///
/// A server sends its first check as soon as it has our offer, and the check often overtakes the answer (RFC 8445 §7.3). The crate
/// drops it then; the server sends it again only after half a second, and the handshake that waits for it after a second.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The credentials are known: what was kept is delivered.
    pub(super) fn open(&self) {
        let waiting = {
            let mut state = self.state();
            state.open = true;
            std::mem::take(&mut state.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }

    /// They will be others: an ICE restart was offered.
    pub(super) fn close(&self) {
        self.state().open = false;
    }

    /// Whether it is open; if not, the task is woken when it is.
    fn poll(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        if !state.open && !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        state.open
    }
}

/// What one call of `poll_recv` gave.
#[derive(Debug)]
struct Received {
    bytes: Vec<u8>,
    meta: RecvMeta,
}

/// The socket.
///
/// The driver writes first and looks at events after that. What an event gives rise to (the handshake, once ICE has a path; the
/// opening of the data channels, once SCTP is up) would wait for the next timer, up to 200 ms: so it takes one more turn after a
/// packet of ICE or DTLS.
#[derive(Debug)]
pub(super) struct PeerSocket {
    socket: Arc<dyn AsyncUdpSocket>,
    wake: Wake,
    gate: Gate,
    early: Mutex<VecDeque<Received>>,
    handshake: Mutex<(Repetitions, HandshakeBudget)>,
}

impl PeerSocket {
    pub(super) fn new(socket: Arc<dyn AsyncUdpSocket>, wake: Wake, gate: Gate) -> Self {
        Self { socket, wake, gate, early: Mutex::default(), handshake: Mutex::default() }
    }

    fn early(&self) -> MutexGuard<'_, VecDeque<Received>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that was kept, in the buffers; `None` when there is nothing.
    fn kept(&self, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Option<usize> {
        let received = self.early().pop_front()?;
        let (buffer, about) = (bufs.first_mut()?, meta.first_mut()?);
        buffer.get_mut(..received.bytes.len())?.copy_from_slice(&received.bytes);
        *about = received.meta;
        Some(1)
    }

    /// Whether what came only repeats a part of the handshake, or is more of it than the crate may have.
    fn must_not_be_seen(&self, bufs: &[IoSliceMut<'_>], meta: &[RecvMeta]) -> bool {
        let (Some(buffer), Some(meta)) = (bufs.first(), meta.first()) else { return false };
        let Some(bytes) = buffer.get(..meta.len) else { return false };
        let (repetitions, budget) = &mut *self.handshake.lock().unwrap_or_else(PoisonError::into_inner);
        repetitions.is_one(bytes) || !budget.admits(bytes)
    }

    /// Keeps what came if it is a check. The oldest goes when there are too many.
    fn keep(&self, bufs: &[IoSliceMut<'_>], meta: &[RecvMeta]) -> bool {
        let (Some(buffer), Some(meta)) = (bufs.first(), meta.first()) else { return false };
        let Some(bytes) = buffer.get(..meta.len).filter(|bytes| bytes.starts_with(&BINDING_REQUEST)) else {
            return false;
        };
        let mut early = self.early();
        if early.len() == KEPT {
            early.pop_front();
        }
        early.push_back(Received { bytes: bytes.to_vec(), meta: *meta });
        true
    }
}

impl AsyncUdpSocket for PeerSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        match self.socket.poll_send(cx, transmit) {
            // Lost like any other datagram. The crate would log each as an error.
            Poll::Ready(Err(error)) if no_way(&error) => Poll::Ready(Ok(transmit.contents.len())),
            other => other,
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let is_open = self.gate.poll(cx);
        if is_open && let Some(count) = self.kept(bufs, meta) {
            self.wake.wake();
            return Poll::Ready(Ok(count));
        }
        loop {
            // One at a time: what is behind a check that is kept stays in the kernel.
            let result = self.socket.poll_recv(cx, &mut bufs[..1], &mut meta[..1]);
            // As candidates have it: without a scope.
            meta[0].addr = SocketAddr::new(meta[0].addr.ip(), meta[0].addr.port());
            if let Poll::Ready(Ok(1..)) = &result {
                if !is_open && self.keep(bufs, meta) || self.must_not_be_seen(bufs, meta) {
                    continue;
                }
                let first = bufs.first().and_then(|buffer| buffer.first());
                if first.is_some_and(|first| !(128..192).contains(first)) {
                    // Not RTP or RTCP, RFC 7983.
                    self.wake.wake();
                }
            }
            return result;
        }
    }

    fn max_gso_segments(&self) -> usize {
        self.socket.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.socket.max_gro_segments()
    }
}

/// Whether a datagram could not leave because the network is away.
fn no_way(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, InvalidInput, NetworkDown, NetworkUnreachable};
    // A socket whose address was taken from its interface gives InvalidInput.
    matches!(error.kind(), NetworkUnreachable | HostUnreachable | NetworkDown | AddrNotAvailable | InvalidInput)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::net::UdpSocket;
    use std::time::Duration;

    use webrtc::runtime::{Runtime, TokioRuntime};

    const REQUEST: [u8; 20] = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    const RESPONSE: [u8; 20] = [1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

    struct Sides {
        socket: PeerSocket,
        gate: Gate,
        other: UdpSocket,
    }

    fn sides() -> Sides {
        let (ours, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        other.connect(ours.local_addr().unwrap()).unwrap();
        let gate = Gate::default();
        let socket = TokioRuntime.wrap_udp_socket(ours).unwrap();
        Sides { socket: PeerSocket::new(socket, Wake::default(), gate.clone()), gate, other }
    }

    async fn receive(socket: &PeerSocket) -> Option<Vec<u8>> {
        let received = poll_fn(|cx| {
            let (mut buffer, mut meta) = (vec![0; 65_536], [RecvMeta::default()]);
            let result = socket.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta);
            result.map(|count| count.map(|_| buffer[..meta[0].len].to_vec()))
        });
        tokio::time::timeout(Duration::from_millis(300), received).await.ok().map(|bytes| bytes.unwrap())
    }

    #[tokio::test]
    async fn a_check_before_the_answer_is_delivered_after_it() {
        let Sides { socket, gate, other } = sides();
        other.send(&REQUEST).unwrap();
        assert_eq!(receive(&socket).await, None, "the answer is not there");
        let (kept, ()) = tokio::join!(receive(&socket), async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            gate.open();
        });
        assert_eq!(kept.as_deref(), Some(&REQUEST[..]), "opening wakes whoever waits");
        other.send(&REQUEST).unwrap();
        assert_eq!(receive(&socket).await.as_deref(), Some(&REQUEST[..]), "at once from now on");
    }

    #[tokio::test]
    async fn what_a_stun_server_answers_passes() {
        let Sides { socket, other, .. } = sides();
        other.send(&REQUEST).unwrap();
        other.send(&RESPONSE).unwrap();
        assert_eq!(receive(&socket).await.as_deref(), Some(&RESPONSE[..]));
    }

    #[tokio::test]
    async fn few_are_kept_and_a_restart_keeps_anew() {
        let Sides { socket, gate, other } = sides();
        for number in 0..40 {
            let mut request = REQUEST;
            request[19] = number;
            other.send(&request).unwrap();
        }
        assert_eq!(receive(&socket).await, None);
        gate.open();
        let first = receive(&socket).await.unwrap();
        assert_eq!(usize::from(first[19]), 40 - KEPT, "the newest are kept");
        gate.close();
        other.send(&REQUEST).unwrap();
        assert_eq!(receive(&socket).await, None);
        gate.open();
        assert!(receive(&socket).await.is_some());
    }
}
