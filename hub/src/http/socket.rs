//! One client's WebSocket: protobuf frames in and out, JSON for clients that begin with it.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use livekit_protocol as proto;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::core::{Inbox, Input, OUTBOX, Outbound};
use crate::rooms::{ConnectionKey, Join};

/// A ping this often finds out whether the client's machine is still there, and keeps NATs open.
const PING: Duration = Duration::from_secs(10);
/// A client that does not take a message for so long is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// For what lies in the socket of a client that closed.
const DRAIN: Duration = Duration::from_secs(1);

/// Serves a client until either side closes.
pub async fn serve(mut socket: WebSocket, connection: ConnectionKey, join: Join, inbox: Inbox) {
    let (outbox, mut messages) = mpsc::channel(OUTBOX);
    if inbox.send(Input::Join(connection, Box::new(join), outbox)).await.is_err() {
        return;
    }
    let mut pings = tokio::time::interval_at(tokio::time::Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut json = false;
    loop {
        let out = tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(message)) => {
                    json |= matches!(message, Message::Text(_));
                    let request = match request(&message) {
                        Some(Ok(request)) => request,
                        Some(Err(problem)) => {
                            log::info!("a signalling connection is closed: {problem}");
                            break;
                        }
                        None => continue,
                    };
                    if inbox.send(Input::Request(connection, Box::new(request))).await.is_err() {
                        break;
                    }
                    continue;
                }
                Some(Err(_)) | None => break,
            },
            message = messages.recv() => match message {
                Some(Outbound::Message(response)) => frame(*response, json),
                Some(Outbound::Close) | None => {
                    // Without a code a browser takes it for a fault.
                    let normal = CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::default() };
                    let _ = tokio::time::timeout(SEND_TIMEOUT, socket.send(Message::Close(Some(normal)))).await;
                    break;
                }
            },
            _ = pings.tick() => Message::Ping(Default::default()),
        };
        match tokio::time::timeout(SEND_TIMEOUT, socket.send(out)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                // It closed its side; what it said before that, such as that it leaves, still counts.
                let _ = tokio::time::timeout(DRAIN, drain(&mut socket, connection, &inbox)).await;
                break;
            }
            Err(_) => break,
        }
    }
    // Nobody listens any more when the hub is ending.
    let _ = inbox.send(Input::Lost(connection)).await;
}

/// Hands on what a client said before it closed.
async fn drain(socket: &mut WebSocket, connection: ConnectionKey, inbox: &Inbox) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Some(Ok(request)) = request(&message)
            && inbox.send(Input::Request(connection, Box::new(request))).await.is_err()
        {
            return;
        }
    }
}

/// The request in a frame; `None` for frames and requests that carry none.
fn request(message: &Message) -> Option<Result<proto::signal_request::Message, String>> {
    let decoded = match message {
        Message::Binary(bytes) => proto::SignalRequest::decode(bytes.as_ref()).map_err(|e| e.to_string()),
        Message::Text(text) => serde_json::from_str::<proto::SignalRequest>(text).map_err(|e| e.to_string()),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => return None,
    };
    match decoded {
        Ok(request) => request.message.map(Ok),
        Err(problem) => Some(Err(problem)),
    }
}

fn frame(response: proto::signal_response::Message, json: bool) -> Message {
    let response = proto::SignalResponse { message: Some(response) };
    if json {
        match serde_json::to_string(&response) {
            Ok(text) => return Message::Text(text.into()),
            Err(error) => log::error!("a message cannot be written as JSON: {error}"),
        }
    }
    Message::Binary(response.encode_to_vec().into())
}
