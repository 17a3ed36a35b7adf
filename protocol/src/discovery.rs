//! How room servers are found on a LAN: what a hub says about itself by DNS-SD (RFC 6763) over multicast DNS (RFC 6762), and which
//! of several is taken.
//!
//! **Nothing of this is proven.** Whoever is on the LAN can announce anything: a certificate is checked against what the device's
//! own configuration says, never against an announcement.

#[cfg(feature = "browse")]
pub mod browse;
mod choice;

use std::net::{IpAddr, SocketAddr};

pub use choice::{NoHub, Place, Wish, places};

/// What a device's configuration and LoginRoom call the server that is found by itself.
pub const AUTO: &str = "auto";
/// The type of service, RFC 6763, section 7.
pub const SERVICE_TYPE: &str = "_zegohub._tcp.local.";
/// Most bytes of a TXT record's string, RFC 6763, section 6.1.
const LONGEST_STRING: usize = 255;

/// Whether a hub speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// It does not.
    No,
    /// It does, and without, too.
    Optional,
    /// It does, and demands it.
    Required,
}

impl Tls {
    /// Its word in a TXT record, and in what `zegoctl find` prints.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// What a hub says about itself in its TXT record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The hub's version; empty when it does not say.
    pub version: String,
    /// Whether it speaks TLS.
    pub tls: Tls,
    /// The AppIDs that it knows; nothing when it does not say, or they find no room.
    pub app_ids: Option<Vec<String>>,
}

impl Announcement {
    /// The keys and values of the TXT record.
    #[must_use]
    pub fn to_txt(&self) -> Vec<(&'static str, String)> {
        let mut pairs =
            vec![("txtvers", "1".to_owned()), ("version", self.version.clone()), ("tls", self.tls.word().to_owned())];
        if let Some(ids) = &self.app_ids {
            let list = ids.join(",");
            // An id with a comma would be read as two.
            if !ids.iter().any(|id| id.contains(',')) && "apps=".len() + list.len() <= LONGEST_STRING {
                pairs.push(("apps", list));
            }
        }
        pairs
    }

    /// Reads a TXT record, `value` giving what a key has. What is missing or unknown is taken for not said.
    #[must_use]
    pub fn from_txt<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Self {
        let tls = match value("tls") {
            Some("required") => Tls::Required,
            Some("optional") => Tls::Optional,
            _ => Tls::No,
        };
        let ids = |list: &str| list.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
        Self { version: value("version").unwrap_or_default().to_owned(), tls, app_ids: value("apps").map(ids) }
    }
}

/// A hub that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundHub {
    /// The name for people: the host's, unless configured.
    pub name: String,
    /// Its host name, without the dot at the end.
    pub host: String,
    /// The port of HTTP and WebSocket.
    pub port: u16,
    /// Where the host is, in the order of [`in_order`]; link-local IPv6 addresses with their interface's number.
    pub addresses: Vec<SocketAddr>,
    /// What it says about itself.
    pub says: Announcement,
}

/// Whether an address counts on its own link only.
#[must_use]
pub const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Puts addresses in the order in which they are tried: IPv4, IPv6, and behind them those that count on their own link only, IPv6
/// first (media can use it, 169.254.0.0/16 not). Each once.
pub fn in_order(addresses: &mut Vec<SocketAddr>) {
    addresses.sort_by_key(|address| {
        let is_local = is_link_local(address.ip());
        (is_local, address.is_ipv6() != is_local, *address)
    });
    addresses.dedup();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_announced_is_read_again(
            version in "[ -~é]{0,20}",
            tls in prop_oneof![Just(Tls::No), Just(Tls::Optional), Just(Tls::Required)],
            app_ids in proptest::option::of(proptest::collection::vec("[^,]{1,20}", 0..12)),
        ) {
            let written = Announcement { version, tls, app_ids };
            let txt = written.to_txt();
            let read = Announcement::from_txt(|key| txt.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str()));
            // What is too long for a record is not said.
            let expected = Announcement { app_ids: read.app_ids.clone().and(written.app_ids.clone()), ..written };
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn an_announcement_is_read_as_it_was_written() {
        for app_ids in [None, Some(vec![]), Some(vec!["1234567890".to_owned(), "dev key".to_owned()])] {
            for tls in [Tls::No, Tls::Optional, Tls::Required] {
                let written = Announcement { version: "0.1.0".to_owned(), tls, app_ids: app_ids.clone() };
                let txt = written.to_txt();
                let find = |key: &str| txt.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str());
                assert_eq!(Announcement::from_txt(find), written);
            }
        }
    }

    #[test]
    fn what_finds_no_room_is_not_said() {
        let said = |ids: Vec<String>| {
            let txt = Announcement { version: String::new(), tls: Tls::No, app_ids: Some(ids) }.to_txt();
            txt.iter().all(|(name, value)| name.len() + 1 + value.len() <= LONGEST_STRING).then_some(())?;
            txt.into_iter().find(|(name, _)| *name == "apps").map(|(_, value)| value)
        };
        assert_eq!(said(vec!["7".to_owned(), "8".to_owned()]).as_deref(), Some("7,8"));
        assert_eq!(said(vec!["1234567890".to_owned(); 30]), None);
        assert_eq!(said(vec!["a,b".to_owned()]), None);
    }

    #[test]
    fn a_record_of_anybody_is_read() {
        let read = |pairs: &[(&str, &'static str)]| {
            Announcement::from_txt(|key| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value))
        };
        let nothing = Announcement { version: String::new(), tls: Tls::No, app_ids: None };
        assert_eq!(read(&[]), nothing);
        assert_eq!(read(&[("tls", "maybe"), ("more", "x")]), nothing);
        assert_eq!(read(&[("apps", ",7,,")]).app_ids, Some(vec!["7".to_owned()]));
    }

    #[test]
    fn link_local_addresses_are_tried_last() {
        let read = |text: &&str| text.parse::<SocketAddr>().unwrap();
        let wanted = ["10.0.0.2:1", "192.168.1.2:1", "[2001:db8::2]:1", "[fe80::2%3]:1", "169.254.0.2:1"];
        let mut addresses: Vec<SocketAddr> = wanted.iter().rev().chain(&wanted[..2]).map(read).collect();
        in_order(&mut addresses);
        assert_eq!(addresses, wanted.iter().map(read).collect::<Vec<_>>());
    }
}
