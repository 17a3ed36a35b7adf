//! The runtime that a connection's driver runs on: one thread for all connections, big socket buffers, and a way for
//! plain threads to wake the driver.
//!
//! The `webrtc` crate reads outgoing RTP only from async calls, one channel message per packet. Its driver waits in
//! [`Runtime::sleep`] between events, so a sleep that can also be ended by [`Wake::wake`] lets an encoder's thread put
//! packets into a queue of ours and have the driver fetch them, without an async hop (see [`super::exchange`]).

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime, TokioRuntime,
};

use super::link_local;
use super::socket::{Gate, PeerSocket};
use super::tcp::{Carries, NoListener, PeerStream};

/// Bytes the kernel holds for a socket until the driver thread gets the processor: half a second of 8 Mbit/s. The kernel
/// counts its own overhead too and may grant less (`net.core.rmem_max`).
const SOCKET_BUFFER: usize = 1 << 20;

/// Wakes one connection's driver, from any thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Wake(Arc<Notify>);

impl Wake {
    /// Makes the driver look at the queues; several calls before it does are one.
    pub(super) fn wake(&self) {
        self.0.notify_one();
    }
}

/// How many of a connection's tasks there are. A task counts until its future is dropped, sockets and all: the crate's own `close`
/// returns when its driver said that it is about to end.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks(Arc<watch::Sender<usize>>);

impl Tasks {
    fn begin(&self) -> Task {
        self.0.send_modify(|tasks| *tasks += 1);
        Task(self.clone())
    }

    /// Waits until all of them ended.
    pub(super) async fn ended(&self) {
        // The sender is ours, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|tasks| *tasks == 0).await;
    }
}

/// One of them.
struct Task(Tasks);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.0.send_modify(|tasks| *tasks -= 1);
    }
}

/// The runtime of one connection.
pub(super) struct PeerRuntime {
    driver: Handle,
    wake: Wake,
    carries: Carries,
    tasks: Tasks,
    gate: Gate,
    link_local: Option<SocketAddrV6>,
}

impl PeerRuntime {
    /// # Errors
    /// The driver thread cannot be started.
    pub(super) fn new(
        wake: Wake,
        carries: Carries,
        tasks: Tasks,
        gate: Gate,
        link_local: Option<SocketAddrV6>,
    ) -> io::Result<Self> {
        Ok(Self { driver: driver_thread()?, wake, carries, tasks, gate, link_local })
    }
}

impl fmt::Debug for PeerRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerRuntime")
    }
}

/// The thread that drives every connection of the process, started by the first. Without connections it sleeps.
fn driver_thread() -> io::Result<Handle> {
    static DRIVER: OnceLock<Handle> = OnceLock::new();
    if let Some(handle) = DRIVER.get() {
        return Ok(handle.clone());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let ours = DRIVER.get_or_init(|| handle.clone()).clone();
    // Another thread may have been faster; then its runtime is the one, and this one is dropped unused.
    if ours.id() == handle.id() {
        std::thread::Builder::new()
            .name("rtc".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    } else {
        runtime.shutdown_background();
    }
    Ok(ours)
}

struct Spawned(tokio::task::JoinHandle<()>);

impl JoinHandle for Spawned {
    fn detach(&self) {}

    fn abort(&self) {
        self.0.abort();
    }

    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Runtime for PeerRuntime {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        let task = self.tasks.begin();
        Box::new(Spawned(self.driver.spawn(async move {
            let _task = task;
            future.await;
        })))
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = link_local::replace(socket, self.link_local)?;
        // With the default of about 90 packets a burst is lost whenever the thread has to wait for the processor.
        if let Err(error) = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER) {
            log::debug!("the receive buffer of {:?} stays small: {error}", socket.local_addr());
        }
        if let Err(error) = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER) {
            log::debug!("the send buffer of {:?} stays small: {error}", socket.local_addr());
        }
        let socket = TokioRuntime.wrap_udp_socket(socket)?;
        Ok(Arc::new(PeerSocket::new(socket, self.wake.clone(), self.gate.clone())))
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        // Dropping it closes its port.
        Ok(Arc::new(NoListener(listener.local_addr()?)))
    }

    fn connect_tcp<'a>(
        &'a self,
        remote: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        let (wake, carries) = (self.wake.clone(), Arc::clone(&self.carries));
        Box::pin(async move {
            let stream: Arc<dyn AsyncTcpStream> = Arc::new(PeerStream::connect(remote, wake, carries).await?);
            Ok(stream)
        })
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        TokioRuntime::resolve_host(&TokioRuntime, host)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        let wake = Arc::clone(&self.wake.0);
        Box::pin(async move {
            tokio::select! {
                () = tokio::time::sleep(duration) => {}
                () = wake.notified() => {}
            }
        })
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn name(&self) -> &'static str {
        "zegod"
    }
}
