//! Joining: the peer connection's first offer goes with the request, so that media is up one round trip after the answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use livekit_protocol as proto;
use livekit_signaling::{SignalClient, SignalEvents, SignalOptions};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::super::error::SignalError;
use super::super::transport;
use super::{JoinOptions, address, locate, refusal};
use crate::network::Path;
use crate::rtc::{IceServer, NetworkConfig, Peer, PeerEvent};

/// Sections for other people's media in the first offer: as many tracks can be played without a further round trip.
const FIRST_RECEIVERS: usize = 3;
/// 17: from 18 on the data channels would have to be negotiated by number.
const PROTOCOL_VERSION: u32 = 17;
/// Attempt to open the connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The same, while there are others to try.
const CONNECT_TIME_OF_SEVERAL: Duration = Duration::from_secs(2);
/// For the server's name to be looked up once more, which was looked up just before.
const LOOKUP_TIME: Duration = Duration::from_millis(500);
/// The token's user or room are others than those of the call.
const OTHER_USER: i32 = 1_002_077;
const OTHER_ROOM: i32 = 1_002_033;

/// One peer connection and its news.
pub(super) struct Link {
    pub(super) peer: Peer,
    pub(super) events: UnboundedReceiver<PeerEvent>,
}

impl Link {
    async fn new(network: &NetworkConfig) -> Result<Self, SignalError> {
        let (tell, events) = unbounded_channel();
        Ok(Self { peer: Peer::new(network, tell).await?, events })
    }
}

/// STUN and TURN servers that a server names.
pub(super) fn ice_servers(named: &[proto::IceServer]) -> Vec<IceServer> {
    let server = |named: &proto::IceServer| IceServer {
        urls: named.urls.clone(),
        username: named.username.clone(),
        credential: named.credential.clone(),
    };
    named.iter().map(server).collect()
}

/// A room that we are in.
pub(super) struct Connected {
    /// The server's URL.
    pub(super) server: String,
    pub(super) client: Arc<SignalClient>,
    pub(super) join: proto::JoinResponse,
    pub(super) signals: SignalEvents,
    /// Sends, and receives too unless there is a subscriber.
    pub(super) publisher: Link,
    /// Receives, with servers that keep the two directions apart.
    pub(super) subscriber: Option<Link>,
    /// The way to the server.
    pub(super) path: Path,
}

