//! LiveKit access tokens: JWT with HS256 (RFC 7515, 7518 section 3.2, 7519), and nothing else of JOSE.
//!
//! The header's `alg` is not asked which algorithm to use, only whether it is `HS256`; `none` is refused like any other.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::claims::{App, Claims, RoomConfig, TokenError, TokenKind, TokenRequest, check_request};

/// How far clocks may differ, in seconds: `exp` counts that much later and `nbf` that much earlier.
pub const LEEWAY_S: u64 = 60;
/// How long a webhook's token is good, in seconds; LiveKit's servers have the same.
const WEBHOOK_TTL_S: u64 = 300;

/// Makes an access token for one room.
///
/// # Errors
/// [`TokenError::BadRequest`] when AppID, secret or room is missing, an id is illegal, streams are named (LiveKit's
/// tokens cannot) or the time is 0.
pub fn generate_livekit(request: &TokenRequest, now: u64) -> Result<String, TokenError> {
    let bad = |why: &str| Err(TokenError::BadRequest(why.to_string()));
    check_request(request)?;
    if request.app_id.is_empty() || request.secret.is_empty() {
        return bad("the AppID and the secret must not be empty");
    }
    let Some(room) = &request.room_id else { return bad("a LiveKit token needs a room") };
    if request.streams.is_some() {
        return bad("a LiveKit token cannot name the streams that may be published; use token04");
    }
    let Some(expires_at) = now.checked_add(request.ttl_s) else { return bad("the time is too long") };
    let name = if request.user_name.is_empty() { &request.user_id } else { &request.user_name };
    let claims = json!({
        "iss": request.app_id, "sub": request.user_id, "jti": request.user_id, "name": name,
        "nbf": now, "iat": now, "exp": expires_at,
        "video": {
            "roomJoin": true, "room": room, "canPublish": request.can_publish,
            "canSubscribe": true, "canPublishData": true,
            // livekit-server carries the extra information of rooms and streams only with this right.
            "canUpdateOwnMetadata": true
        },
    });
    Ok(sign(&claims, request.secret.as_bytes()))
}

/// The access token that grants just this, from `issued_at` until `expires_at`: a server's new token for somebody who is in a room.
pub fn sign_claims(claims: &Claims, app: &App) -> String {
    let config = &claims.room_config;
    let body = json!({
        "iss": app.id, "sub": claims.user_id, "jti": claims.user_id, "name": claims.name.as_deref().unwrap_or_default(),
        "nbf": claims.issued_at, "iat": claims.issued_at, "exp": claims.expires_at,
        "kind": claims.participant_kind, "metadata": claims.metadata, "attributes": claims.attributes,
        "video": {
            "roomJoin": claims.can_login, "room": claims.room_id.as_deref().unwrap_or_default(),
            "canPublish": claims.can_publish, "canSubscribe": claims.can_subscribe,
            "canPublishData": claims.can_publish_data, "canPublishSources": claims.publish_sources,
            "canUpdateOwnMetadata": claims.can_update_own_metadata, "hidden": claims.hidden,
            "roomAdmin": claims.room_admin, "roomCreate": claims.room_create, "roomList": claims.room_list
        },
        "roomConfig": {
            "emptyTimeout": config.empty_timeout, "departureTimeout": config.departure_timeout,
            "maxParticipants": config.max_participants, "metadata": config.metadata
        },
    });
    sign(&body, app.secret.as_bytes())
}

/// Checks an access token against one API key and its secret, and says what it grants.
///
/// # Errors
/// [`TokenError`]: 1002075 malformed, 1002079 not HS256, 1002076 another key, 1002033 another secret or changed,
/// 1002077 no user, 1002078 expired, not valid yet, or without `exp`.
pub fn verify_livekit(token: &str, app_id: &str, secret: &str, now: u64) -> Result<Claims, TokenError> {
    verify_with(token, &[App::new(app_id, secret)], now)
}

/// Reads an access token **without checking it**: to show what is in it, never to decide. `None` when it is not a JWT
/// with readable claims.
pub fn peek(token: &str) -> Option<Claims> {
    let parts = Parts::split(token).ok()?;
    decode::<Body>(parts.body).ok()?.claims().ok()
}

