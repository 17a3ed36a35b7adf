//! The URL that a server is reached by.

use super::super::error::SignalError;
use super::JoinOptions;

/// The URL of `server` without its query, for messages, and with what our own server wants to know. Others ignore it.
///
/// # Errors
/// [`SignalError::BadAddress`].
pub(super) fn urls(server: &str, options: &JoinOptions) -> Result<(String, String), SignalError> {
    let server = server.trim();
    let bad = || SignalError::BadAddress(server.to_owned());
    let server = server.split('#').next().unwrap_or_default();
    let (base, query) = server.split_once('?').unwrap_or((server, ""));
    let (scheme, rest) = base.split_once("://").ok_or_else(bad)?;
    if !["ws", "wss"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return Err(bad());
    }
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') || host.contains(char::is_whitespace) {
        return Err(bad());
    }
    let mut url = format!("{}?", base.trim_end_matches('/'));
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        url.push_str(pair);
        url.push('&');
    }
    let pairs = [("zego_room", &options.room_id), ("zego_user", &options.user_id), ("zego_name", &options.user_name)];
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        if index > 0 {
            url.push('&');
        }
        url.push_str(name);
        url.push('=');
        escape(value, &mut url);
    }
    let membership = &options.membership;
    if !membership.login.is_empty() {
        url.push_str("&zego_login=");
        escape(&membership.login, &mut url);
    }
    for (word, is_so) in [("zego_return=1", membership.returns), ("zego_notify=0", membership.quiet)] {
        if is_so {
            url.push('&');
            url.push_str(word);
        }
    }
    if membership.max_members != 0 {
        url.push_str(&format!("&zego_limit={}", membership.max_members));
    }
    Ok((base.to_owned(), url))
}

/// The URL at which `server`, when it is our own, takes a new token for a running session, and any other checks it; before it the
/// server's URL for messages.
///
/// # Errors
/// [`SignalError::BadAddress`].
pub(super) fn validation_url(server: &str, options: &JoinOptions) -> Result<(String, String), SignalError> {
    let (server, url) = urls(server, options)?;
    let (base, query) = url.split_once('?').unwrap_or((&url, ""));
    let secure = base.len() > 3 && base[..3].eq_ignore_ascii_case("wss");
    let rest = base.split_once("://").map_or("", |(_, rest)| rest);
    let scheme = if secure { "https" } else { "http" };
    Ok((server, format!("{scheme}://{rest}/rtc/validate?{query}&zego_renew=1")))
}

/// Host, without brackets, and port of a server's URL.
pub(super) fn host_and_port(server: &str) -> Option<(String, u16)> {
    let (scheme, rest) = server.trim().split_once("://")?;
    let port = if scheme.eq_ignore_ascii_case("wss") { 443 } else { 80 };
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, given) = match host.strip_prefix('[') {
        Some(ipv6) => {
            let (address, after) = ipv6.split_once(']')?;
            (address, after.strip_prefix(':'))
        }
        None => host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
    };
    let port = given.map_or(Some(port), |given| given.parse().ok())?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// Percent-encodes everything but unreserved characters, RFC 3986 §2.3.
fn escape(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Membership;

    fn options() -> JoinOptions {
        JoinOptions {
            server: String::new(),
            search: Default::default(),
            token: String::new(),
            room_id: "a b&c".to_owned(),
            user_id: "u~1".to_owned(),
            user_name: "Jörg".to_owned(),
            membership: Default::default(),
            network: Default::default(),
        }
    }

    #[test]
    fn our_own_server_is_told_room_and_user() {
        let added = "zego_room=a%20b%26c&zego_user=u~1&zego_name=J%C3%B6rg";
        for (server, base, url) in [
            ("ws://h:7880", "ws://h:7880", format!("ws://h:7880?{added}")),
            ("wss://h/path/", "wss://h/path/", format!("wss://h/path?{added}")),
            (" ws://h?x=1#y", "ws://h", format!("ws://h?x=1&{added}")),
        ] {
            assert_eq!(urls(server, &options()).unwrap(), (base.to_owned(), url), "{server}");
        }
    }

    #[test]
    fn our_own_server_is_told_which_login_it_is() {
        let membership = Membership { login: "a1".to_owned(), returns: true, quiet: true, max_members: 7 };
        let (_, url) = urls("ws://h", &JoinOptions { membership, ..options() }).unwrap();
        assert!(url.ends_with("&zego_login=a1&zego_return=1&zego_notify=0&zego_limit=7"), "{url}");
    }

    #[test]
    fn a_token_is_checked_beside_the_sockets() {
        let added = "zego_room=a%20b%26c&zego_user=u~1&zego_name=J%C3%B6rg&zego_renew=1";
        for (server, url) in [
            ("ws://h:7880", format!("http://h:7880/rtc/validate?{added}")),
            ("WSS://h/path/", format!("https://h/path/rtc/validate?{added}")),
        ] {
            assert_eq!(validation_url(server, &options()).unwrap().1, url);
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for server in ["", "h:7880", "http://h", "ws://", "ws:///x", "ws://:7880", "ws://a b"] {
            assert!(matches!(urls(server, &options()), Err(SignalError::BadAddress(_))), "{server}");
        }
    }

    #[test]
    fn a_server_has_a_host_and_a_port() {
        for (server, expected) in [
            ("ws://10.0.0.1:7880", Some(("10.0.0.1", 7880))),
            ("wss://rooms.example", Some(("rooms.example", 443))),
            ("ws://rooms.example/path?a=b:c", Some(("rooms.example", 80))),
            ("WSS://[2001:db8::1]:7880/", Some(("2001:db8::1", 7880))),
            ("ws://[::1]", Some(("::1", 80))),
            ("ws://host:port", None),
            ("ws://", None),
            ("nonsense", None),
        ] {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(host_and_port(server), expected, "{server}");
        }
    }
}
