//! The room server of the demo, and the tokens that it takes.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use zego_protocol::token::{TokenRequest, generate_livekit};

use crate::stage::{Stage, StageError};

/// The AppID of the demo.
const APP_ID: u32 = 1_234_567_890;
/// The room that everybody is in.
pub const ROOM: &str = "lobby";

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It did not start.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// Somebody else listens there.
    #[error(
        "{address} ({kind}) cannot be used: {error}. Choose another address, such as: make run LISTEN=127.0.0.1:7890"
    )]
    Busy {
        /// The address.
        address: SocketAddr,
        /// TCP or UDP.
        kind: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
    /// No secret could be made.
    #[error("the system has no random numbers: {0}")]
    Random(getrandom::Error),
    /// No token could be made.
    #[error("cannot make a token: {0}")]
    Token(#[from] zego_protocol::token::TokenError),
}

/// The running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    secret: String,
}

/// Where the programs are: beside the demo.
pub fn program(name: &str) -> PathBuf {
    std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join(name))).unwrap_or_else(|| PathBuf::from(name))
}

/// Starts the server and waits until it is ready.
pub async fn start(stage: &mut Stage, listen: SocketAddr) -> Result<Server, ServerError> {
    let media = SocketAddr::new(listen.ip(), listen.port().saturating_add(2));
    // Asked here, where the newcomer can be told what to do about it.
    let busy = |address, kind| move |error| ServerError::Busy { address, kind, error };
    TcpListener::bind(listen).map_err(busy(listen, "TCP"))?;
    UdpSocket::bind(media).map_err(busy(media, "UDP"))?;

    let server = Server { address: listen, secret: secret()? };
    let configuration = format!(
        "listen = \"{listen}\"\nudp_port = {}\n\n[[app]]\nid = {APP_ID}\nsecret = \"{}\"\n",
        media.port(),
        server.secret
    );
    let file = stage.write("zegohub.toml", &configuration)?;
    stage.start("zegohub", &program("zegohub"), &["--config", &file.to_string_lossy()])?;
    stage.wait_until("zegohub", async |log: &str| log.contains("zegohub: ready on http://")).await?;
    Ok(server)
}

/// A secret of 32 characters. Not a fixed one: the server may listen to the whole network.
fn secret() -> Result<String, ServerError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(ServerError::Random)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

impl Server {
    /// `HOST:PORT` under which this machine reaches it.
    fn host(&self) -> String {
        let port = self.address.port();
        if self.address.ip().is_unspecified() { format!("127.0.0.1:{port}") } else { self.address.to_string() }
    }

    /// The address for devices and SDKs.
    pub fn url(&self) -> String {
        format!("ws://{}", self.host())
    }

    /// Whether it can be reached from this machine only.
    pub fn is_local(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// A day's token for a user of the room.
    pub fn token(&self, user: &str) -> Result<String, ServerError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let request = TokenRequest {
            room_id: Some(ROOM.to_owned()),
            ..TokenRequest::new(APP_ID.to_string(), self.secret.clone(), user)
        };
        Ok(generate_livekit(&request, now)?)
    }

    /// The web page with everything filled in for `user`.
    pub fn page(&self, user: &str) -> Result<String, ServerError> {
        let (host, token) = (self.host(), self.token(user)?);
        // Nothing in it needs escaping: a token is base64url with dots.
        Ok(format!("http://{host}/?app_id={APP_ID}&room={ROOM}&user={user}&server=ws://{host}&token={token}"))
    }
}
