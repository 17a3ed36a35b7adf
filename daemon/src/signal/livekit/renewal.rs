//! A new token for a session that runs: shown to the server at the address where it checks tokens.
//!
//! Any LiveKit server says there whether the token is good. Our own one also takes it for the session.

use std::time::Duration;

use livekit_net::{Header, HttpClientExt};

use super::super::error::SignalError;
use super::{JoinOptions, address, locate, refusal};

/// For the answer.
const TIME: Duration = Duration::from_secs(5);

/// Shows the token of `options` to the server.
///
/// # Errors
/// [`SignalError::Refused`] when it is not good; [`SignalError::Unreachable`], [`SignalError::NotFound`], [`SignalError::Timeout`] when
/// nobody says so.
pub async fn renew(options: &JoinOptions) -> Result<(), SignalError> {
    let (server, url) = address::validation_url(&locate::known(options).await?, options)?;
    let unreachable = |reason: String| SignalError::Unreachable { server: server.clone(), reason };
    let client = livekit_net::http_client().ok_or_else(|| unreachable("this build has no HTTP client".to_owned()))?;
    let bearer = Header { name: "Authorization".to_owned(), value: format!("Bearer {}", options.token) };
    let asked = tokio::time::timeout(TIME, client.get(url, vec![bearer])).await;
    let answer = asked.map_err(|_| SignalError::Timeout("checking the token"))?;
    let answer = answer.map_err(|error| unreachable(error.to_string()))?;
    let body = String::from_utf8_lossy(&answer.body);
    match answer.status {
        200..=299 => Ok(()),
        400..=499 if answer.status != 404 => Err(refusal::token(&options.token, &body)),
        status => Err(unreachable(format!("it answers {status}"))),
    }
}