/// Whether it has a JWT's three parts, so that it is not taken for a token04.
pub(super) fn looks_like(token: &str) -> bool {
    token.split('.').count() == 3
}

pub(super) fn verify_with(token: &str, apps: &[App], now: u64) -> Result<Claims, TokenError> {
    verified(token, apps, now)?.claims()
}

/// Checks an access token of a program that drives the server API: it need not name a user. What it grants is asked afterwards.
///
/// # Errors
/// As [`verify_livekit`] without 1002077; 1002067 for an empty token.
pub fn verify_server(token: &str, apps: &[App], now: u64) -> Result<Claims, TokenError> {
    if token.is_empty() {
        return Err(TokenError::Missing);
    }
    if token.len() > super::MAX_LENGTH {
        return Err(TokenError::Malformed("it is longer than 16 KiB"));
    }
    verified(token, apps, now)?.grants(String::new())
}

/// The token by which the receiver of a webhook knows who sent `body` and that it is whole: `sha256` is its digest in Base64.
pub fn sign_webhook(app: &App, body: &[u8], now: u64) -> String {
    let digest = STANDARD.encode(Sha256::digest(body));
    let claims = json!({"iss": app.id, "nbf": now, "exp": now + WEBHOOK_TTL_S, "sha256": digest});
    sign(&claims, app.secret.as_bytes())
}

fn verified(token: &str, apps: &[App], now: u64) -> Result<Body, TokenError> {
    let parts = Parts::split(token)?;
    let header: Header = decode(parts.header)?;
    if header.alg != "HS256" || header.crit.is_some() {
        return Err(TokenError::Version);
    }
    let body: Body = decode(parts.body)?;
    let signature =
        URL_SAFE_NO_PAD.decode(parts.signature).map_err(|_| TokenError::Malformed("it is not Base64url"))?;
    let app = apps.iter().find(|app| app.id == body.iss).ok_or(TokenError::OtherApp)?;
    // An empty secret would let everybody sign.
    if app.secret.is_empty() {
        return Err(TokenError::Refused);
    }
    // `verify_slice` takes the same time wherever the difference is.
    mac(parts.signed, app.secret.as_bytes()).verify_slice(&signature).map_err(|_| TokenError::Refused)?;
    // A token without a user is malformed whatever its times are, except for whoever administers.
    let expires_at = numeric_date(&body.exp).ok_or(TokenError::BadTime("exp"))?;
    if expires_at.saturating_add(LEEWAY_S) < now {
        return Err(TokenError::Expired { ago_s: now - expires_at });
    }
    if let Some(not_before) = body.nbf.as_ref() {
        let not_before = numeric_date(not_before).ok_or(TokenError::BadTime("nbf"))?;
        if now.saturating_add(LEEWAY_S) < not_before {
            return Err(TokenError::NotYet { in_s: not_before - now });
        }
    }
    Ok(body)
}

struct Parts<'a> {
    header: &'a str,
    body: &'a str,
    signature: &'a str,
    signed: &'a str,
}

impl Parts<'_> {
    fn split(token: &str) -> Result<Parts<'_>, TokenError> {
        let bad = || TokenError::Malformed("it has not the three parts of a JWT");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(bad)?;
        let (header, body) = signed.split_once('.').ok_or_else(bad)?;
        if body.contains('.') {
            return Err(bad());
        }
        Ok(Parts { header, body, signature, signed })
    }
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed("it is not Base64url"))?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed("its content is not the JSON of an access token"))
}

fn sign(claims: &Value, secret: &[u8]) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(mac(&signed, secret).finalize().into_bytes());
    format!("{signed}.{signature}")
}

fn mac(signed: &str, secret: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(signed.as_bytes());
    mac
}

/// A NumericDate (RFC 7519 section 2): seconds, a fraction is cut off.
fn numeric_date(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let seconds = value.as_f64()?;
        // Up to 2^53, what a JSON number holds exactly.
        (0.0..=9_007_199_254_740_992.0).contains(&seconds).then_some(seconds as u64)
    })
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    alg: String,
    /// Extensions that must be understood (RFC 7515 section 4.1.11); none is.
    crit: Option<Value>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Body {
    iss: String,
    sub: String,
    jti: String,
    exp: Value,
    nbf: Option<Value>,
    iat: Value,
    name: String,
    kind: String,
    metadata: String,
    attributes: BTreeMap<String, String>,
    video: Option<Video>,
    room_config: RoomConfig,
}

