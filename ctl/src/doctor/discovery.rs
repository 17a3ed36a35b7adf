//! Which room servers `auto` finds.

use zego_protocol::discovery::{FoundHub, NoHub, Place, Wish, places};

use crate::doctor::Finding;

/// What was found, and where `auto` tries first. `app_id` is the device's, empty or 0 when it has none.
pub fn check(hubs: &[FoundHub], app_id: &str) -> (Finding, Option<Place>) {
    let app_id = Some(app_id.to_string()).filter(|id| !id.is_empty() && id != "0");
    match places(hubs, &Wish { app_id, tls_only: false }) {
        Ok(found) => {
            let names: Vec<String> = hubs.iter().map(|hub| format!("'{}'", hub.name)).collect();
            let first = found.into_iter().next();
            let url = first.as_ref().map_or_else(String::new, |place| place.url.clone());
            let message = format!("On this network are {}; auto tries {url} first.", names.join(", "));
            (Finding::fine("discovery", message), first)
        }
        Err(none) => {
            let advice = match none {
                NoHub::Nothing => {
                    "start a zegohub on this network, or set [room] server to its URL; multicast (UDP 5353) must pass"
                }
                _ => "set [engine] app_id to one of the hub's, or [room] server to the URL of another one",
            };
            let message = none.to_string();
            let message = message.replacen("no ", "No ", 1) + ".";
            (Finding::problem("discovery", message, advice).with_code(1_002_031), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use zego_protocol::discovery::{Announcement, Tls};

    #[test]
    fn what_auto_finds_is_told() {
        let says = Announcement { version: String::new(), tls: Tls::No, app_ids: Some(vec!["7".into()]) };
        let hub =
            FoundHub { name: "Hall".into(), host: "zegohub-1.local".into(), port: 7880, addresses: Vec::new(), says };
        let (finding, place) = check(std::slice::from_ref(&hub), "0");
        assert_eq!(finding.verdict, Verdict::Fine);
        assert_eq!(finding.message, "On this network are 'Hall'; auto tries ws://zegohub-1.local:7880 first.");
        assert_eq!(place.unwrap().host, "zegohub-1.local");
        for (hubs, app_id, word) in [(&[][..], "0", "No zegohub announces"), (&[hub][..], "8", "AppID 8")] {
            let (finding, place) = check(hubs, app_id);
            assert!(finding.verdict == Verdict::Problem && place.is_none(), "{finding:?}");
            assert!(finding.message.contains(word) && finding.message.ends_with('.'), "{finding:?}");
        }
    }
}
