//! One client's WebSocket: protobuf frames in and out, JSON for clients that begin with it.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use livekit_protocol as proto;
use prost::Message as _;
use tokio::time::{Instant, MissedTickBehavior};

use super::patience::{Patience, Verdict};
use crate::core::{Inbox, Input};
use crate::outbox::{Messages, Outbound, outbox};
use crate::rooms::{ConnectionKey, Join};

/// A ping this often finds out whether the client's machine is still there, and keeps NATs open.
const PING: Duration = Duration::from_secs(10);
/// A client that does not take a message for so long is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// For what lies in the socket of a client that closed.
const DRAIN: Duration = Duration::from_secs(1);

/// Whether a client is listened to. Meanwhile what it says waits on its side, and it is told everything all the same.
enum Ear {
    Open,
    ShutUntil(Instant),
    /// It said far too much, and is about to be put out.
    Shut,
}

/// How a connection ended.
enum End {
    Closed,
    /// The client did not take what it was sent.
    NotRead,
}

/// Serves a client until either side closes.
pub async fn serve(socket: WebSocket, connection: ConnectionKey, join: Join, inbox: Inbox, patience: Patience) {
    let (outbox, messages) = outbox();
    if inbox.send(Input::Join(connection, Box::new(join), outbox)).await.is_ok() {
        let end = match exchange(socket, connection, messages, &inbox, patience).await {
            End::Closed => Input::Lost(connection),
            End::NotRead => Input::NotRead(connection),
        };
        // Nobody listens any more when the hub is ending.
        let _ = inbox.send(end).await;
    }
}

async fn exchange(
    mut socket: WebSocket,
    connection: ConnectionKey,
    mut messages: Messages,
    inbox: &Inbox,
    mut patience: Patience,
) -> End {
    let mut pings = tokio::time::interval_at(tokio::time::Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut json = false;
    let mut ear = Ear::Open;
    loop {
        let again_at = if let Ear::ShutUntil(at) = ear { Some(at) } else { None };
        let out = tokio::select! {
            received = socket.recv(), if matches!(ear, Ear::Open) => match received {
                Some(Ok(message)) => {
                    json |= matches!(message, Message::Text(_));
                    match patience.hear(size(&message), Instant::now().into_std()) {
                        Verdict::Go => {}
                        Verdict::Wait(time) => ear = Ear::ShutUntil(Instant::now() + time),
                        Verdict::Over => {
                            ear = Ear::Shut;
                            if inbox.send(Input::Flood(connection)).await.is_err() {
                                break;
                            }
                            continue;
                        }
                    }
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
            () = tokio::time::sleep_until(again_at.unwrap_or_else(Instant::now)), if again_at.is_some() => {
                ear = Ear::Open;
                continue;
            }
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
                let _ = tokio::time::timeout(DRAIN, drain(&mut socket, connection, inbox, &mut patience)).await;
                break;
            }
            Err(_) => return End::NotRead,
        }
    }
    End::Closed
}

/// Hands on what a client said before it closed.
async fn drain(socket: &mut WebSocket, connection: ConnectionKey, inbox: &Inbox, patience: &mut Patience) {
    while let Some(Ok(message)) = socket.recv().await {
        if !matches!(patience.hear(size(&message), Instant::now().into_std()), Verdict::Go) {
            return;
        }
        if let Some(Ok(request)) = request(&message)
            && inbox.send(Input::Request(connection, Box::new(request))).await.is_err()
        {
            return;
        }
    }
}

/// Bytes that a client sent in a frame.
fn size(message: &Message) -> usize {
    match message {
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Text(text) => text.len(),
        Message::Close(_) => 0,
    }
}

/// The request in a frame; `None` for frames and requests that carry none.
pub(super) fn request(message: &Message) -> Option<Result<proto::signal_request::Message, String>> {
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::mpsc::Receiver;

    use axum::Router;
    use axum::extract::WebSocketUpgrade;
    use axum::routing::get;
    use proto::signal_request::Message as Request;
    use proto::signal_response::Message as Response;

    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::limits::Limits;

    /// A client that says in one go that it leaves and goes, without reading what it was sent.
    fn leave_and_reset(address: SocketAddr, begun: oneshot::Sender<()>, go: &Receiver<()>) {
        let mut stream = TcpStream::connect(address).unwrap();
        let upgrade = "GET / HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(upgrade.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        // The first message: the exchange has begun. What follows it stays unread, so that closing resets the connection.
        stream.read_exact(&mut [0; 2]).unwrap();
        begun.send(()).unwrap();
        go.recv().unwrap();
        let leave =
            proto::SignalRequest { message: Some(Request::Leave(proto::LeaveRequest::default())) }.encode_to_vec();
        // RFC 6455, section 5.2: final and binary; masked, with a mask that changes nothing.
        let mut frame = vec![0x82, 0x80 | u8::try_from(leave.len()).unwrap(), 0, 0, 0, 0];
        frame.extend(leave);
        stream.write_all(&frame).unwrap();
    }

    #[tokio::test]
    async fn a_leave_counts_though_its_client_is_gone_when_a_message_for_it_comes() {
        let (inbox, mut inputs) = mpsc::channel(64);
        let (hand_over, mut outboxes) = mpsc::channel(1);
        let app = Router::new().route(
            "/",
            get(move |upgrade: WebSocketUpgrade| {
                let (inbox, hand_over) = (inbox.clone(), hand_over.clone());
                async move {
                    upgrade.on_upgrade(async move |socket| {
                        let (outbox, messages) = outbox();
                        hand_over.send(outbox).await.unwrap();
                        let patience = Patience::new(Limits::default().messages(), Default::default());
                        exchange(socket, 1, messages, &inbox, patience).await;
                    })
                }
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let message = || Outbound::Message(Box::new(Response::Pong(1)));
        // Which of two things that are ready goes first is chance: often enough for both.
        for _ in 0..40 {
            let (begun, has_begun) = oneshot::channel();
            let (go, may_go) = std::sync::mpsc::channel();
            let client = std::thread::spawn(move || leave_and_reset(address, begun, &may_go));
            let outbox = outboxes.recv().await.unwrap();
            outbox.post(message()).unwrap();
            has_begun.await.unwrap();
            go.send(()).unwrap();
            // The test's one thread waits here, so the exchange sees the client's last words and its end at once.
            client.join().unwrap();
            for _ in 0..3 {
                outbox.post(message()).unwrap();
            }
            assert!(
                matches!(inputs.recv().await, Some(Input::Request(_, request)) if matches!(*request, Request::Leave(_)))
            );
        }
    }
}
