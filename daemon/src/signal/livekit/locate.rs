//! Which server is meant: a URL as it is, or the hubs of this LAN, looked for anew at each attempt.

use std::net::SocketAddrV6;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zego_protocol::discovery::{AUTO, Place, Wish, browse, is_link_local, places};

use super::super::error::SignalError;
use super::super::transport;
use super::{JoinOptions, address};
use crate::network::local_address;
use crate::rtc::NetworkConfig;

/// How long an attempt looks for hubs. Whoever begins later is found by the next.
const FIND_TIME: Duration = Duration::from_secs(4);
/// How long it is looked whether another hub is there in place of ours.
const LOOK_TIME: Duration = Duration::from_secs(1);

/// What `auto` looks for, and what it found; shared by everything that belongs to one login.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The AppID of the rooms, if it is known; only hubs that do not deny it are tried.
    pub app_id: Option<String>,
    /// Only TLS will do: it is known whom to trust.
    pub tls_only: bool,
    found: Arc<Mutex<Option<String>>>,
}

impl Search {
    /// A search that has found nothing yet.
    #[must_use]
    pub fn new(app_id: Option<String>, tls_only: bool) -> Self {
        Self { app_id, tls_only, found: Arc::default() }
    }

    fn wish(&self) -> Wish {
        Wish { app_id: self.app_id.clone(), tls_only: self.tls_only }
    }

    /// Notes the server that took us in.
    pub(super) fn found(&self, server: &str) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(server.to_owned());
    }

    /// The server that took us in last.
    pub(super) fn last(&self) -> Option<String> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks for hubs: where they are, the best first.
    async fn look(&self, time: Duration) -> Result<Vec<Place>, SignalError> {
        let wish = self.wish();
        let hubs = browse::hubs(time, |hubs| places(hubs, &wish).is_ok()).await;
        let hubs = hubs.map_err(|error| SignalError::NotFound(error.to_string()))?;
        let advice = "start one, or name the server: [room] server = \"ws://HOST:PORT\"";
        let found = places(&hubs, &wish).map_err(|none| SignalError::NotFound(format!("{none}; {advice}")))?;
        for place in &found {
            transport::remember(&place.host, &place.addresses);
        }
        Ok(found)
    }

    /// Whether hubs are there, but not the one at `server`.
    pub(super) async fn is_elsewhere(&self, server: &str) -> bool {
        let Ok(found) = self.look(LOOK_TIME).await else { return false };
        let ours = address::host_and_port(server);
        !found.iter().any(|place| address::host_and_port(&place.url) == ours)
    }
}

/// The servers to try, in this order.
///
/// # Errors
/// [`SignalError::NotFound`].
pub(super) async fn servers(options: &JoinOptions) -> Result<Vec<String>, SignalError> {
    if options.server != AUTO {
        return Ok(vec![options.server.clone()]);
    }
    let found = options.search.look(FIND_TIME).await?;
    Ok(found.into_iter().map(|place| place.url).collect())
}

/// The server of a login that is in its room, or was.
///
/// # Errors
/// [`SignalError::NotFound`].
pub(super) async fn known(options: &JoinOptions) -> Result<String, SignalError> {
    if options.server == AUTO
        && let Some(server) = options.search.last()
    {
        return Ok(server);
    }
    let servers = servers(options).await?;
    servers.into_iter().next().ok_or(SignalError::BadAddress(options.server.clone()))
}

/// What media may use on the way to `server`: also our address on its link, when it has no others than of that link.
pub(super) async fn network(server: &str, network: &NetworkConfig) -> NetworkConfig {
    let link_local = own_on_link(server).await;
    NetworkConfig { link_local, ..network.clone() }
}

async fn own_on_link(server: &str) -> Option<SocketAddrV6> {
    let (host, port) = address::host_and_port(server)?;
    if !browse::is_local_name(&host) {
        return None;
    }
    // Nobody answers: then joining says so.
    let theirs = transport::addresses(&host, port).await.ok()?;
    if !theirs.iter().all(|address| is_link_local(address.ip())) {
        return None;
    }
    let there = theirs.into_iter().find_map(|address| match address {
        std::net::SocketAddr::V6(v6) => Some(v6),
        std::net::SocketAddr::V4(_) => None,
    })?;
    match local_address(there.into())? {
        std::net::IpAddr::V6(ours) => Some(SocketAddrV6::new(ours, 0, 0, there.scope_id())),
        std::net::IpAddr::V4(_) => None,
    }
}
