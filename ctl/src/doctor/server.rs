//! Whether a room server can be reached, and what it says to a token.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use zego_protocol::discovery::browse;
use zego_protocol::error;
use zego_protocol::trust::{Checker, Complaint, Trust};

use crate::doctor::{Finding, clock};

/// How long a server may take for each step.
const PATIENCE: Duration = Duration::from_secs(3);
/// More of an answer is not read.
const LONGEST_ANSWER: u64 = 64 << 10;

/// Where a room server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    path: String,
    encrypted: bool,
}

impl Address {
    /// Of a `ws://` or `wss://` URL.
    pub fn parse(url: &str) -> Option<Address> {
        let (rest, encrypted) = match url.strip_prefix("ws://") {
            Some(rest) => (rest, false),
            None => (url.strip_prefix("wss://")?, true),
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let standard = if encrypted { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, standard),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_string();
        let path = path.trim_end_matches('/').to_string();
        (!host.is_empty()).then_some(Address { host, port, path, encrypted })
    }
}

/// A token, and whom it is to let in where.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    /// The token; empty = none.
    pub token: String,
    /// The user; empty = the token's.
    pub user: String,
    /// The room; empty = the token's.
    pub room: String,
}

/// What a server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Its time, Unix seconds, if it told.
    pub time: Option<u64>,
    /// The first line of what it said.
    pub text: String,
}

/// Looks whether the server at `url` is there, whether its certificate is one to believe, and what it says to the token. Where
/// `addresses` are known, its name is not asked for.
pub async fn look(url: &str, addresses: Vec<SocketAddr>, visit: &Visit, trust: &Trust) -> (Finding, Option<Answer>) {
    let Some(address) = Address::parse(url) else {
        let finding = Finding::problem(
            "server",
            format!("'{url}' is no room server."),
            "give a ws:// or wss:// URL by [room] server in /etc/zegod/zegod.toml, or at the login",
        );
        return (finding, None);
    };
    let unreachable = |why: &str, advice: &str| {
        Finding::problem("server", format!("The server {url} cannot be reached: {why}."), advice).with_code(1_002_031)
    };
    let connected = timeout(PATIENCE, connect(&address, addresses)).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            return (unreachable("nothing listens there", "start the server, or check host and port"), None);
        }
        Ok(Err(error)) => {
            let advice = "check the host's name, the cable or the Wi-Fi, and the server";
            return (unreachable(&error.to_string(), advice), None);
        }
        Err(_) => {
            let advice = "check the address, and the firewalls in between";
            return (unreachable("it does not answer", advice), None);
        }
    };
    let asked = if address.encrypted {
        match encrypted(stream, &address, url, trust).await {
            Ok(stream) => timeout(PATIENCE, ask(stream, &address, visit)).await,
            Err(finding) => return (finding, None),
        }
    } else {
        timeout(PATIENCE, ask(stream, &address, visit)).await
    };
    match asked {
        Ok(Ok(answer)) if answer.status != 404 => {
            (Finding::fine("server", format!("The room server {url} answers.")), Some(answer))
        }
        Ok(Ok(_)) => {
            (Finding::problem("server", format!("What answers at {url} is no room server."), "check the port"), None)
        }
        Ok(Err(_)) | Err(_) => {
            let message = format!("What listens at {url} does not answer as a room server does.");
            (Finding::problem("server", message, "check the port").with_code(1_002_031), None)
        }
    }
}

/// Connects to one of the server's addresses.
async fn connect(address: &Address, mut known: Vec<SocketAddr>) -> std::io::Result<TcpStream> {
    if known.is_empty() && browse::is_local_name(&address.host) {
        // The system may know the name by other means.
        known = browse::addresses(&address.host, address.port, PATIENCE / 2).await.unwrap_or_default();
    }
    match known[..] {
        [] => TcpStream::connect((address.host.as_str(), address.port)).await,
        _ => TcpStream::connect(&known[..]).await,
    }
}

/// Begins TLS as zegod does; what is wrong with it is found.
async fn encrypted(
    stream: TcpStream,
    address: &Address,
    url: &str,
    trust: &Trust,
) -> Result<TlsStream<TcpStream>, Finding> {
    let problem = |message: String, advice: &str| Finding::problem("server", message, advice).with_code(1_002_030);
    let complaint = Complaint::default();
    let config = Checker::new(trust, complaint.clone()).and_then(Checker::into_config).map_err(|error| {
        let message = format!("The certificate of {url} cannot be checked: {error}.");
        problem(message, "correct that, or ask as a user who may read the file")
    })?;
    let name = ServerName::try_from(address.host.clone())
        .map_err(|_| problem(format!("'{}' is no host's name.", address.host), "correct the URL"))?;
    let begun = timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    match (begun, complaint.take()) {
        (Ok(Ok(stream)), _) => Ok(stream),
        (_, Some(untrusted)) => Err(problem(format!("{}.", untrusted.replacen("the", "The", 1)), Complaint::ADVICE)),
        (Ok(Err(error)), None) => {
            let message = format!("What listens at {url} does not speak TLS: {error}.");
            Err(problem(message, "check the port, or whether the server is one for ws://"))
        }
        (Err(_), None) => Err(problem(format!("What listens at {url} does not begin TLS."), "check the port")),
    }
}

