//! What can be seen of a token before a server is asked.
//!
//! Only LiveKit tokens can be read without the secret. Their signature is not checked here, so this refuses only what
//! the server would refuse as well: it saves the wait, it protects nothing.

use zego_protocol::token;

use super::error::EngineError;

/// Refuses a token that cannot be for this login. `app_id` 0 = not known, then it is not compared.
pub(super) fn check_login(
    token: &str,
    app_id: u32,
    user_id: &str,
    room_id: &str,
    now_s: u64,
) -> Result<(), EngineError> {
    let room = format!("Room '{room_id}'");
    if token.is_empty() {
        return Err(EngineError::new(1_002_067, &format!("{room} needs a token and none was given")));
    }
    let Some(claims) = token::peek(token) else { return check_other(token, &room, now_s) };
    if app_id != 0 && !claims.app_id.is_empty() && claims.app_id != app_id.to_string() {
        return Err(EngineError::new(1_002_076, &format!("{room}: the token is for AppID {}", claims.app_id)));
    }
    claims.allow_login(user_id, room_id)?;
    if claims.expires_at != 0 && claims.expires_at.saturating_add(token::LEEWAY_S) < now_s {
        return Err(EngineError::new(1_002_078, &format!("{room}: the token has expired")));
    }
    Ok(())
}

/// A token that is not LiveKit's: its version and stated end can be seen, nothing else.
fn check_other(token: &str, room: &str, now_s: u64) -> Result<(), EngineError> {
    if token.starts_with("eyJ") {
        return Err(EngineError::new(1_002_075, &format!("{room}: the token is malformed")));
    }
    if !token.starts_with("04") {
        return Err(EngineError::new(1_002_079, &format!("{room}: the token is of an unknown version")));
    }
    match token::peek_expiry(token) {
        None => Err(EngineError::new(1_002_075, &format!("{room}: the token is malformed"))),
        // A clock that is a little ahead of the server's must not lock the device out.
        Some(end) if end.saturating_add(token::LEEWAY_S) < now_s => {
            Err(EngineError::new(1_002_078, &format!("{room}: the token has expired")))
        }
        Some(_) => Ok(()),
    }
}

/// Refuses to publish what the token does not allow.
pub(super) fn check_publish(token: &str, stream_id: &str) -> Result<(), EngineError> {
    match token::peek(token) {
        Some(claims) => Ok(claims.allow_publish(stream_id)?),
        None => Ok(()),
    }
}

/// When the token says that it expires, Unix seconds; 0 = it does not say.
pub(super) fn expiry(token: &str) -> u64 {
    token::peek_expiry(token).unwrap_or(0)
}

/// Refuses a new token with which a user who may publish could not any more. `old` is the token in use.
pub(super) fn check_renewal(old: &str, new: &str, room_id: &str) -> Result<(), EngineError> {
    match (token::peek(old), token::peek(new)) {
        (Some(old), Some(new)) if old.can_publish && !new.can_publish => {
            Err(EngineError::new(1_002_082, &format!("Room '{room_id}' would be left without publishing")))
        }
        _ => Ok(()),
    }
}

/// A number that nobody else has: not for secrets. The system seeds it.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// Unix milliseconds now.
pub(super) fn unix_now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Unix seconds now.
pub(super) fn unix_now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use zego_protocol::token::{TokenRequest, generate_livekit, generate_token04};

    const SECRET: &str = "abcdefghijklmnopqrstuvwxyz012345";

    fn request() -> TokenRequest {
        TokenRequest {
            room_id: Some("lobby".to_owned()),
            ttl_s: 3600,
            ..TokenRequest::new("1234567890", SECRET, "user1")
        }
    }

    #[test]
    fn a_token_that_cannot_fit_is_refused_with_its_code() {
        let jwt = generate_livekit(&request(), 1_000_000).unwrap();
        let silent = TokenRequest { can_publish: false, ..request() };
        let silent = generate_livekit(&silent, 1_000_000).unwrap();
        let token04 = generate_token04(&request(), 1_000_000).unwrap();
        let now = 1_000_100;
        let table = [
            ("", 1_234_567_890, "user1", "lobby", now, 1_002_067),
            (jwt.as_str(), 1_234_567_890, "user1", "lobby", now, 0),
            (jwt.as_str(), 0, "user1", "lobby", now, 0),
            (jwt.as_str(), 7, "user1", "lobby", now, 1_002_076),
            (jwt.as_str(), 0, "user2", "lobby", now, 1_002_077),
            (jwt.as_str(), 0, "user1", "garage", now, 1_002_033),
            (jwt.as_str(), 0, "user1", "lobby", now + 3600, 1_002_078),
            (jwt.as_str(), 0, "user1", "lobby", now + 3540 - 60, 0),
            (silent.as_str(), 0, "user1", "lobby", now, 0),
            (token04.as_str(), 0, "anybody", "anywhere", now, 0),
            (token04.as_str(), 0, "user1", "lobby", now + 3600, 1_002_078),
            ("eyJhbGciOi", 0, "user1", "lobby", now, 1_002_075),
            ("03AAAA", 0, "user1", "lobby", now, 1_002_079),
            ("hello", 0, "user1", "lobby", now, 1_002_079),
            ("04!!", 0, "user1", "lobby", now, 1_002_075),
        ];
        for (token, app_id, user, room, now, code) in table {
            let result = check_login(token, app_id, user, room, now);
            assert_eq!(result.as_ref().err().map_or(0, |error| error.code), code, "{token} {user} {room}: {result:?}");
            if let Err(error) = result {
                assert!(error.message.ends_with(&format!("[{code}]")), "{error}");
                assert!(token.len() < 6 || !error.message.contains(token), "{error} shows the token");
            }
        }
        assert_eq!(check_publish(&silent, "door").unwrap_err().code, 1_003_072);
        assert!(check_publish(&jwt, "door").is_ok());
        assert!(check_publish(&token04, "door").is_ok());
        assert_eq!(check_renewal(&jwt, &silent, "lobby").unwrap_err().code, 1_002_082);
        for (old, new) in [(&jwt, &jwt), (&silent, &silent), (&silent, &jwt), (&token04, &silent), (&jwt, &token04)] {
            assert!(check_renewal(old, new, "lobby").is_ok());
        }
    }
}
