//! A TCP proxy whose connections can be cut, to lose a signalling connection and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// The proxy; dropping it ends it.
pub struct Proxy {
    /// Where to connect to instead.
    pub address: SocketAddr,
    cut: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Passes connections on to `target`.
    pub async fn new(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = Arc::new(Notify::new());
        let broken = Arc::clone(&cut);
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (target, broken) = (target.clone(), Arc::clone(&broken));
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(&target).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        () = broken.notified() => {}
                    }
                });
            }
        });
        Self { address, cut, task }
    }

    /// Cuts every connection that is open; new ones work.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }
}
