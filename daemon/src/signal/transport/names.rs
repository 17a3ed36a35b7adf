//! Where a server's name is: names that end with `.local` are asked for by multicast DNS and of the system, all others of the system.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::Instant;
use zego_protocol::discovery::browse;

/// For somebody to answer by multicast DNS. A name that is one's own is answered at once (RFC 6762, section 6), a lost question is asked
/// again after a second.
const ASK_TIME: Duration = Duration::from_millis(2500);
/// For how long what was found a moment ago is used without asking again.
const FRESH: Duration = Duration::from_secs(2);

/// When a name was found, and where.
type Found = (Instant, Vec<SocketAddr>);

/// Names that were found just now.
static FOUND: LazyLock<Mutex<HashMap<String, Found>>> = LazyLock::new(Mutex::default);

/// Notes where a host was found a moment ago.
pub fn remember(host: &str, addresses: &[SocketAddr]) {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    found.retain(|_, (at, _)| at.elapsed() < FRESH);
    found.insert(host.to_ascii_lowercase(), (Instant::now(), addresses.to_vec()));
}

fn remembered(host: &str) -> Option<Vec<SocketAddr>> {
    let found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let (at, addresses) = found.get(&host.to_ascii_lowercase())?;
    (at.elapsed() < FRESH).then(|| addresses.clone())
}

/// The addresses of a host in the order in which they are tried, with this port.
///
/// # Errors
/// Nobody knows the name.
pub async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Some(mut addresses) = remembered(host) {
        addresses.iter_mut().for_each(|address| address.set_port(port));
        return Ok(addresses);
    }
    let of_system = async { tokio::net::lookup_host((host, port)).await.map(Vec::from_iter) };
    if !browse::is_local_name(host) {
        return of_system.await;
    }
    let of_link = async { browse::addresses(host, port, ASK_TIME).await.unwrap_or_default() };
    tokio::pin!(of_link, of_system);
    // The system may know it from its hosts file, or from a service of its own. Without one it asks a name server, which may be far away.
    let found = tokio::select! {
        found = &mut of_link => if found.is_empty() { of_system.await.unwrap_or_default() } else { found },
        found = &mut of_system => match found {
            Ok(found) if !found.is_empty() => found,
            _ => of_link.await,
        },
    };
    if found.is_empty() {
        let text = format!("nobody on this network answers for {host}");
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(found)
}

/// The same for the HTTP client.
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = addresses(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_found_a_moment_ago_is_not_asked_for_again() {
        let there: SocketAddr = "[fe80::7%3]:1".parse().unwrap();
        remember("Zegohub-Test.local", &[there]);
        let found = addresses("zegohub-test.local", 7880).await.unwrap();
        assert_eq!(found, ["[fe80::7%3]:7880".parse::<SocketAddr>().unwrap()]);
    }

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        assert!(addresses("localhost", 80).await.unwrap().iter().all(|address| address.ip().is_loopback()));
    }
}
