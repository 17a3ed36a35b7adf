//! How servers are reached: the WebSocket and HTTP of LiveKit's signal client, by the means that the device's configuration allows.
//!
//! The signal client takes its transport from whoever registers one. Ours differs from its own in two things: names that only
//! multicast DNS knows are found, with the link of a link-local address, and certificates may be pinned ([`Trust`]).

mod names;
mod websocket;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use livekit_net::{Header, HttpClient, HttpMethod, HttpResponse, TransportError, WsClient, WsConnectResult};
use reqwest::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

pub(super) use names::{addresses, remember};
use websocket::Socket;
pub use zego_protocol::trust::Trust;
use zego_protocol::trust::{Checker, Complaint};

/// For one of a server's addresses to answer, and for TLS.
const CONNECT_TIME: Duration = Duration::from_secs(4);
/// More of an answer to a request is not read.
const LONGEST_ANSWER: usize = 1 << 20;

/// The transport.
#[derive(Debug)]
struct Transport {
    trust: Trust,
}

/// Has the signal client use this transport, with these certificates, for the life of the process.
pub fn install(trust: Trust) {
    let transport = Arc::new(Transport { trust });
    livekit_net::set_ws_client(transport.clone());
    livekit_net::set_http_client(transport);
}

/// A client for one attempt, and what it complains about a certificate. Nothing of it outlives the attempt: an authority's file may be
/// another one at the next, and an idle connection would wake the device up.
fn client(trust: &Trust, url: &Url) -> Result<(Client, Complaint), TransportError> {
    let complaint = Complaint::default();
    let is_local = url.host_str().is_some_and(zego_protocol::discovery::browse::is_local_name);
    let checker = if url.scheme() == "https" { Checker::new(trust, complaint.clone()) } else { Ok(Checker::nobody()) };
    let tls = checker.and_then(Checker::into_config).map_err(|error| TransportError::Connection(error.to_string()))?;
    let builder = Client::builder()
        .use_preconfigured_tls(tls)
        .http1_only()
        .dns_resolver(Arc::new(names::Resolver))
        .connect_timeout(CONNECT_TIME)
        .pool_max_idle_per_host(0)
        // A token goes to nobody else.
        .redirect(reqwest::redirect::Policy::none());
    // A proxy elsewhere knows no name of this LAN.
    let builder = if is_local { builder.no_proxy() } else { builder };
    let client = builder.build().map_err(|error| TransportError::Other(error.to_string()))?;
    Ok((client, complaint))
}

/// Whether a plain connection goes by way of a proxy.
fn is_proxied(url: &Url) -> bool {
    let set = |name| std::env::var(name).is_ok_and(|value: String| !value.is_empty());
    let is_local = url.host_str().is_some_and(zego_protocol::discovery::browse::is_local_name);
    url.scheme() == "ws" && !is_local && (set("HTTP_PROXY") || set("http_proxy"))
}

fn parse(url: &str) -> Result<Url, TransportError> {
    Url::parse(url).map_err(|error| TransportError::Connection(error.to_string()))
}

fn with_headers(mut request: RequestBuilder, headers: &[Header]) -> RequestBuilder {
    for header in headers {
        request = request.header(&header.name, &header.value);
    }
    request
}

/// What kept a request from an answer, without the URL, which may have a token in it.
fn failure(error: reqwest::Error, complaint: &Complaint) -> TransportError {
    if let Some(text) = complaint.take() {
        return TransportError::Connection(format!("{text}; {}", Complaint::ADVICE));
    }
    let error = error.without_url();
    if error.is_timeout() {
        return TransportError::Timeout;
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    TransportError::Connection(text)
}

#[async_trait::async_trait]
impl WsClient for Transport {
    async fn connect(
        &self,
        url: String,
        headers: Vec<Header>,
        timeout_ms: u64,
    ) -> Result<WsConnectResult, TransportError> {
        let mut parsed = parse(&url)?;
        if is_proxied(&parsed) {
            // Only a tunnel carries a WebSocket, which LiveKit's own transport asks a proxy for.
            return livekit_net::testing::native_ws_client().connect(url, headers, timeout_ms).await;
        }
        let scheme = if parsed.scheme() == "wss" { "https" } else { "http" };
        // Both are special schemes (URL Standard, section 4.5.5): one can become the other.
        if parsed.set_scheme(scheme).is_err() {
            return Err(TransportError::Connection("it is no ws:// or wss:// URL".to_owned()));
        }
        let opened = tokio::time::timeout(Duration::from_millis(timeout_ms), open(&self.trust, parsed, &headers)).await;
        let socket = opened.map_err(|_| TransportError::Timeout)??;
        Ok(WsConnectResult { connection: Arc::new(socket) })
    }
}

/// Opens a WebSocket, RFC 6455, section 4.1.
async fn open(trust: &Trust, url: Url, headers: &[Header]) -> Result<Socket, TransportError> {
    let (client, complaint) = client(trust, &url)?;
    let key = generate_key();
    let request = with_headers(client.get(url), headers)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key);
    let answer = request.send().await.map_err(|error| failure(error, &complaint))?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(TransportError::Http { status: answer.status().as_u16() });
    }
    let accepted = answer.headers().get(SEC_WEBSOCKET_ACCEPT);
    if accepted.is_none_or(|accept| accept.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(TransportError::Connection("it does not answer as a WebSocket server does".to_owned()));
    }
    let stream = answer.upgrade().await.map_err(|error| failure(error, &complaint))?;
    Ok(Socket::new(WebSocketStream::from_raw_socket(stream, Role::Client, None).await))
}

#[async_trait::async_trait]
impl HttpClient for Transport {
    async fn request(
        &self,
        method: HttpMethod,
        url: String,
        headers: Vec<Header>,
        body: Option<Vec<u8>>,
    ) -> Result<HttpResponse, TransportError> {
        let url = parse(&url)?;
        let (client, complaint) = client(&self.trust, &url)?;
        let request = match method {
            HttpMethod::Get => client.get(url),
            HttpMethod::Post => client.post(url),
        };
        let request = body.into_iter().fold(with_headers(request, &headers), RequestBuilder::body);
        let answer = request.send().await.map_err(|error| failure(error, &complaint))?;
        let status = answer.status().as_u16();
        let text = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            value.to_str().ok().map(|value| Header { name: name.to_string(), value: value.to_owned() })
        };
        let headers = answer.headers().iter().filter_map(text).collect();
        Ok(HttpResponse { status, headers, body: read(answer).await? })
    }
}

async fn read(answer: reqwest::Response) -> Result<Vec<u8>, TransportError> {
    let mut answer = answer;
    let mut body = Vec::new();
    while let Some(piece) =
        answer.chunk().await.map_err(|error| TransportError::Other(error.without_url().to_string()))?
    {
        if body.len() + piece.len() > LONGEST_ANSWER {
            return Err(TransportError::Other("its answer is too long".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
