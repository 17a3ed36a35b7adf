//! A UDP relay that loses and delays media, to stand between two peers on one machine.

#![allow(dead_code)] // Each test file uses a part of it.

pub mod tcp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::Mutex;

/// What happens on the way.
#[derive(Clone, Copy, Default)]
pub struct Path {
    /// Per mille of RTP and RTCP packets that are lost.
    pub lost: u64,
    /// Time each way.
    pub delay: Duration,
}

/// The relay; dropping it ends it.
pub struct Relay {
    /// Where the first peer sends to.
    pub first: SocketAddr,
    /// Where the second peer sends to.
    pub second: SocketAddr,
    /// Media packets that were lost on purpose.
    pub dropped: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Relay {
    /// Opens the relay's two ends on 127.0.0.1.
    pub async fn new(path: Path) -> Self {
        let first = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let second = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let addresses = Arc::new([Mutex::new(None), Mutex::new(None)]);
        let dropped = Arc::new(AtomicU64::new(0));
        let ends = [Arc::clone(&first), Arc::clone(&second)];
        let tasks = (0..2).map(|side| {
            let (from, to) = (Arc::clone(&ends[side]), Arc::clone(&ends[1 - side]));
            let (addresses, dropped) = (Arc::clone(&addresses), Arc::clone(&dropped));
            tokio::spawn(async move {
                // A fixed sequence, so that a failure can be repeated.
                let mut state = 0x2545_f491_4f6c_dd1d_u64 + side as u64;
                let mut buffer = vec![0; 2048];
                loop {
                    let Ok((length, source)) = from.recv_from(&mut buffer).await else { continue };
                    *addresses[side].lock().await = Some(source);
                    let media = (128..192).contains(&buffer[0]);
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    if media && state % 1000 < path.lost {
                        dropped.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let Some(target) = *addresses[1 - side].lock().await else { continue };
                    let datagram = buffer[..length].to_vec();
                    if path.delay.is_zero() {
                        let _ = to.send_to(&datagram, target).await;
                    } else {
                        let to = Arc::clone(&to);
                        tokio::spawn(async move {
                            tokio::time::sleep(path.delay).await;
                            let _ = to.send_to(&datagram, target).await;
                        });
                    }
                }
            })
        });
        let tasks = tasks.collect();
        Self { first: first.local_addr().unwrap(), second: second.local_addr().unwrap(), dropped, tasks }
    }
}

/// A candidate with its address replaced by `address`.
pub fn moved(candidate: &str, address: SocketAddr) -> String {
    let mut json: serde_json::Value = serde_json::from_str(candidate).unwrap();
    let mut words: Vec<String> = json["candidate"].as_str().unwrap().split(' ').map(str::to_owned).collect();
    words[4] = address.ip().to_string();
    words[5] = address.port().to_string();
    json["candidate"] = serde_json::Value::String(words.join(" "));
    json.to_string()
}
