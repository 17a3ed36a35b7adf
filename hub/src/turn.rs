//! TURN servers that clients are told of, with credentials that a server of its own checks: they end by themselves, so that whoever reads them
//! cannot relay for ever.
//!
//! The scheme is the one of "A REST API For Access To TURN Services" (draft-uberti-behave-turn-rest), which coturn calls
//! `use-auth-secret`: the name holds its own end, and the password is its HMAC-SHA1 by a secret that both servers have.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use livekit_protocol as proto;
use sha1::Sha1;

/// Where a client may have its media relayed, and how it shows that it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnServer {
    /// `turn:`, `turns:`, `stun:` and `stuns:` addresses (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// What the server asks for.
    pub credentials: Credentials,
}

/// What a TURN server asks for.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing: there are STUN servers only.
    None,
    /// The same of everybody.
    Fixed {
        /// Name.
        username: String,
        /// Password.
        password: String,
    },
    /// What was made with a secret that it has, too.
    Secret {
        /// The secret.
        secret: String,
        /// How long credentials are good.
        ttl: Duration,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not what nobody may read.
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::Fixed { .. } => "Fixed",
            Credentials::Secret { .. } => "Secret",
        })
    }
}

impl TurnServer {
    /// What a client is told, whose public id is `sid`, at `unix_s`.
    pub fn for_client(&self, sid: &str, unix_s: u64) -> proto::IceServer {
        let (username, credential) = match &self.credentials {
            Credentials::None => (String::new(), String::new()),
            Credentials::Fixed { username, password } => (username.clone(), password.clone()),
            Credentials::Secret { secret, ttl } => {
                let username = format!("{}:{sid}", unix_s + ttl.as_secs());
                let credential = password(secret, &username);
                (username, credential)
            }
        };
        proto::IceServer { urls: self.urls.clone(), username, credential }
    }
}

fn password(secret: &str, username: &str) -> String {
    // HMAC takes keys of any length (RFC 2104, section 3), so this cannot fail.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_hold_their_own_end() {
        let credentials = Credentials::Secret { secret: "north".into(), ttl: Duration::from_secs(86_400) };
        let server = TurnServer { urls: vec!["turn:turn.example".into()], credentials };
        let told = server.for_client("PA_abc", 1_700_000_000);
        assert_eq!(told.urls, ["turn:turn.example"]);
        assert_eq!(told.username, "1700086400:PA_abc");
        assert_eq!(told.credential, "g54bHxgeGWXOWbPIZ/HFeQ/CrsU=");
        assert_ne!(server.for_client("PA_abc", 1_700_000_001).credential, told.credential);
        assert!(!format!("{server:?}").contains("north"), "it may be logged");
    }

    #[test]
    fn a_fixed_password_is_handed_on() {
        let credentials = Credentials::Fixed { username: "u".into(), password: "p".into() };
        let told = TurnServer { urls: Vec::new(), credentials }.for_client("PA_abc", 5);
        assert_eq!((told.username.as_str(), told.credential.as_str()), ("u", "p"));
    }
}
