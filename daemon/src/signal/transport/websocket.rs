//! A WebSocket that is open.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use livekit_net::{TransportError, WsConnection};
use reqwest::Upgraded;
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};

type Stream = WebSocketStream<Upgraded>;

/// Both directions, each for one at a time.
pub(super) struct Socket {
    sink: Mutex<SplitSink<Stream, Message>>,
    stream: Mutex<SplitStream<Stream>>,
}

impl Socket {
    pub(super) fn new(socket: Stream) -> Self {
        let (sink, stream) = socket.split();
        Self { sink: Mutex::new(sink), stream: Mutex::new(stream) }
    }
}

/// Whether the other side is only gone.
fn is_end(error: &Error) -> bool {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => true,
        // A server that dies ends TLS without a word.
        Error::Io(error) => error.kind() == std::io::ErrorKind::UnexpectedEof,
        _ => false,
    }
}

#[async_trait::async_trait]
impl WsConnection for Socket {
    async fn send(&self, frame: Vec<u8>) -> Result<(), TransportError> {
        let sent = self.sink.lock().await.send(Message::Binary(frame.into())).await;
        sent.map_err(|error| TransportError::Connection(error.to_string()))
    }

    async fn recv(&self) -> Result<Option<Vec<u8>>, TransportError> {
        let mut stream = self.stream.lock().await;
        loop {
            match stream.next().await {
                Some(Ok(Message::Binary(frame))) => return Ok(Some(frame.into())),
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                // The answer to a ping is queued by the library; it leaves with this.
                Some(Ok(Message::Ping(_))) => drop(self.sink.lock().await.flush().await),
                Some(Ok(_)) => {}
                Some(Err(error)) if is_end(&error) => return Ok(None),
                Some(Err(error)) => return Err(TransportError::Connection(error.to_string())),
            }
        }
    }

    async fn close(&self) {
        // One that is closed already is closed.
        let _ = self.sink.lock().await.close().await;
    }
}
