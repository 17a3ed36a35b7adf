//! `find`: the room servers on this LAN.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use zego_protocol::discovery::{FoundHub, Tls, browse, is_link_local};

use crate::failure::Failure;
use crate::output::Output;
use crate::table::Table;

/// Looks for hubs and lists them.
pub async fn find(seconds: u64, output: Output) -> Result<(), Failure> {
    let found = browse::hubs(Duration::from_secs(seconds), |_| false).await;
    let hubs = found.map_err(|error| Failure::local(error.to_string()))?;
    let mut table = Table::new(&["NAME", "URL", "ADDRESSES", "TLS", "APPIDS", "VERSION"]);
    for hub in &hubs {
        let apps = hub.says.app_ids.as_deref().map_or_else(String::new, |ids| ids.join(", "));
        table.row([
            hub.name.clone(),
            url(hub),
            addresses(hub).join(", "),
            hub.says.tls.word().to_string(),
            apps,
            hub.says.version.clone(),
        ]);
    }
    output.answer(&json!({"hubs": hubs.iter().map(object).collect::<Vec<_>>()}), || {
        table.lines("No zegohub announces itself on this network.")
    })
}

fn object(hub: &FoundHub) -> Value {
    json!({
        "name": hub.name, "url": url(hub), "host": hub.host, "port": hub.port, "addresses": addresses(hub),
        "tls": hub.says.tls.word(), "app_ids": hub.says.app_ids, "version": hub.says.version,
    })
}

/// What a device is given as server, with TLS where the hub has it.
fn url(hub: &FoundHub) -> String {
    let scheme = if hub.says.tls == Tls::No { "ws" } else { "wss" };
    format!("{scheme}://{}:{}", hub.host, hub.port)
}

/// Its addresses, with the number of the interface where it takes one.
fn addresses(hub: &FoundHub) -> Vec<String> {
    let text = |address: &SocketAddr| match address {
        SocketAddr::V6(v6) if is_link_local(address.ip()) => format!("{}%{}", v6.ip(), v6.scope_id()),
        other => other.ip().to_string(),
    };
    hub.addresses.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zego_protocol::discovery::Announcement;

    #[test]
    fn a_hub_is_told_with_what_a_device_needs() {
        let says = Announcement { version: "0.1.0".into(), tls: Tls::Optional, app_ids: Some(vec!["7".into()]) };
        let addresses = ["10.0.0.2:7880", "[fe80::2%3]:7880"].map(|text| text.parse().unwrap()).to_vec();
        let hub = FoundHub { name: "Hall".into(), host: "zegohub-1.local".into(), port: 7880, addresses, says };
        assert_eq!(
            object(&hub),
            json!({
                "name": "Hall", "url": "wss://zegohub-1.local:7880", "host": "zegohub-1.local", "port": 7880,
                "addresses": ["10.0.0.2", "fe80::2%3"], "tls": "optional", "app_ids": ["7"], "version": "0.1.0",
            })
        );
    }
}
