//! Which of the hubs that were found is tried, and in which order.

use std::net::SocketAddr;

use super::{FoundHub, Tls};

/// What a device looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The AppID of its rooms, if it knows it.
    pub app_id: Option<String>,
    /// It knows which certificate to trust: hubs without TLS are not for it.
    pub tls_only: bool,
}

/// Where a hub can be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its URL.
    pub url: String,
    /// The host in it.
    pub host: String,
    /// Where the host is.
    pub addresses: Vec<SocketAddr>,
}

/// Why there is nothing to try. The sentence says what was there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHub {
    /// Nobody announced anything.
    #[error("no zegohub announces itself on this network")]
    Nothing,
    /// There were some, but none that knows the AppID.
    #[error("no zegohub with AppID {app_id} announces itself on this network, only {others}")]
    OtherApps {
        /// The AppID that was looked for.
        app_id: String,
        /// Names of the hubs that were found.
        others: String,
    },
    /// There were some, but none with TLS.
    #[error("no zegohub with TLS announces itself on this network, only {others}")]
    NoTls {
        /// Names of the hubs that were found.
        others: String,
    },
}

/// Where to try, the best first. Those that name their AppIDs and not the wished one are left out. Then: those that name the wished
/// AppID before those that name none, with TLS before without, and by name, host and port.
///
/// # Errors
/// [`NoHub`].
pub fn places(hubs: &[FoundHub], wish: &Wish) -> Result<Vec<Place>, NoHub> {
    if hubs.is_empty() {
        return Err(NoHub::Nothing);
    }
    let mut names: Vec<String> = hubs.iter().map(|hub| format!("'{}'", hub.name)).collect();
    names.sort();
    let others = names.join(", ");
    let mut fitting: Vec<(bool, &FoundHub)> =
        hubs.iter().filter_map(|hub| fits(hub, wish.app_id.as_deref()).map(|says_so| (!says_so, hub))).collect();
    if fitting.is_empty() {
        return Err(NoHub::OtherApps { app_id: wish.app_id.clone().unwrap_or_default(), others });
    }
    fitting.sort_by_key(|(unsure, hub)| (*unsure, &hub.name, &hub.host, hub.port));
    let mut places: Vec<(bool, bool, Place)> = Vec::new();
    for (unsure, hub) in fitting {
        let schemes: &[&str] = match hub.says.tls {
            Tls::Required => &["wss"],
            Tls::Optional => &["wss", "ws"],
            Tls::No => &["ws"],
        };
        for scheme in schemes.iter().filter(|scheme| !wish.tls_only || **scheme == "wss") {
            let url = format!("{scheme}://{}:{}", hub.host, hub.port);
            let place = Place { url, host: hub.host.clone(), addresses: hub.addresses.clone() };
            places.push((unsure, *scheme == "ws", place));
        }
    }
    if places.is_empty() {
        return Err(NoHub::NoTls { others });
    }
    // Stable: what is equal stays in the order of its names.
    places.sort_by_key(|(unsure, plain, _)| (*unsure, *plain));
    Ok(places.into_iter().map(|(_, _, place)| place).collect())
}

/// Whether a hub is one for this AppID: `true` when it says so, `false` when it does not say.
fn fits(hub: &FoundHub, app_id: Option<&str>) -> Option<bool> {
    match (&hub.says.app_ids, app_id) {
        (Some(ids), Some(wished)) => ids.iter().any(|id| id == wished).then_some(true),
        (None, Some(_)) => Some(false),
        (_, None) => Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Announcement;

    fn hub(name: &str, tls: Tls, app_ids: Option<&[&str]>) -> FoundHub {
        let app_ids = app_ids.map(|ids| ids.iter().map(ToString::to_string).collect());
        FoundHub {
            name: name.to_owned(),
            host: format!("{name}.local"),
            port: 7880,
            addresses: Vec::new(),
            says: Announcement { version: String::new(), tls, app_ids },
        }
    }

    fn urls(hubs: &[FoundHub], app_id: Option<&str>, tls_only: bool) -> Result<String, NoHub> {
        let wish = Wish { app_id: app_id.map(str::to_owned), tls_only };
        let urls = |places: Vec<Place>| places.into_iter().map(|place| place.url.replace(".local:7880", "")).collect();
        places(hubs, &wish).map(urls).map(|urls: Vec<String>| urls.join(" "))
    }

    #[test]
    fn the_order_is_always_the_same() {
        let hubs = [
            hub("d", Tls::No, Some(&["7"])),
            hub("c", Tls::Optional, None),
            hub("b", Tls::Required, Some(&["8"])),
            hub("a", Tls::Optional, Some(&["6", "7"])),
        ];
        for (app_id, tls_only, expected) in [
            (Some("7"), false, "wss://a ws://a ws://d wss://c ws://c"),
            (Some("7"), true, "wss://a wss://c"),
            (Some("8"), false, "wss://b wss://c ws://c"),
            (Some("9"), false, "wss://c ws://c"),
            (None, false, "wss://a wss://b wss://c ws://a ws://c ws://d"),
        ] {
            assert_eq!(urls(&hubs, app_id, tls_only).as_deref(), Ok(expected), "{app_id:?} {tls_only}");
            let reversed: Vec<FoundHub> = hubs.iter().rev().cloned().collect();
            assert_eq!(urls(&reversed, app_id, tls_only).as_deref(), Ok(expected), "in whatever order they came");
        }
    }

    #[test]
    fn what_was_there_is_said() {
        let hubs = [hub("b", Tls::No, Some(&["8"])), hub("a", Tls::No, Some(&["7"]))];
        assert_eq!(urls(&[], None, false), Err(NoHub::Nothing));
        let said = |app_id, tls_only| urls(&hubs, app_id, tls_only).unwrap_err().to_string();
        assert_eq!(said(Some("9"), false), "no zegohub with AppID 9 announces itself on this network, only 'a', 'b'");
        assert_eq!(said(None, true), "no zegohub with TLS announces itself on this network, only 'a', 'b'");
    }
}
