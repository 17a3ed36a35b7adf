//! `zegohub.toml`.

mod discovery;
mod limits;
mod rooms;
mod tls;
mod turn;
mod webhooks;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;
use serde::Deserialize;
use zego_protocol::token::App;

pub use discovery::DiscoveryConfig;
pub use tls::{CertificateSource, TlsConfig};

use crate::limits::Limits;
use crate::rooms::RoomSettings;
use crate::turn::TurnServer;
use crate::webhooks::WebhookConfig;

/// Where the hub looks when no file is named.
pub const DEFAULT_FILE: &str = "/etc/zegohub/zegohub.toml";
/// HTTP and WebSocket, unless configured.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 7880);
/// Media, unless configured.
const UDP_PORT: u16 = 7882;
/// A silent participant stays so long, unless configured.
const HEARTBEAT_TIMEOUT_S: u64 = 90;

/// Where media over TCP comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpPort {
    /// At the number of the UDP port, unless HTTP has it.
    LikeUdp,
    /// At this one.
    Given(u16),
    /// Nowhere.
    None,
}

impl TcpPort {
    /// Its number (0: any), beside the UDP port `udp` and HTTP's `http`.
    pub fn number(self, udp: u16, http: u16) -> Option<u16> {
        match self {
            TcpPort::LikeUdp => Some(udp).filter(|udp| *udp != http),
            TcpPort::Given(port) => Some(port),
            TcpPort::None => None,
        }
    }
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of HTTP and WebSocket; media uses the same address.
    pub listen: SocketAddr,
    /// UDP port of all media.
    pub udp_port: u16,
    /// TCP port of media for networks without UDP.
    pub tcp_port: TcpPort,
    /// How long a participant that is not heard stays in its room.
    pub heartbeat_timeout: Duration,
    /// Whoever's token expires in a room is put out; otherwise it stays until it leaves.
    pub expire_sessions: bool,
    /// AppIDs and their secrets; empty: the hub makes one of its own.
    pub apps: Vec<App>,
    /// What rooms are like.
    pub room: RoomSettings,
    /// Servers that are told what happens in rooms.
    pub webhooks: Vec<WebhookConfig>,
    /// Whoever shows this token may read `/metrics`; without one, whoever is on the same machine.
    pub metrics_token: Option<String>,
    /// How TLS is spoken, if it is.
    pub tls: Option<TlsConfig>,
    /// How much one client may ask for.
    pub limits: Limits,
    /// Where clients may have their media relayed.
    pub turn: Option<TurnServer>,
    /// How the hub is found on its LAN.
    pub discovery: DiscoveryConfig,
    /// What is logged.
    pub log_level: LevelFilter,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: LISTEN,
            udp_port: UDP_PORT,
            tcp_port: TcpPort::LikeUdp,
            heartbeat_timeout: Duration::from_secs(HEARTBEAT_TIMEOUT_S),
            expire_sessions: false,
            apps: Vec::new(),
            room: RoomSettings::default(),
            webhooks: Vec::new(),
            metrics_token: None,
            tls: None,
            limits: Limits::default(),
            turn: None,
            discovery: DiscoveryConfig::default(),
            log_level: LevelFilter::Info,
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{file}:{line}: {key}: {problem}")]
    Bad {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Key, with its table's name.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<toml::Spanned<String>>,
    udp_port: Option<toml::Spanned<i64>>,
    tcp_port: Option<toml::Spanned<i64>>,
    heartbeat_timeout_s: Option<toml::Spanned<i64>>,
    expire_sessions: Option<bool>,
    #[serde(default)]
    app: Vec<FileApp>,
    room: Option<rooms::Room>,
    #[serde(default)]
    webhook: Vec<webhooks::Webhook>,
    metrics: Option<Metrics>,
    tls: Option<toml::Spanned<tls::Tls>>,
    limits: Option<limits::LimitsTable>,
    turn: Option<toml::Spanned<turn::Turn>>,
    discovery: Option<discovery::Discovery>,
    log: Option<Log>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileApp {
    id: toml::Spanned<AppId>,
    secret: toml::Spanned<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "an AppID is a number or a text")]
enum AppId {
    Number(u32),
    Text(String),
}

impl AppId {
    fn text(&self) -> String {
        match self {
            AppId::Number(number) => number.to_string(),
            AppId::Text(text) => text.clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metrics {
    token: toml::Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    level: Option<toml::Spanned<String>>,
}

impl Config {
    /// Reads `file`; without one, the default file if it is there, or else the defaults.
    pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => Config::parse(path, &text),
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
            Err(source) => Err(ConfigError::Read { file: path.to_owned(), source }),
        }
    }

    /// Reads the text of `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Config, ConfigError> {
        let bad = |at: usize, problem: String| ConfigError::Bad {
            file: file.to_owned(),
            line: text[..at.min(text.len())].matches('\n').count() + 1,
            key: key_at(text, at),
            problem,
        };
        let parsed: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            bad(at, error.message().trim().to_owned())
        })?;
        let mut config = Config::default();
        if let Some(listen) = parsed.listen {
            let at = listen.span().start;
            let problem = |_| bad(at, format!("{:?} is not \"IP:PORT\", such as \"0.0.0.0:7880\"", listen.get_ref()));
            config.listen = listen.get_ref().parse().map_err(problem)?;
        }
        if let Some(port) = parsed.udp_port {
            let problem = |_| bad(port.span().start, format!("{} is not a port (0 to 65535)", port.get_ref()));
            config.udp_port = u16::try_from(*port.get_ref()).map_err(problem)?;
        }
        if let Some(port) = parsed.tcp_port {
            let problem =
                |_| bad(port.span().start, format!("{} is not a port (1 to 65535, 0 = none)", port.get_ref()));
            config.tcp_port = match u16::try_from(*port.get_ref()).map_err(problem)? {
                0 => TcpPort::None,
                given => TcpPort::Given(given),
            };
        }
        if let Some(seconds) = parsed.heartbeat_timeout_s {
            let given = *seconds.get_ref();
            if !(1..=86_400).contains(&given) {
                return Err(bad(seconds.span().start, format!("{given} is not a time from 1 to 86400 seconds")));
            }
            config.heartbeat_timeout = Duration::from_secs(given.unsigned_abs());
        }
        config.expire_sessions = parsed.expire_sessions.unwrap_or(false);
        for app in parsed.app {
            let id = app.id.get_ref().text();
            if id.is_empty() || id == "0" {
                return Err(bad(app.id.span().start, "an AppID is neither empty nor 0".to_owned()));
            }
            if config.apps.iter().any(|known| known.id == id) {
                return Err(bad(app.id.span().start, format!("AppID {id} is there twice")));
            }
            if app.secret.get_ref().is_empty() {
                return Err(bad(app.secret.span().start, "a secret is not empty".to_owned()));
            }
            config.apps.push(App::new(id, app.secret.get_ref().clone()));
        }
        if let Some(room) = parsed.room {
            config.room = room.read(&bad)?;
        }
        for webhook in parsed.webhook {
            config.webhooks.push(webhook.read(&config.apps, &bad)?);
        }
        if let Some(metrics) = parsed.metrics {
            if metrics.token.get_ref().is_empty() {
                return Err(bad(metrics.token.span().start, "a token is not empty".to_owned()));
            }
            config.metrics_token = Some(metrics.token.into_inner());
        }
        if let Some(tls) = parsed.tls {
            let at = tls.span().start;
            config.tls = Some(tls.into_inner().read(at, &bad)?);
        }
        if let Some(limits) = parsed.limits {
            config.limits = limits.read(&bad)?;
        }
        if let Some(turn) = parsed.turn {
            let at = turn.span().start;
            config.turn = Some(turn.into_inner().read(at, &bad)?);
        }
        if let Some(discovery) = parsed.discovery {
            config.discovery = discovery.read(&bad)?;
        }
        if let Some(level) = parsed.log.and_then(|log| log.level) {
            let problem = |_| {
                let words = "off, error, warn, info, debug or trace";
                bad(level.span().start, format!("{:?} is not a level: {words}", level.get_ref()))
            };
            config.log_level = level.get_ref().parse().map_err(problem)?;
        }
        Ok(config)
    }
}

