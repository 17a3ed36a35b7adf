//! What waits to be sent to one client: bounded, because a client that does not read must cost only itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use livekit_protocol::signal_response::Message as Response;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Messages that may wait.
const MESSAGES: usize = 512;
/// Bytes that may wait, unless a single message has more.
const BYTES: usize = 8 << 20;

/// What a connection is to send.
#[derive(Debug)]
pub enum Outbound {
    /// A message.
    Message(Box<Response>),
    /// Nothing more: close.
    Close,
}

impl Outbound {
    fn size(&self) -> usize {
        match self {
            Outbound::Message(message) => message.encoded_len(),
            Outbound::Close => 0,
        }
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Too much waits already.
    Full,
    /// Nobody sends it any more.
    Closed,
}

/// Where messages for a client are put.
#[derive(Debug)]
pub struct Outbox {
    messages: mpsc::Sender<Outbound>,
    waiting: Arc<AtomicUsize>,
}

/// Where they are taken.
#[derive(Debug)]
pub struct Messages {
    messages: mpsc::Receiver<Outbound>,
    waiting: Arc<AtomicUsize>,
}

/// Both ends, with nothing in between.
pub fn outbox() -> (Outbox, Messages) {
    let (sender, receiver) = mpsc::channel(MESSAGES);
    let waiting = Arc::new(AtomicUsize::new(0));
    (Outbox { messages: sender, waiting: Arc::clone(&waiting) }, Messages { messages: receiver, waiting })
}

impl Outbox {
    /// Puts a message at the end.
    pub fn post(&self, message: Outbound) -> Result<(), Rejection> {
        let size = message.size();
        let before = self.waiting.fetch_add(size, Ordering::Relaxed);
        if before > 0 && before + size > BYTES {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            return Err(Rejection::Full);
        }
        self.messages.try_send(message).map_err(|error| {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => Rejection::Full,
                TrySendError::Closed(_) => Rejection::Closed,
            }
        })
    }
}

impl Messages {
    /// The next message; `None` when no more will come.
    pub async fn recv(&mut self) -> Option<Outbound> {
        let message = self.messages.recv().await?;
        self.waiting.fetch_sub(message.size(), Ordering::Relaxed);
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use livekit_protocol as proto;

    use super::*;

    fn message(bytes: usize) -> Outbound {
        let room = proto::Room { metadata: "x".repeat(bytes), ..Default::default() };
        Outbound::Message(Box::new(Response::RoomUpdate(proto::RoomUpdate { room: Some(room) })))
    }

    #[tokio::test]
    async fn so_many_messages_wait_and_no_more() {
        let (outbox, mut messages) = outbox();
        let taken = (0..2 * MESSAGES).filter(|_| outbox.post(message(1)).is_ok()).count();
        assert_eq!(taken, MESSAGES);
        assert!(messages.recv().await.is_some());
        assert_eq!(outbox.post(message(1)), Ok(()));
        drop(messages);
        assert_eq!(outbox.post(message(1)), Err(Rejection::Closed));
    }

    #[tokio::test]
    async fn so_many_bytes_wait_and_no_more() {
        let (outbox, mut messages) = outbox();
        let taken = (0..MESSAGES).filter(|_| outbox.post(message(BYTES / 8)).is_ok()).count();
        assert_eq!(taken, 7, "seven eighths, and what is around them");
        for _ in 0..taken {
            assert!(messages.recv().await.is_some());
        }
        assert_eq!(outbox.post(message(3 * BYTES)), Ok(()), "nothing waits before it");
        assert_eq!(outbox.post(Outbound::Close), Err(Rejection::Full));
    }
}
