//! Tokens: ZEGO's token04 in both variants, and LiveKit access tokens (JWT, HS256 only).
//!
//! An AppID and its ServerSecret are what LiveKit calls API key and API secret, so one pair checks both kinds.
//! **Nothing of a token is believed before its signature or its decryption has been checked**, except by [`peek`] and
//! [`peek_expiry`], which say so.
//!
//! Times are Unix seconds and are passed in. Leeway: a JWT is good until 60 s after `exp` and from 60 s before `nbf`,
//! as LiveKit's servers have it; a token04 token has none, it is good while `expire >= now`, as ZEGO's have it.

mod claims;
mod jwt;
mod token04;

pub use claims::{App, Claims, RoomConfig, TokenError, TokenKind, TokenRequest};
pub use jwt::{LEEWAY_S, generate_livekit, peek, sign_claims, sign_webhook, verify_livekit, verify_server};
pub use token04::{Cipher, Payload, Plain, generate_token04, seal_token04, verify_token04};

/// Longer tokens are refused unread. The largest that token04 allows is about 44 KiB; real ones are under 2 KiB.
pub const MAX_LENGTH: usize = 16 * 1024;

/// Checks a token of either kind against the AppIDs that are known, and says what it grants.
///
/// A JWT names its AppID (`iss`). A token04 token does not, in the clear: the secrets are tried in turn.
/// Whether it is for this user and room is asked afterwards: [`Claims::allow_login`], [`Claims::allow_publish`].
///
/// # Errors
/// [`TokenError`], whose code is 1002067 for an empty token, 1002033 when no secret fits, else one of 1002075–1002080.
pub fn verify_any(token: &str, apps: &[App], now: u64) -> Result<Claims, TokenError> {
    if token.is_empty() {
        return Err(TokenError::Missing);
    }
    if token.len() > MAX_LENGTH {
        return Err(TokenError::Malformed("it is longer than 16 KiB"));
    }
    if jwt::looks_like(token) {
        return jwt::verify_with(token, apps, now);
    }
    token04::verify_with(token, apps, now)
}

/// When a token says that it expires, **without checking it**: for reminders, never for decisions. 0 = never.
pub fn peek_expiry(token: &str) -> Option<u64> {
    if jwt::looks_like(token) { peek(token).map(|claims| claims.expires_at) } else { token04::peek_expiry(token) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "fa94dd0f974cf2e293728a526b028271";

    fn apps() -> Vec<App> {
        vec![App::new("42", "abcdefghijklmnopqrstuvwxyz012345"), App::new("1234567890", SECRET)]
    }

    fn request() -> TokenRequest {
        TokenRequest { room_id: Some("room1".into()), ..TokenRequest::new("1234567890", SECRET, "user1") }
    }

    #[test]
    fn each_of_several_apps_is_found_by_both_kinds() {
        for (kind, token) in [
            (TokenKind::Token04, generate_token04(&request(), 1000).unwrap()),
            (TokenKind::LiveKit, generate_livekit(&request(), 1000).unwrap()),
        ] {
            let claims = verify_any(&token, &apps(), 1000).unwrap();
            assert_eq!((claims.kind, claims.app_id.as_str(), claims.user_id.as_str()), (kind, "1234567890", "user1"));
            assert_eq!(claims.room_id.as_deref(), Some("room1"));
            assert_eq!(claims.expires_at, 1000 + 86_400);
            assert!(claims.can_login && claims.can_publish);
            assert_eq!(peek_expiry(&token), Some(1000 + 86_400));
            assert_eq!(claims.allow_login("user1", "room1"), Ok(()));
            assert_eq!(claims.allow_login("user2", "room1").unwrap_err().code(), 1_002_077);
            assert_eq!(claims.allow_login("user1", "room2").unwrap_err().code(), 1_002_033);
            assert_eq!(claims.allow_publish("anything"), Ok(()));
        }
    }

    #[test]
    fn an_unknown_app_is_refused_by_both_kinds() {
        let others = &apps()[..1];
        let token04 = generate_token04(&request(), 1000).unwrap();
        let livekit = generate_livekit(&request(), 1000).unwrap();
        assert_eq!(verify_any(&token04, others, 1000).unwrap_err().code(), 1_002_033);
        assert_eq!(verify_any(&livekit, others, 1000).unwrap_err().code(), 1_002_076);
        assert_eq!(verify_any("", &apps(), 1000).unwrap_err().code(), 1_002_067);
        assert_eq!(verify_any(&"0".repeat(20_000), &apps(), 1000).unwrap_err().code(), 1_002_075);
        assert_eq!(verify_any("hello", &apps(), 1000).unwrap_err().code(), 1_002_079);
    }

    #[test]
    fn two_apps_may_share_a_secret() {
        let twins = [App::new("7", SECRET), App::new("1234567890", SECRET)];
        let token = generate_token04(&request(), 1000).unwrap();
        assert_eq!(verify_any(&token, &twins, 1000).unwrap().app_id, "1234567890");
        assert_eq!(verify_any(&token, &twins[..1], 1000).unwrap_err().code(), 1_002_076);
    }

    #[test]
    fn a_token_without_the_right_to_publish_lets_in_but_not_publish() {
        let request = TokenRequest { can_publish: false, ..request() };
        for token in [generate_token04(&request, 1000).unwrap(), generate_livekit(&request, 1000).unwrap()] {
            let claims = verify_any(&token, &apps(), 1000).unwrap();
            assert!(claims.can_login && !claims.can_publish);
            assert_eq!(claims.allow_publish("s1").unwrap_err().code(), 1_003_072);
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        assert!(!format!("{:?} {:?}", apps(), request()).contains("fa94dd"));
    }

    #[test]
    fn a_message_ends_with_the_code() {
        let sentence = verify_any("", &apps(), 0).unwrap_err().sentence();
        assert!(sentence.ends_with(" [1002067]"), "{sentence}");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_without_a_panic(token in "(04|eyJ)?[A-Za-z0-9+/=._-]{0,400}") {
            prop_assert!(verify_any(&token, &apps(), 1000).is_err());
            peek_expiry(&token);
        }

        #[test]
        fn any_changed_character_is_refused(place in 0usize..260, to in "[A-Za-z0-9]") {
            for token in [generate_token04(&request(), 1000).unwrap(), generate_livekit(&request(), 1000).unwrap()] {
                let place = place % (token.len() - 3); // the last group holds spare bits and padding
                let mut changed = token.clone();
                changed.replace_range(place..=place, &to);
                if changed != token {
                    prop_assert!(verify_any(&changed, &apps(), 1000).is_err(), "{} at {}", changed, place);
                }
            }
        }
    }
}