/// The key of the line at `at`, with the name of its table.
fn key_at(text: &str, at: usize) -> String {
    let at = at.min(text.len());
    let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
    let line = text[start..end].trim();
    if line.starts_with('[') {
        return line.trim_matches(['[', ']']).to_owned();
    }
    let key = line.split('=').next().unwrap_or_default().trim();
    let table = text[..start].lines().rev().map(str::trim).find(|l| l.starts_with('['));
    match table {
        Some(table) => format!("{}.{key}", table.trim_matches(['[', ']'])),
        None => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::RoomOptions;
    use crate::turn::Credentials;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("zegohub.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_can_be_set() {
        let config = parse(
            "listen = \"127.0.0.1:9000\"\nudp_port = 9001\ntcp_port = 9002\nheartbeat_timeout_s = 5\nexpire_sessions = true\n\
             [[app]]\nid = 1234567890\nsecret = \"s1\"\n[[app]]\nid = \"devkey\"\nsecret = \"s2\"\n[log]\nlevel = \"debug\"\n\
             [room]\nauto_create = false\nremote_unmute = true\nempty_timeout_s = 7\ndeparture_timeout_s = 0\n\
             max_participants = 3\n[metrics]\ntoken = \"t\"\n[[webhook]]\nurl = \"http://a/b\"\napp = 1234567890\n\
             [tls]\nown = true\nnames = [\"door.example\"]\nplain = true\n\
             [limits]\nconnections_per_address = 1\nrequests_per_address = 2\njoins_per_user = 3\nmessages_per_client = 4\n\
             data_kib_per_participant = 5\ntracks_per_participant = 6\nparticipants_per_app = 7\n[discovery]\nannounce = false\nname = \"Front door\"\n",
        )
        .expect("good");
        assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
        assert_eq!((config.udp_port, config.heartbeat_timeout), (9001, Duration::from_secs(5)));
        assert_eq!(config.tcp_port, TcpPort::Given(9002));
        assert!(config.expire_sessions);
        assert_eq!(config.apps, [App::new("1234567890", "s1"), App::new("devkey", "s2")]);
        assert_eq!(config.log_level, LevelFilter::Debug);
        let options = RoomOptions {
            empty_timeout: Duration::from_secs(7),
            departure_timeout: Duration::ZERO,
            max_participants: 3,
        };
        assert_eq!(config.room, RoomSettings { auto_create: false, remote_unmute: true, options });
        assert_eq!(config.metrics_token.as_deref(), Some("t"));
        let certificate = CertificateSource::Own { names: vec!["door.example".to_owned()] };
        assert_eq!(config.tls, Some(TlsConfig { certificate, plain: true }));
        let limits = Limits {
            connections_per_address: 1,
            requests_per_address: 2,
            joins_per_user: 3,
            messages_per_client: 4,
            data_kib_per_participant: 5,
            tracks_per_participant: 6,
            participants_per_app: 7,
        };
        assert_eq!(config.limits, limits);
        assert_eq!(config.discovery, DiscoveryConfig { announce: false, name: Some("Front door".to_owned()) });
        let [webhook] = config.webhooks.as_slice() else { panic!("{:?}", config.webhooks) };
        assert_eq!((webhook.url.as_str(), webhook.app.as_deref()), ("http://a/b", Some("1234567890")));
    }

    #[test]
    fn nothing_must_be_set() {
        let config = parse("").expect("good");
        assert_eq!(config.listen.to_string(), "0.0.0.0:7880");
        assert_eq!(config.udp_port, 7882);
        assert_eq!(config.heartbeat_timeout, Duration::from_secs(90));
        assert!(config.apps.is_empty() && !config.expire_sessions && config.webhooks.is_empty());
        assert_eq!((config.room, config.metrics_token, config.tls), (RoomSettings::default(), None, None));
        assert_eq!((config.limits, config.turn), (Limits::default(), None));
        assert_eq!(config.discovery, DiscoveryConfig { announce: true, name: None });
    }

    #[test]
    fn mistakes_are_named_with_file_line_and_key() {
        let cases = [
            ("# x\nlisten_on = \"1\"\n", "zegohub.toml:2: listen_on: unknown field `listen_on`"),
            ("listen = \"localhost\"\n", "zegohub.toml:1: listen: \"localhost\" is not \"IP:PORT\""),
            ("udp_port = 70000\n", "zegohub.toml:1: udp_port: 70000 is not a port"),
            ("tcp_port = -1\n", "zegohub.toml:1: tcp_port: -1 is not a port"),
            ("heartbeat_timeout_s = 0\n", "zegohub.toml:1: heartbeat_timeout_s: 0 is not a time"),
            ("udp_port = \"x\"\n", "zegohub.toml:1: udp_port: invalid type"),
            ("[log]\n\nlevel = \"loud\"\n", "zegohub.toml:3: log.level: \"loud\" is not a level"),
            ("[[app]]\nid = 0\nsecret = \"s\"\n", "zegohub.toml:2: app.id: an AppID is neither empty nor 0"),
            ("[[app]]\nid = 7\nsecret = \"\"\n", "zegohub.toml:3: app.secret: a secret is not empty"),
            ("[[app]]\nid = 7\n", "zegohub.toml:1: app: missing field `secret`"),
            (
                "[[app]]\nid = 7\nsecret = \"s\"\n[[app]]\nid = \"7\"\nsecret = \"s\"\n",
                "zegohub.toml:5: app.id: AppID 7 is there twice",
            ),
            ("[tls]\ncertificate = \"a\"\n", "zegohub.toml:1: tls: set either certificate and key"),
            ("[tls]\nown = true\nnames = [\"a b\"]\n", "zegohub.toml:1: tls: \"a b\" is not a host name"),
            ("[discovery]\nname = \"\"\n", "zegohub.toml:2: discovery.name: \"\" is not a name of 1 to 58 bytes"),
            ("[room]\nempty_timeout_s = -1\n", "zegohub.toml:2: room.empty_timeout_s: -1 is not a time"),
            ("[room]\nmax_participants = -1\n", "zegohub.toml:2: room.max_participants: -1 is not a number of people"),
            (
                "[limits]\njoins_per_user = 0\n",
                "zegohub.toml:2: limits.joins_per_user: 0 is not a number from 1 to 1000000",
            ),
            (
                "[limits]\nparticipants_per_app = -1\n",
                "zegohub.toml:2: limits.participants_per_app: -1 is not a number",
            ),
            ("[metrics]\ntoken = \"\"\n", "zegohub.toml:2: metrics.token: a token is not empty"),
            ("[[webhook]]\nurl = \"ftp://a\"\n", "zegohub.toml:2: webhook.url: \"ftp://a\" is not an http:// or"),
            (
                "[[webhook]]\nurl = \"http://a\"\napp = 7\n",
                "zegohub.toml:3: webhook.app: there is no [[app]] with id 7",
            ),
            (
                "[[app]]\nid = 1\nsecret = \"s\"\n[[app]]\nid = 2\nsecret = \"s\"\n[[webhook]]\nurl = \"http://a\"\n",
                "zegohub.toml:8: webhook.url: there are several AppIDs",
            ),
            ("listen = \n", "zegohub.toml:1: listen:"),
        ];
        for (text, expected) in cases {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_turn_server_has_a_secret_or_a_password() {
        let turn =
            |text: &str| parse(&format!("[turn]\n{text}")).map(|config| config.turn.map(|turn| turn.credentials));
        let secret = Credentials::Secret { secret: "s".into(), ttl: Duration::from_secs(600) };
        assert_eq!(turn("urls = [\"turn:a\", \"stun:a\"]\nsecret = \"s\"\nttl_s = 600"), Ok(Some(secret)));
        let fixed = Credentials::Fixed { username: "u".into(), password: "p".into() };
        assert_eq!(turn("urls = [\"turns:a:443\"]\nusername = \"u\"\npassword = \"p\""), Ok(Some(fixed)));
        assert_eq!(turn("urls = [\"stun:a\"]"), Ok(Some(Credentials::None)));
        for (text, expected) in [
            ("urls = [\"turn:a\"]", "zegohub.toml:1: turn: set urls, and for turn:"),
            ("urls = [\"turn:a\"]\nsecret = \"s\"\nusername = \"u\"", "zegohub.toml:1: turn: set urls"),
            ("urls = [\"http://a\"]\nsecret = \"s\"", "zegohub.toml:2: turn.urls: \"http://a\" is not an address"),
            ("urls = [\"turn:a\"]\nsecret = \"s\"\nttl_s = 5", "zegohub.toml:4: turn.ttl_s: 5 is not a time"),
            ("urls = []\n", "zegohub.toml:1: turn: set urls"),
        ] {
            let error = turn(text).expect_err(text);
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn media_over_tcp_has_the_number_of_the_udp_port_unless_it_is_https() {
        let port = |text: &str, http| parse(text).map(|config| config.tcp_port.number(config.udp_port, http));
        assert_eq!(port("", 7880), Ok(Some(7882)));
        assert_eq!(port("udp_port = 7880", 7880), Ok(None));
        assert_eq!(port("udp_port = 0", 7880), Ok(Some(0)), "any");
        assert_eq!(port("tcp_port = 443", 7880), Ok(Some(443)));
        assert_eq!(port("tcp_port = 0", 7880), Ok(None));
    }

    #[test]
    fn a_named_file_must_be_there() {
        let error = Config::load(Some(Path::new("/nowhere/zegohub.toml"))).expect_err("missing");
        assert!(error.to_string().starts_with("/nowhere/zegohub.toml: cannot be read"), "{error}");
    }
}