/// Asks the server to look at the token, without logging in: LiveKit's `/rtc/validate`.
async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    address: &Address,
    visit: &Visit,
) -> std::io::Result<Answer> {
    let slash = if address.path.is_empty() { "" } else { "/" };
    let mut request = format!(
        "GET {slash}{}/rtc/validate?zego_user={}&zego_room={} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\n",
        address.path,
        encoded(&visit.user),
        encoded(&visit.room),
        address.host,
        address.port
    );
    // A header ends with its line; no token has such a character.
    if !visit.token.is_empty() && !visit.token.contains(char::is_control) {
        request.push_str(&format!("Authorization: Bearer {}\r\n", visit.token));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    // Some servers end TLS by closing the connection.
    let ended = stream.take(LONGEST_ANSWER).read_to_end(&mut bytes).await;
    let malformed = || ended.err().unwrap_or_else(|| std::io::ErrorKind::InvalidData.into());
    parse(&String::from_utf8_lossy(&bytes)).ok_or_else(malformed)
}

/// Reads an HTTP answer.
fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| {
        head.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    let time = header("date").and_then(|(_, value)| clock::parse_http_date(value));
    let text = body.lines().find(|line| line.contains(' ')).or_else(|| body.lines().next()).unwrap_or_default();
    Some(Answer { status, time, text: text.trim().to_string() })
}

/// What the server said to the token, when it refused it.
pub fn refusal(answer: &Answer) -> Option<Finding> {
    if (200..300).contains(&answer.status) {
        return None;
    }
    let code = error::code_of(&answer.text).unwrap_or(1_002_033);
    let text = answer.text.rsplit_once(" [").map_or(answer.text.as_str(), |(text, _)| text);
    let advice = error::lookup(code).map_or("make a new one", |row| row.advice);
    Some(Finding::problem("token", format!("The server refuses the token: {text}."), advice).with_code(code))
}

/// Percent-encoding of a query's value (RFC 3986, section 2.1).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn noise_is_no_address_or_one_with_a_host(url in "(wss?://)?[\\[\\]a-z0-9:./?#@é-]{0,30}") {
            prop_assert!(Address::parse(&url).is_none_or(|address| !address.host.is_empty()));
        }

        #[test]
        fn noise_is_no_answer_or_one_with_a_status(
            answer in "(HTTP/1\\.[01] [0-9é]{0,4} ?[A-Za-z]{0,5}\r\n)?(Date: [ -~é]{0,30}\r\n)?(\r\n)?[ -~\r\né]{0,60}",
        ) {
            if let Some(answer) = parse(&answer) {
                let _ = refusal(&answer);
            }
        }

        #[test]
        fn what_is_encoded_is_plain_and_whole(text in any::<String>()) {
            let encoded = encoded(&text);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && !b"&?#+=/ ".contains(&byte)));
            prop_assert_eq!(encoded.matches('%').count(), text.bytes().filter(|b| !b.is_ascii_alphanumeric() && !b"-._~".contains(b)).count());
        }
    }

    #[test]
    fn addresses_of_room_servers_are_taken_apart() {
        let address = |url: &str| Address::parse(url).map(|a| (a.host, a.port, a.path, a.encrypted));
        let parts = |host: &str, port, path: &str, encrypted| Some((host.into(), port, path.into(), encrypted));
        assert_eq!(address("ws://127.0.0.1:7880"), parts("127.0.0.1", 7880, "", false));
        assert_eq!(address("ws://[::1]:7880/"), parts("::1", 7880, "", false));
        assert_eq!(address("ws://hub"), parts("hub", 80, "", false));
        assert_eq!(address("wss://rooms.example.org/sub/"), parts("rooms.example.org", 443, "sub", true));
        for wrong in ["", "http://hub", "ws://", "ws://hub:port"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn answers_are_read() {
        let answer = "HTTP/1.1 401 Unauthorized\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 40\r\n\r\nThe token expired 9 s ago [1002078]";
        let answer = parse(answer).unwrap();
        assert_eq!((answer.status, answer.time), (401, Some(784_111_777)));
        let finding = refusal(&answer).unwrap();
        assert_eq!(finding.code, Some(1_002_078));
        assert!(finding.message.ends_with("The token expired 9 s ago."), "{finding:?}");
        assert!(refusal(&Answer { status: 200, ..Answer::default() }).is_none());
        assert!(parse("SSH-2.0-OpenSSH\r\n").is_none() && parse("").is_none());
        assert_eq!(encoded("a b&c'ä"), "a%20b%26c%27%C3%A4");
    }
}
