//! `token`: makes a token of either kind.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use zego_protocol::token::{TokenRequest, generate_livekit, generate_token04};

use crate::arguments::{Kind, Token};
use crate::failure::Failure;
use crate::output::Output;

/// Makes a token and prints it, alone on its line.
pub fn make(options: Token, output: Output) -> Result<(), Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let secret = std::env::var("ZEGO_SECRET").ok();
    let (token, expires_at) = make_at(&options, secret, now)?;
    let kind = match options.kind {
        Kind::Token04 => "token04",
        Kind::Livekit => "livekit",
    };
    output.answer(&json!({"token": token, "kind": kind, "expires_at": expires_at}), || token.clone())
}

fn make_at(options: &Token, environment_secret: Option<String>, now: u64) -> Result<(String, u64), Failure> {
    let Some(secret) = options.secret.clone().or(environment_secret) else {
        return Err(Failure::Usage("give --secret, or set ZEGO_SECRET".to_string()));
    };
    let request = TokenRequest {
        app_id: options.app_id.clone(),
        secret,
        user_id: options.user.clone(),
        user_name: options.name.clone().unwrap_or_default(),
        room_id: options.room.clone(),
        ttl_s: options.ttl,
        can_publish: !options.no_publish,
        streams: Some(options.stream.clone()).filter(|streams| !streams.is_empty()),
    };
    let token = match options.kind {
        Kind::Token04 => generate_token04(&request, now),
        Kind::Livekit => generate_livekit(&request, now),
    };
    let token = token.map_err(|error| Failure::refused(error.code(), &error.to_string()))?;
    Ok((token, now.saturating_add(options.ttl)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Command};
    use clap::Parser;
    use zego_protocol::token::{App, TokenKind, verify_any};

    const SECRET: &str = "fa94dd0f974cf2e293728a526b028271";

    fn options(line: &str) -> Token {
        let line = format!("zegoctl token --app-id 1234567890 --user door {line}");
        match Arguments::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Token(options) => options,
            other => panic!("{other:?}"),
        }
    }

    fn make(line: &str) -> Result<String, Failure> {
        make_at(&options(line), Some(SECRET.to_string()), 1000).map(|(token, _)| token)
    }

    #[test]
    fn both_kinds_grant_what_was_asked_for() {
        let apps = [App::new("1234567890", SECRET)];
        let claims = |line: &str| verify_any(&make(line).unwrap(), &apps, 1000).unwrap();
        let plain = claims("");
        assert_eq!((plain.kind, plain.user_id.as_str(), plain.room_id), (TokenKind::Token04, "door", None));
        let streams = claims("--room lobby --stream a --stream b --ttl 60");
        assert_eq!((streams.room_id.as_deref(), streams.expires_at), (Some("lobby"), 1060));
        assert_eq!(streams.streams, Some(vec!["a".to_string(), "b".to_string()]));
        let watcher = claims("--kind livekit --room lobby --name Door --no-publish");
        assert_eq!((watcher.kind, watcher.name.as_deref()), (TokenKind::LiveKit, Some("Door")));
        assert!(watcher.can_login && !watcher.can_publish);
    }

    #[test]
    fn what_makes_no_token_is_refused() {
        for line in ["--secret short", "--room a/b", "--kind livekit", "--kind livekit --room r --stream s"] {
            assert_eq!(make(line).unwrap_err().code(), Some(1_000_017), "{line}");
        }
        assert_eq!(make_at(&options(""), None, 1000).unwrap_err().status(), 2, "no secret at all");
        assert!(!make("--secret hunter2").unwrap_err().text(false).contains("hunter2"), "secrets are not repeated");
    }
}
