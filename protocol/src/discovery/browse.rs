//! Asks the LAN: which hubs there are, and where a `.local` name is.
//!
//! Multicast DNS sockets are open, and their thread runs, only as long as somebody asks.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV6};
use std::time::Duration;

use mdns_sd::{HostnameResolutionEvent, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent};
use tokio::time::{Instant, timeout_at};

use super::{Announcement, FoundHub, SERVICE_TYPE, in_order};

/// Responders wait up to 120 ms before they answer a question that others may answer, too (RFC 6762, section 6): so long after one
/// answer the others are there.
const OTHERS: Duration = Duration::from_millis(250);
/// For an address after the first one of a name, which comes in the same answer or at once.
const MORE: Duration = Duration::from_millis(50);
/// For the sockets to be closed.
const CLOSE_TIME: Duration = Duration::from_millis(500);

/// Multicast DNS cannot be used on this machine.
#[derive(Debug, thiserror::Error)]
#[error("this machine cannot ask by multicast DNS: {0}")]
pub struct BrowseError(#[from] mdns_sd::Error);

/// Whether a name is one of multicast DNS (RFC 6762, section 3).
#[must_use]
pub fn is_local_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.len() > ".local".len()
        && host.is_char_boundary(host.len() - 6)
        && host[host.len() - 6..].eq_ignore_ascii_case(".local")
}

/// The hubs on this LAN: asks for `time` at the most, and no longer than it takes others to answer after `enough` says of those found
/// that there are enough.
///
/// # Errors
/// [`BrowseError`].
pub async fn hubs(time: Duration, enough: impl Fn(&[FoundHub]) -> bool) -> Result<Vec<FoundHub>, BrowseError> {
    let daemon = ServiceDaemon::new()?;
    let events = daemon.browse(SERVICE_TYPE)?;
    let mut found: HashMap<String, FoundHub> = HashMap::new();
    let mut end = Instant::now() + time;
    let mut ending = false;
    while let Ok(Ok(event)) = timeout_at(end, events.recv_async()).await {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                if let Some(hub) = read(&service) {
                    found.insert(service.get_fullname().to_owned(), hub);
                }
            }
            ServiceEvent::ServiceRemoved(_, name) => drop(found.remove(&name)),
            _ => {}
        }
        if !ending && enough(&sorted(&found)) {
            ending = true;
            end = end.min(Instant::now() + OTHERS);
        }
    }
    drop(events);
    close(&daemon).await;
    Ok(sorted(&found))
}

/// The addresses of a `.local` name, in the order of [`in_order`]; none when nobody answers within `time`.
///
/// # Errors
/// [`BrowseError`].
pub async fn addresses(host: &str, port: u16, time: Duration) -> Result<Vec<SocketAddr>, BrowseError> {
    let daemon = ServiceDaemon::new()?;
    let name = format!("{}.", host.strip_suffix('.').unwrap_or(host));
    let events = daemon.resolve_hostname(&name, None)?;
    let mut found = Vec::new();
    let mut end = Instant::now() + time;
    while let Ok(Ok(event)) = timeout_at(end, events.recv_async()).await {
        if let HostnameResolutionEvent::AddressesFound(_, addresses) = event {
            found.extend(addresses.iter().map(|address| socket_address(address, port)));
            end = end.min(Instant::now() + MORE);
        }
    }
    drop(events);
    close(&daemon).await;
    in_order(&mut found);
    Ok(found)
}

async fn close(daemon: &ServiceDaemon) {
    // One that has ended is closed.
    let Ok(closed) = daemon.shutdown() else { return };
    let _ = timeout_at(Instant::now() + CLOSE_TIME, closed.recv_async()).await;
}

fn sorted(found: &HashMap<String, FoundHub>) -> Vec<FoundHub> {
    let mut hubs: Vec<FoundHub> = found.values().cloned().collect();
    hubs.sort_by(|a, b| (&a.name, &a.host, a.port).cmp(&(&b.name, &b.host, b.port)));
    hubs
}

/// What a resolved service is as a hub; nothing when it has no address.
fn read(service: &ResolvedService) -> Option<FoundHub> {
    let port = service.get_port();
    let mut addresses: Vec<SocketAddr> =
        service.get_addresses().iter().map(|address| socket_address(address, port)).collect();
    in_order(&mut addresses);
    let name = service.get_fullname().strip_suffix(SERVICE_TYPE)?.strip_suffix('.')?;
    (!addresses.is_empty()).then(|| FoundHub {
        name: unescaped(name),
        host: service.get_hostname().trim_end_matches('.').to_owned(),
        port,
        addresses,
        says: Announcement::from_txt(|key| service.get_property_val_str(key)),
    })
}

fn socket_address(address: &ScopedIp, port: u16) -> SocketAddr {
    match address {
        // Only these mean nothing without the interface on which they were heard.
        ScopedIp::V6(v6) if v6.addr().is_unicast_link_local() => {
            SocketAddrV6::new(*v6.addr(), port, 0, v6.scope_id().index).into()
        }
        other => SocketAddr::new(other.to_ip_addr(), port),
    }
}

/// An instance's name without the backslashes that RFC 6763, section 4.3, puts before dots and backslashes.
fn unescaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => out.extend(letters.next()),
            other => out.push(other),
        }
    }
    out
}

/// Reads what a service that anybody announced says, for the targets in `fuzz/`.
#[cfg(fuzzing)]
pub fn fuzz(service: &ResolvedService) {
    let Some(hub) = read(service) else { return };
    assert!(hub.addresses.is_sorted_by_key(|address| super::is_link_local(address.ip())));
    let txt = hub.says.to_txt();
    let again =
        Announcement::from_txt(|key| txt.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str()));
    assert_eq!(again.tls, hub.says.tls);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_multicast_dns_are_known() {
        for name in ["kiosk.local", "Kiosk.LOCAL", "kiosk.local.", "a.b.local", "tür.local"] {
            assert!(is_local_name(name), "{name}");
        }
        for name in ["", "local", ".local", "kiosk", "kiosk.localdomain", "10.0.0.1", "ü", "localé"] {
            assert!(!is_local_name(name), "{name}");
        }
    }

    #[test]
    fn names_for_people_are_as_people_wrote_them() {
        assert_eq!(unescaped("Front door 2\\.1 \\\\ \u{fc}"), "Front door 2.1 \\ \u{fc}");
        assert_eq!(unescaped("\\"), "");
    }
}
