//! ICE servers in `Link` (RFC 9725, section 4.4; RFC 8288).

use crate::rtc::IceServer;

/// Most servers that are taken over.
const SERVERS: usize = 8;

/// The STUN and TURN servers that an answer's `Link` values name.
pub(super) fn ice_servers<'a>(values: impl Iterator<Item = &'a str>) -> Vec<IceServer> {
    values.flat_map(links).filter_map(|link| server(&link)).take(SERVERS).collect()
}

/// The links of one value: commas part them, except inside `<>` and quotes.
fn links(value: &str) -> Vec<String> {
    let (mut found, mut link) = (Vec::new(), String::new());
    let (mut quoted, mut escaped, mut address) = (false, false, false);
    for letter in value.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if !address => quoted = !quoted,
            '<' if !quoted => address = true,
            '>' if !quoted => address = false,
            ',' if !quoted && !address => {
                found.push(std::mem::take(&mut link));
                continue;
            }
            _ => {}
        }
        link.push(letter);
    }
    found.push(link);
    found
}

fn server(link: &str) -> Option<IceServer> {
    let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_ice =
        parameter(parameters, "rel").is_some_and(|rel| rel.split_whitespace().any(|word| word == "ice-server"));
    let url = unescaped(address.trim());
    let known = ["stun:", "turn:"].iter().any(|scheme| url.starts_with(scheme));
    (is_ice && known).then(|| IceServer {
        urls: vec![url],
        username: parameter(parameters, "username").unwrap_or_default(),
        credential: parameter(parameters, "credential").unwrap_or_default(),
    })
}

/// The value of one parameter, without its quotes.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters.trim_start();
    while let Some(next) = rest.strip_prefix(';') {
        let (name, after) = next.split_once('=')?;
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => {
                let (mut value, mut escaped, mut end) = (String::new(), false, quoted.len());
                for (index, letter) in quoted.char_indices() {
                    match letter {
                        '\\' if !escaped => escaped = true,
                        '"' if !escaped => {
                            end = index + 1;
                            break;
                        }
                        letter => {
                            escaped = false;
                            value.push(letter);
                        }
                    }
                }
                (value, quoted.get(end..).unwrap_or_default())
            }
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after.trim_start();
    }
    None
}

/// An address without percent signs: some servers escape the question mark.
fn unescaped(address: &str) -> String {
    let mut bytes = Vec::with_capacity(address.len());
    let mut rest = address.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let byte = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match byte.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn turn(url: &str, username: &str, credential: &str) -> IceServer {
        IceServer { urls: vec![url.to_owned()], username: username.to_owned(), credential: credential.to_owned() }
    }

    #[test]
    fn servers_are_read_as_servers_write_them() {
        let cases = [
            ("<stun:s.example.net>; rel=\"ice-server\"", vec![turn("stun:s.example.net", "", "")]),
            (
                "<turn:t.example.net?transport=udp>; rel=\"ice-server\"; username=\"u,1\"; credential=\"a\\\"b;c\"; \
                 credential-type=\"password\", <stun:s>;rel=ice-server",
                vec![turn("turn:t.example.net?transport=udp", "u,1", "a\"b;c"), turn("stun:s", "", "")],
            ),
            (
                "<turn:10.0.0.1:3478%3Ftransport=udp>; rel=\"ice-server\"",
                vec![turn("turn:10.0.0.1:3478?transport=udp", "", "")],
            ),
            ("<turns:t.example.net>; rel=\"ice-server\"", vec![]),
            ("<https://h/page>; rel=\"next\"", vec![]),
            ("rubbish", vec![]),
        ];
        for (value, expected) in cases {
            assert_eq!(ice_servers([value].into_iter()), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in "[<>;,=\"\\\\ a-z%0-9é:?]{0,60}") {
            prop_assert!(ice_servers([value.as_str()].into_iter()).len() <= SERVERS);
        }
    }
}