impl Default for Body {
    fn default() -> Body {
        Body {
            iss: String::new(),
            sub: String::new(),
            jti: String::new(),
            exp: Value::Null,
            nbf: None,
            iat: Value::Null,
            name: String::new(),
            kind: String::new(),
            metadata: String::new(),
            attributes: BTreeMap::new(),
            video: None,
            room_config: RoomConfig::default(),
        }
    }
}

/// LiveKit's video grant. An unset `can…` means yes, except `canUpdateOwnMetadata`.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Video {
    room_join: bool,
    room: String,
    can_publish: Option<bool>,
    can_subscribe: Option<bool>,
    can_publish_data: Option<bool>,
    can_publish_sources: Option<Vec<String>>,
    can_update_own_metadata: Option<bool>,
    hidden: bool,
    room_admin: bool,
    room_create: bool,
    room_list: bool,
}

impl Body {
    fn claims(&self) -> Result<Claims, TokenError> {
        // The identity was in `jti` once; servers still take it from there.
        let user_id = [&self.sub, &self.jti].into_iter().find(|id| !id.is_empty()).ok_or(TokenError::NoUser)?;
        self.grants(user_id.clone())
    }

    fn grants(&self, user_id: String) -> Result<Claims, TokenError> {
        let expires_at = numeric_date(&self.exp).ok_or(TokenError::BadTime("exp"))?;
        let video = self.video.clone().unwrap_or_default();
        let can_publish = video.can_publish.unwrap_or(true);
        Ok(Claims {
            kind: TokenKind::LiveKit,
            app_id: self.iss.clone(),
            user_id,
            name: Some(self.name.clone()).filter(|name| !name.is_empty()),
            room_id: Some(video.room).filter(|room| !room.is_empty()),
            issued_at: numeric_date(&self.iat).unwrap_or(0),
            expires_at,
            can_login: video.room_join,
            can_publish,
            can_subscribe: video.can_subscribe.unwrap_or(true),
            can_publish_data: video.can_publish_data.unwrap_or(can_publish),
            streams: None,
            publish_sources: video.can_publish_sources.unwrap_or_default(),
            hidden: video.hidden,
            can_update_own_metadata: video.can_update_own_metadata.unwrap_or(false),
            room_admin: video.room_admin,
            room_create: video.room_create,
            room_list: video.room_list,
            room_config: self.room_config.clone(),
            metadata: self.metadata.clone(),
            attributes: self.attributes.clone(),
            participant_kind: self.kind.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "secret-of-at-least-thirty-two-characters";

    fn body() -> Value {
        json!({"iss": "key", "sub": "ann", "exp": 2000, "nbf": 1000, "video": {"roomJoin": true, "room": "lobby"}})
    }

    fn verify(claims: &Value, now: u64) -> Result<Claims, i32> {
        verify_livekit(&sign(claims, SECRET.as_bytes()), "key", SECRET, now).map_err(|e| e.code())
    }

    fn with(key: &str, value: Value) -> Value {
        let mut body = body();
        body[key] = value;
        body
    }

    /// The example of RFC 7515, appendix A.1: its key, its input, its signature.
    #[test]
    fn the_signature_is_that_of_the_rfc() {
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = URL_SAFE_NO_PAD.decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert_eq!(mac(signed, &key).finalize().into_bytes().as_slice(), signature);
    }

    #[test]
    fn claims_are_signed_as_they_are() {
        let video = json!({
            "roomJoin": true, "room": "lobby", "canPublish": false, "canSubscribe": false, "canPublishData": true,
            "canPublishSources": ["camera"], "canUpdateOwnMetadata": true, "hidden": true, "roomAdmin": true,
            "roomCreate": true, "roomList": true
        });
        let full = json!({
            "iss": "key", "sub": "ann", "name": "Ann", "iat": 1000, "nbf": 1000, "exp": 2000, "kind": "agent",
            "metadata": "m", "attributes": {"a": "1"}, "video": video,
            "roomConfig": {"emptyTimeout": 1, "departureTimeout": 2, "maxParticipants": 3, "metadata": "r"}
        });
        for claims in [full, with("iat", json!(1000))] {
            let claims = verify(&claims, 1500).unwrap();
            let signed = sign_claims(&claims, &App::new("key", SECRET));
            assert_eq!(verify_livekit(&signed, "key", SECRET, 1500).unwrap(), claims);
        }
    }

    #[test]
    fn an_administrator_needs_the_right_and_no_name() {
        let apps = [App::new("key", SECRET)];
        let admin = |claims: &Value| {
            let claims = verify_server(&sign(claims, SECRET.as_bytes()), &apps, 1500);
            claims.and_then(|c| c.allow_administer("lobby").map(|()| c)).map_err(|e| e.code())
        };
        let video = json!({"roomAdmin": true, "room": "lobby"});
        let claims = admin(&json!({"iss": "key", "exp": 2000, "video": video})).unwrap();
        assert_eq!((claims.app_id.as_str(), claims.room_id.as_deref()), ("key", Some("lobby")));
        assert_eq!(admin(&body()).unwrap_err(), 1_002_033, "whoever may join may not administer");
        assert_eq!(admin(&json!({"iss": "key", "exp": 1000, "video": video})).unwrap_err(), 1_002_078);
        assert_eq!(admin(&json!({"iss": "other", "exp": 2000, "video": video})).unwrap_err(), 1_002_076);
        let cellar = json!({"roomAdmin": true, "room": "cellar"});
        assert_eq!(admin(&json!({"iss": "key", "exp": 2000, "video": cellar})).unwrap_err(), 1_002_033);
        let any = json!({"roomAdmin": true});
        assert_eq!(
            admin(&json!({"iss": "key", "exp": 2000, "video": any})).unwrap_err(),
            1_002_033,
            "it names no room"
        );
        assert_eq!(verify_server("", &apps, 1500).unwrap_err().code(), 1_002_067);
    }

    #[test]
    fn a_server_s_token_may_create_and_list_rooms_and_says_what_they_are_like() {
        let config =
            json!({"emptyTimeout": 7, "departure_timeout": 8, "maxParticipants": 2, "metadata": "m", "agents": []});
        let claims =
            json!({"iss": "key", "exp": 2000, "video": {"roomCreate": true, "roomList": true}, "roomConfig": config});
        let claims = verify_server(&sign(&claims, SECRET.as_bytes()), &[App::new("key", SECRET)], 1500).unwrap();
        assert!(claims.room_create && claims.room_list && !claims.room_admin);
        let config = RoomConfig { empty_timeout: 7, departure_timeout: 8, max_participants: 2, metadata: "m".into() };
        assert_eq!(claims.room_config, config);
    }

    #[test]
    fn a_webhook_s_token_holds_the_digest_of_its_body() {
        let token = sign_webhook(&App::new("key", SECRET), b"abc", 1000);
        let body: Value = decode(Parts::split(&token).unwrap().body).unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(body["sha256"], "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
        assert_eq!((&body["iss"], &body["exp"]), (&json!("key"), &json!(1300)));
        assert!(verified(&token, &[App::new("key", SECRET)], 1300).is_ok());
    }

    #[test]
    fn grants_are_livekit_s_with_its_defaults() {
        let claims = verify(&body(), 1500).unwrap();
        assert_eq!((claims.user_id.as_str(), claims.room_id.as_deref()), ("ann", Some("lobby")));
        assert!(claims.can_login && claims.can_publish && claims.can_subscribe && claims.can_publish_data);
        assert!(!claims.can_update_own_metadata && !claims.hidden && !claims.room_admin);
        let video = json!({"roomJoin": true, "canPublish": false, "canSubscribe": false, "hidden": true});
        let claims = verify(&with("video", video), 1500).unwrap();
        assert!(!claims.can_publish && !claims.can_subscribe && claims.hidden);
        assert!(!claims.can_publish_data, "follows canPublish when unset");
        assert_eq!(claims.room_id, None);
        let claims = verify(&with("video", Value::Null), 1500).unwrap();
        assert_eq!(claims.allow_login("ann", "lobby").unwrap_err().code(), 1_002_033, "no grant, no entry");
    }

    #[test]
    fn times_count_with_a_minute_s_leeway() {
        for (now, expected) in [(939, 1_002_078), (940, 0), (2000, 0), (2060, 0), (2061, 1_002_078)] {
            assert_eq!(verify(&body(), now).err().unwrap_or(0), expected, "at {now}");
        }
        let endless = with("exp", json!(u64::MAX));
        assert!(verify(&endless, 5000).is_ok());
    }

    #[test]
    fn what_must_be_there_must_be_there() {
        for (key, value, code) in [
            ("exp", Value::Null, 1_002_078),
            ("exp", json!("2000"), 1_002_078),
            ("exp", json!(-1), 1_002_078),
            ("nbf", json!("soon"), 1_002_078),
            ("sub", json!(""), 1_002_077),
            ("sub", json!(7), 1_002_075),
            ("iss", json!("other"), 1_002_076),
            ("iss", json!(""), 1_002_076),
            ("video", json!("all"), 1_002_075),
        ] {
            assert_eq!(verify(&with(key, value.clone()), 1500), Err(code), "{key} {value}");
        }
        assert!(verify(&with("exp", json!(2000.5)), 1500).is_ok(), "a NumericDate may have a fraction");
        let old = json!({"iss": "key", "jti": "ann", "exp": 2000, "video": {"roomJoin": true}});
        assert_eq!(verify(&old, 1500).unwrap().user_id, "ann");
    }

    #[test]
    fn no_other_algorithm_and_no_other_signature() {
        let token = sign(&body(), SECRET.as_bytes());
        let (_, rest) = token.split_once('.').unwrap();
        let (body, signature) = rest.split_once('.').unwrap();
        let code = |header: &str, signature: &str| {
            let token = format!("{}.{body}.{signature}", URL_SAFE_NO_PAD.encode(header));
            verify_livekit(&token, "key", SECRET, 1500).unwrap_err().code()
        };
        assert_eq!(code(r#"{"alg":"none"}"#, ""), 1_002_079);
        assert_eq!(code(r#"{"alg":"None","typ":"JWT"}"#, signature), 1_002_079);
        assert_eq!(code(r#"{"alg":"HS512"}"#, signature), 1_002_079);
        assert_eq!(code(r#"{"alg":"RS256"}"#, signature), 1_002_079);
        assert_eq!(code(r#"{"typ":"JWT"}"#, signature), 1_002_079);
        assert_eq!(code(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, signature), 1_002_079);
        assert_eq!(code(r#"{"alg":"HS256"}"#, signature), 1_002_033, "the header is signed too");
        assert_eq!(verify_livekit(&token, "key", "another", 1500).unwrap_err().code(), 1_002_033);
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        assert_eq!(verify_livekit(&unsigned, "key", SECRET, 1500).unwrap_err().code(), 1_002_033);
        assert_eq!(verify_livekit(&format!("{token}="), "key", SECRET, 1500).unwrap_err().code(), 1_002_075);
        assert_eq!(verify_livekit(&token, "key", "", 1500).unwrap_err().code(), 1_002_033);
    }

    #[test]
    fn a_peek_believes_everything_and_reads_only_jwt() {
        let forged = sign(&body(), b"nobody knows");
        assert_eq!(peek(&forged).unwrap().room_id.as_deref(), Some("lobby"));
        assert_eq!(peek("04AAAA"), None);
        assert_eq!(peek("a.b.c"), None);
    }

    #[test]
    fn a_request_that_livekit_cannot_grant_is_refused() {
        let request = TokenRequest::new("key", SECRET, "ann");
        let code = |request: &TokenRequest| generate_livekit(request, 0).unwrap_err().code();
        assert_eq!(code(&request), 1_000_017, "no room");
        let request = TokenRequest { room_id: Some("lobby".into()), ..request };
        assert!(generate_livekit(&request, 0).is_ok());
        assert_eq!(code(&TokenRequest { streams: Some(vec!["s".into()]), ..request.clone() }), 1_000_017);
        assert_eq!(code(&TokenRequest { ttl_s: 0, ..request.clone() }), 1_000_017);
        assert_eq!(code(&TokenRequest { user_id: "a b".into(), ..request.clone() }), 1_000_017);
        assert_eq!(code(&TokenRequest { secret: String::new(), ..request }), 1_000_017);
    }
}
