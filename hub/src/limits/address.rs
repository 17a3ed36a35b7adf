//! Whose share of an address's limits a request uses up.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::HeaderMap;

/// What reverse proxies add. The last address is the one that the proxy itself has seen.
const FORWARDED_FOR: &str = "x-forwarded-for";
const REAL_IP: &str = "x-real-ip";

/// Everybody that one subscriber of a network can be: an IPv4 address, or the 64 bits that a network is given of IPv6.
pub fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
        v4 => v4,
    }
}

/// Whom a request from `address` counts for. `None`: a program on this machine, which is not limited by its address. One that speaks
/// for others, a reverse proxy, says whom it is for.
pub fn origin(address: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
    if !address.to_canonical().is_loopback() {
        return Some(block(address));
    }
    let last = |name: &str| {
        let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        value.rsplit(',').next()?.trim().parse::<IpAddr>().ok()
    };
    last(FORWARDED_FOR).or_else(|| last(REAL_IP)).filter(|ip| !ip.to_canonical().is_loopback()).map(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_counts_as_one() {
        let cases = [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
        ];
        for (address, expected) in cases {
            let parsed = block(address.parse().expect("an address"));
            assert_eq!(parsed, expected.parse::<IpAddr>().expect("an address"), "{address}");
        }
    }

    #[test]
    fn only_a_proxy_on_this_machine_speaks_for_others() {
        let cases = [
            ("127.0.0.1", "", "", None),
            ("::1", "", "", None),
            ("127.0.0.1", "198.51.100.1, 192.0.2.7", "", Some("192.0.2.7")),
            ("127.0.0.1", "", "192.0.2.8", Some("192.0.2.8")),
            ("127.0.0.1", "nonsense", "", None),
            ("::ffff:127.0.0.1", "2001:db8::7", "", Some("2001:db8::")),
            ("192.0.2.9", "198.51.100.1", "198.51.100.2", Some("192.0.2.9")),
        ];
        for (address, forwarded, real, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in [(FORWARDED_FOR, forwarded), (REAL_IP, real)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().expect("a value"));
                }
            }
            let counts_for = origin(address.parse().expect("an address"), &headers);
            assert_eq!(counts_for, expected.map(|e| e.parse().expect("an address")), "{address} {forwarded} {real}");
        }
    }
}