/// Joins: the server that is meant, or the first of those that were found that can be reached.
///
/// # Errors
/// As [`super::Session::join`].
pub(super) async fn connect(options: &JoinOptions) -> Result<Connected, SignalError> {
    let servers = locate::servers(options).await?;
    let mut failures = Vec::new();
    for (index, server) in servers.iter().enumerate() {
        let is_last = index + 1 == servers.len();
        let time = if is_last { CONNECT_TIME } else { CONNECT_TIME_OF_SEVERAL };
        match connect_to(server, options, time).await {
            Ok(connected) => {
                options.search.found(server);
                return Ok(connected);
            }
            // What a server says about us counts; one that cannot be used does not.
            Err(error @ (SignalError::Unreachable { .. } | SignalError::Timeout(_) | SignalError::Protocol(_)))
                if servers.len() > 1 =>
            {
                failures.push(format!("{server}: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    Err(SignalError::NotFound(failures.join("; ")))
}

async fn connect_to(server: &str, options: &JoinOptions, time: Duration) -> Result<Connected, SignalError> {
    let (base, url) = address::urls(server, options)?;
    let network = locate::network(server, &options.network).await;
    let publisher = Link::new(&network).await?;
    publisher.peer.open_data_channels().await?;
    publisher.peer.add_receivers(FIRST_RECEIVERS, FIRST_RECEIVERS).await?;
    let sdp = publisher.peer.create_offer(false).await?;
    let offer = proto::SessionDescription { r#type: "offer".to_owned(), sdp, ..Default::default() };
    let mut settings = SignalOptions::default();
    settings.auto_subscribe = false;
    settings.single_peer_connection = true;
    settings.connect_timeout = time;
    settings.protocol_version = PROTOCOL_VERSION;
    // Nothing of what newer programs add to media and messages is understood here.
    settings.client_capabilities = Vec::new();
    settings.client_protocol = 0;
    settings.sdk_options.sdk_version = Some(env!("CARGO_PKG_VERSION").to_owned());
    let attempt = SignalClient::connect(&url, &options.token, settings, Some(offer)).await;
    let (client, join, signals) = match attempt {
        Ok(connected) => connected,
        Err(error) => {
            publisher.peer.close().await;
            return Err(refusal::join(&base, &options.token, error));
        }
    };
    let client = Arc::new(client);
    match accept(options, &network, &client, &join, publisher).await {
        Ok((publisher, subscriber)) => {
            let path = Path::new(addresses(server).await);
            Ok(Connected { server: server.to_owned(), client, join, signals, publisher, subscriber, path })
        }
        Err(error) => {
            let leave =
                proto::LeaveRequest { reason: proto::DisconnectReason::ClientInitiated as i32, ..Default::default() };
            client.send(proto::signal_request::Message::Leave(leave)).await;
            client.close().await;
            Err(error)
        }
    }
}

/// The addresses that a server has.
async fn addresses(url: &str) -> Vec<SocketAddr> {
    let Some((host, port)) = address::host_and_port(url) else { return Vec::new() };
    // It was found a moment ago; if not any more, its way is not watched.
    let found = tokio::time::timeout(LOOKUP_TIME, transport::addresses(&host, port)).await;
    found.ok().and_then(Result::ok).unwrap_or_default()
}

/// Checks what the server let us in as, and makes the connections that it wants.
async fn accept(
    options: &JoinOptions,
    network: &NetworkConfig,
    client: &SignalClient,
    join: &proto::JoinResponse,
    publisher: Link,
) -> Result<(Link, Option<Link>), SignalError> {
    let checked = check(options, join);
    if let Err(error) = checked {
        publisher.peer.close().await;
        return Err(error);
    }
    let mut network = network.clone();
    network.ice_servers.extend(ice_servers(&join.ice_servers));
    if client.is_single_pc_mode_active() {
        publisher.peer.set_ice_servers(&network.ice_servers).await?;
        return Ok((publisher, None));
    }
    // An old server: the first offer was not seen by anybody.
    publisher.peer.close().await;
    let publisher = Link::new(&network).await?;
    publisher.peer.open_data_channels().await?;
    let subscriber = Link::new(&network).await?;
    Ok((publisher, Some(subscriber)))
}

fn check(options: &JoinOptions, join: &proto::JoinResponse) -> Result<(), SignalError> {
    let participant =
        join.participant.as_ref().ok_or_else(|| SignalError::Protocol("a join without a participant".to_owned()))?;
    if join.ping_interval <= 0 || join.ping_timeout <= 0 {
        return Err(SignalError::Protocol("a join without ping times".to_owned()));
    }
    if participant.identity != options.user_id {
        return Err(SignalError::Refused { code: OTHER_USER, message: "the token is for another user".to_owned() });
    }
    if join.room.as_ref().is_some_and(|room| room.name != options.room_id) {
        return Err(SignalError::Refused { code: OTHER_ROOM, message: "the token is for another room".to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_must_have_let_in_whom_we_said() {
        let options = JoinOptions {
            server: String::new(),
            search: Default::default(),
            token: String::new(),
            room_id: "lobby".to_owned(),
            user_id: "door".to_owned(),
            user_name: String::new(),
            membership: Default::default(),
            network: Default::default(),
        };
        let join = |identity: &str, room: &str, ping: i32| proto::JoinResponse {
            participant: Some(proto::ParticipantInfo { identity: identity.to_owned(), ..Default::default() }),
            room: Some(proto::Room { name: room.to_owned(), ..Default::default() }),
            ping_interval: ping,
            ping_timeout: 15,
            ..Default::default()
        };
        assert!(check(&options, &join("door", "lobby", 5)).is_ok());
        assert!(matches!(
            check(&options, &join("desk", "lobby", 5)),
            Err(SignalError::Refused { code: OTHER_USER, .. })
        ));
        assert!(matches!(
            check(&options, &join("door", "hall", 5)),
            Err(SignalError::Refused { code: OTHER_ROOM, .. })
        ));
        assert!(
            matches!(check(&options, &join("door", "lobby", 0)), Err(SignalError::Protocol(_))),
            "it would never answer"
        );
        assert!(check(&options, &proto::JoinResponse::default()).is_err());
    }
}
