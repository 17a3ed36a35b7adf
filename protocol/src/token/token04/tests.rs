//! token04 against tokens that ZEGO's own generators made, and against everything that must be refused.

use super::*;

const SECRET: &str = "fa94dd0f974cf2e293728a526b028271";
const OTHER_SECRET: &str = "abcdefghijklmnopqrstuvwxyz012345";
const APP: u32 = 1_234_567_890;

// A, B, E: CBC, by the official Python generator (A and B by the official Node one, too). C, D: GCM, official Node.
const A: &str = "04AAAAAGVT/xAAEDAxMjM0NTY3ODlhYmNkZWYAcK/oyydKytM1aQ+0EzyZaCrKfJWJQIVBzfCfER5aaXlYVWhM9hV86d0kI2fSypVBvbT1a22ZKXS0d2Pww2ATTad0TzAUix2MqtDp0E7mnvDfC+QhID3F2kxk4M88XGnxf1aOuOHqoQQrYrU/U8mRbhA=";
const B: &str = "04AAAAAGVT/xAAEGNkZWY4OWFiNDU2NzAxMjMAwBbrImhZfA9l0waq5QMf5IXVC1Lgq2TP/rydivNTBnYEFzG+Nm87FYsM5R3BnWsOQjv+pWKHY/UxBxMFZXYEJnw8D+jiwn4fm/3PplUHJMKQZrzZgtic7Y48NavrK14RnqQ7HJq7T8kV20GKPP+GVQnSAGNg7BtLK4jc0piHOqQfK0sBQQvEWJkoa0J5dHUK1nSwVhCiGPhYlCVSpdboZZahOaxGXCDRe2y9ueFKSSdNkIaYGtZiF/vNTa6gThI9AQ==";
const C: &str = "04AAAAAGVT/xAADAABAgMEBQYHCAkKCwB7lo4HRoGUdkuLbKI2K1efMONOIJKPVOKQRseifp3N7SQOyJZ7O08V02KwsfUy39h8YALo4ZkDsHTvEZBjcTQeWpi3fgjDKlCHM0pNLYLOV5vB8VIlL1YpEzA07E09rCPCIQ2/B+ngR0nv6Ulr++LeljG3a5dmzLcGjRIvAQ==";
const D: &str = "04AAAAAGKoqZcADKChoqOkpaanqKmqqwDWNjiL7sPhruebJ7Osd+E0lvjl4v0QKuJKZ4+XtF2Qr5UroznAFdOQJ7zlJbdbkC+NfJGi3Uo9SRfkyDVL3HaA+r9YIBhdx0HcajSlmg/x7xV66TtAynPOcLx9cq5tf9pTIyrl2kWMexjxbtcuZHe+wcVpkFZKcUvsJMBe5AoHpSNaiXhs6dSrB99TJX1pgByFMbzw9OR6NODSTCOydEYjSqwJuIXn04GFkHo6GlfGCsIqlZVjQnKtInl//mICvI0AoeTd66kU8Fbw1texGqZvvyC9VBPCCQE=";
const E: &str = "04AAAAAGKoqZcAEDBmMWUyZDNjNGI1YTY5NzgAwA7uRVto5gFQ/UX97MzZsNbwwdXHejWwd5X6Wr/1Aflf8aCu0/pmUjiTex9WYTP8ofpMhnNAxHiR0WVnT7VGS64NkxgPx77Xsbt5pLDyXDmd0zzDL34C6YbNAg64DtPm0QDoSE6XfCu2jbXZXHY+btYp3CeTXdCCi4u2mQPBdkqeMtGHoe6nZIJVs/KbZH2m/6e9Pm3znzoDqoBgu5vFszR/iJkuieZ7VYFrnFOjvQQw8GRJWicaYPccWkYUDbDi6A==";

fn basic() -> Plain {
    Plain {
        app_id: APP,
        user_id: "user1".to_string(),
        nonce: 1_234_567,
        ctime: 1_700_000_000,
        expire: 1_700_003_600,
        payload: String::new(),
    }
}

fn login_only() -> Payload {
    Payload { room_id: Some("room1".to_string()), login: true, publish: false, streams: None }
}

fn two_streams() -> Payload {
    Payload { publish: true, streams: Some(vec!["s1".to_string(), "s2".to_string()]), ..login_only() }
}

fn day(nonce: i64) -> Plain {
    Plain { nonce, ctime: 1_655_134_231, expire: 1_655_220_631, payload: two_streams().json(), ..basic() }
}

fn code(token: &str, now: u64) -> i32 {
    verify_token04(token, APP, SECRET, now).map_or_else(|e| e.code(), |_| 0)
}

/// The token with its bytes changed.
fn changed(token: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = STANDARD.decode(&token[2..]).unwrap();
    change(&mut bytes);
    format!("04{}", STANDARD.encode(bytes))
}

/// A GCM token with this plaintext.
fn sealed(json: &str, expire: i64) -> String {
    let nonce = [7; 12];
    let sealer = aes_gcm::Aes256Gcm::new_from_slice(SECRET.as_bytes()).unwrap();
    let ciphertext = sealer.encrypt(Nonce::from_slice(&nonce), json.as_bytes()).unwrap();
    let mut bytes = expire.to_be_bytes().to_vec();
    bytes.extend([0, 12]);
    bytes.extend(nonce);
    bytes.extend((ciphertext.len() as u16).to_be_bytes());
    bytes.extend(ciphertext);
    bytes.push(1);
    format!("04{}", STANDARD.encode(bytes))
}

fn sealed_payload(payload: &str) -> String {
    sealed(&Plain { payload: payload.to_string(), ..basic() }.json(), basic().expire)
}

#[test]
fn the_official_tokens_come_out_byte_for_byte() {
    let cbc = |iv: &[u8; 16]| Cipher::Cbc { iv: *iv };
    let restricted = Plain { payload: login_only().json(), ..basic() };
    let demo = Plain { app_id: 1, user_id: "demo".to_string(), ..day(2_147_483_647) };
    let gcm_c = Cipher::Gcm { nonce: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] };
    let gcm_d = Cipher::Gcm { nonce: [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab] };
    assert_eq!(seal_token04(&basic(), SECRET, cbc(b"0123456789abcdef")).unwrap(), A);
    assert_eq!(seal_token04(&restricted, SECRET, cbc(b"cdef89ab45670123")).unwrap(), B);
    assert_eq!(seal_token04(&basic(), SECRET, gcm_c).unwrap(), C);
    assert_eq!(seal_token04(&day(-1_234_567), SECRET, gcm_d).unwrap(), D);
    assert_eq!(seal_token04(&demo, OTHER_SECRET, cbc(b"0f1e2d3c4b5a6978")).unwrap(), E);
}

#[test]
fn the_official_tokens_grant_what_they_say() {
    for basic in [A, C] {
        let claims = verify_token04(basic, APP, SECRET, 1_700_000_000).unwrap();
        assert_eq!((claims.app_id.as_str(), claims.user_id.as_str()), ("1234567890", "user1"));
        assert_eq!((claims.issued_at, claims.expires_at), (1_700_000_000, 1_700_003_600));
        assert_eq!((claims.room_id.clone(), claims.streams.clone()), (None, None));
        assert!(claims.allow_login("user1", "any").is_ok() && claims.allow_publish("any").is_ok());
    }
    let claims = verify_token04(B, APP, SECRET, 1_700_000_000).unwrap();
    assert!(claims.allow_login("user1", "room1").is_ok());
    assert_eq!(claims.allow_login("user1", "room2").unwrap_err().code(), 1_002_033);
    assert_eq!(claims.allow_publish("s1").unwrap_err().code(), 1_003_072);
    let claims = verify_token04(D, APP, SECRET, 1_655_134_231).unwrap();
    assert!(claims.allow_publish("s1").is_ok() && claims.allow_publish("s2").is_ok());
    assert_eq!(claims.allow_publish("s3").unwrap_err().code(), 1_003_072);
    let claims = verify_token04(E, 1, OTHER_SECRET, 1_655_134_231).unwrap();
    assert_eq!((claims.user_id.as_str(), claims.room_id.as_deref()), ("demo", Some("room1")));
}

#[test]
fn a_token_is_good_until_and_including_its_last_second() {
    for token in [A, C] {
        assert_eq!(code(token, 1_700_003_599), 0);
        assert_eq!(code(token, 1_700_003_600), 0);
        assert_eq!(code(token, 1_700_003_601), 1_002_078);
    }
}

#[test]
fn another_version_is_none_of_ours() {
    for prefix in ["03", "05", "", "4", "0"] {
        assert_eq!(code(&format!("{prefix}{}", &A[2..]), 1_700_000_000), 1_002_079, "{prefix}");
    }
}

#[test]
fn whatever_is_cut_off_or_added_is_malformed() {
    for token in [A, B, C, D] {
        assert_eq!(code(&token[..token.len() - 1], 1_655_134_231), 1_002_075, "one character dropped");
        assert_eq!(code(&format!("{token} "), 1_655_134_231), 1_002_075);
        assert_eq!(code(&changed(token, |bytes| bytes.extend([1, 1])), 1_655_134_231), 1_002_075);
        for length in [0, 7, 9, 11, 20, 27, 28] {
            assert_eq!(code(&changed(token, |bytes| bytes.truncate(length)), 1_655_134_231), 1_002_075, "{length}");
        }
    }
    assert_eq!(code(&changed(A, |bytes| bytes.push(2)), 1_700_000_000), 1_002_075, "unknown mode");
    assert_eq!(code(&changed(A, |bytes| bytes.push(0)), 1_700_000_000), 0, "mode 0 is CBC in so many words");
}

#[test]
fn gcm_never_falls_back_to_cbc() {
    assert_eq!(code(&changed(C, |bytes| bytes.truncate(bytes.len() - 1)), 1_700_000_000), 1_002_075);
    assert_eq!(code(&changed(C, |bytes| *bytes.last_mut().unwrap() = 0), 1_700_000_000), 1_002_075);
    assert_eq!(code(&changed(A, |bytes| bytes.push(1)), 1_700_000_000), 1_002_075);
}

#[test]
fn the_outer_expiry_must_be_the_inner_one() {
    for token in [A, C] {
        let longer = changed(token, |bytes| bytes[..8].copy_from_slice(&1_800_000_000_i64.to_be_bytes()));
        assert_eq!(code(&longer, 1_700_000_000), 1_002_075);
        assert_eq!(code(&longer, 1_750_000_000), 1_002_075, "and it does not prolong the token");
    }
}

#[test]
fn every_flipped_bit_of_a_gcm_ciphertext_is_noticed() {
    let end = STANDARD.decode(&C[2..]).unwrap().len() - 1;
    for place in 24..end {
        assert_eq!(code(&changed(C, |bytes| bytes[place] ^= 1), 1_700_000_000), 1_002_033, "byte {place}");
    }
}

/// CBC has no checksum. Every change that garbles the text is answered alike, so that nobody learns the padding.
#[test]
fn a_flipped_bit_of_a_cbc_ciphertext_is_refused() {
    for place in 28..140 {
        let answer = code(&changed(A, |bytes| bytes[place] ^= 1), 1_700_000_000);
        assert_ne!(answer, 0, "byte {place}");
    }
    assert_eq!(code(&changed(A, |bytes| bytes[139] ^= 1), 1_700_000_000), 1_002_033, "padding");
    assert_eq!(code(&changed(A, |bytes| bytes[28] ^= 1), 1_700_000_000), 1_002_033, "first block");
}

#[test]
fn another_secret_is_refused_whatever_its_length() {
    for secret in [OTHER_SECRET, "", "short", "sixteen bytes ok", "twenty-four bytes are ok", &SECRET[..31]] {
        for token in [A, C] {
            assert_eq!(verify_token04(token, APP, secret, 1_700_000_000).unwrap_err().code(), 1_002_033, "{secret}");
        }
    }
}

#[test]
fn keys_of_16_and_24_bytes_open_too() {
    let key = "sixteen bytes ok";
    let iv = [9; 16];
    let encryptor = cbc::Encryptor::<aes::Aes128>::new_from_slices(key.as_bytes(), &iv).unwrap();
    let ciphertext = encryptor.encrypt_padded_vec_mut::<Pkcs7>(basic().json().as_bytes());
    let mut bytes = basic().expire.to_be_bytes().to_vec();
    bytes.extend([0, 16]);
    bytes.extend(iv);
    bytes.extend((ciphertext.len() as u16).to_be_bytes());
    bytes.extend(ciphertext);
    let token = format!("04{}", STANDARD.encode(bytes));
    assert_eq!(verify_token04(&token, APP, key, 1_700_000_000).unwrap().user_id, "user1");
}

#[test]
fn another_app_or_user_is_told_so() {
    assert_eq!(verify_token04(A, 1, SECRET, 1_700_000_000).unwrap_err().code(), 1_002_076);
    let claims = verify_token04(A, APP, SECRET, 1_700_000_000).unwrap();
    assert_eq!(claims.allow_login("user2", "room1").unwrap_err().code(), 1_002_077);
}

#[test]
fn each_field_s_type_has_its_code() {
    let expire = basic().expire;
    let with = |key: &str, value: Option<Value>| {
        let mut fields: Map<String, Value> = serde_json::from_str(&basic().json()).unwrap();
        match value {
            Some(value) => fields.insert(key.to_string(), value),
            None => fields.remove(key),
        };
        code(&sealed(&Value::from(fields).to_string(), expire), 1_700_000_000)
    };
    assert_eq!(with("nonce", Some(Value::from(-5))), 0);
    assert_eq!(with("nonce", Some(Value::from(u64::MAX))), 0);
    for (key, bad) in [("app_id", 1_002_076), ("user_id", 1_002_077), ("nonce", 1_002_080), ("ctime", 1_002_078)] {
        assert_eq!(with(key, None), bad, "{key} missing");
        let wrong = if key == "user_id" { Value::from(7) } else { Value::from("7") };
        assert_eq!(with(key, Some(wrong)), bad, "{key} of another type");
    }
    assert_eq!(with("nonce", Some(Value::from(1.5))), 1_002_080);
    assert_eq!(with("expire", None), 1_002_078);
    assert_eq!(with("expire", Some(Value::from("1700003600"))), 1_002_078);
    assert_eq!(with("payload", None), 0);
    assert_eq!(with("payload", Some(Value::from(5))), 1_002_075);
    assert_eq!(with("unknown", Some(Value::from(5))), 0, "more fields than today's do no harm");
    assert_eq!(code(&sealed("[1]", expire), 1_700_000_000), 1_002_075);
    assert_eq!(code(&sealed("not JSON", expire), 1_700_000_000), 1_002_075);
    assert_eq!(code(&sealed(&Plain { expire: -5, ..basic() }.json(), -5), 1_700_000_000), 1_002_078);
}

#[test]
fn the_order_of_the_fields_and_escapes_do_not_matter() {
    let go =
        r#"{"app_id":1234567890,"user_id":"a\u003cb","ctime":1700000000,"expire":1700003600,"nonce":1,"payload":""}"#;
    let token = sealed(go, 1_700_003_600);
    assert_eq!(verify_token04(&token, APP, SECRET, 1_700_000_000).unwrap().user_id, "a<b");
}

#[test]
fn a_payload_grants_only_what_it_names() {
    let claims = |payload: &str| verify_token04(&sealed_payload(payload), APP, SECRET, 1_700_000_000);
    for (payload, room, login, publish) in [
        (r#"{"room_id":"r","privilege":{"1":1,"2":1},"stream_id_list":null}"#, Some("r"), true, true),
        (r#"{"room_id":"r","privilege":{"1":1}}"#, Some("r"), true, false),
        (r#"{"room_id":"r","privilege":{"2":1}}"#, Some("r"), false, true),
        (r#"{"room_id":"r","privilege":{"1":2,"2":-1}}"#, Some("r"), false, false),
        (r#"{"room_id":"r"}"#, Some("r"), false, false),
        (r#"{"room_id":"r","privilege":null}"#, Some("r"), false, false),
        (r#"{"room_id":"","privilege":{"1":1,"2":1},"stream_id_list":[]}"#, None, true, true),
    ] {
        let claims = claims(payload).unwrap();
        assert_eq!(
            (claims.room_id.as_deref(), claims.can_login, claims.can_publish, claims.streams),
            (room, login, publish, None),
            "{payload}"
        );
    }
    for payload in [
        "not JSON",
        "{}",
        "[]",
        r#"{"privilege":{"1":1}}"#,
        r#"{"room_id":5}"#,
        r#"{"room_id":"r","privilege":[1]}"#,
        r#"{"room_id":"r","privilege":{"1":"1"}}"#,
        r#"{"room_id":"r","privilege":{"1":true}}"#,
        r#"{"room_id":"r","stream_id_list":"s1"}"#,
    ] {
        assert_eq!(claims(payload).unwrap_err().code(), 1_002_075, "{payload}");
    }
    let denied = claims(r#"{"room_id":"room1"}"#).unwrap();
    assert_eq!(denied.allow_login("user1", "room1").unwrap_err().code(), 1_002_033);
}

#[test]
fn new_tokens_are_gcm_and_each_is_different() {
    let request = TokenRequest::new("1234567890", SECRET, "user1");
    let (one, two) = (generate_token04(&request, 1000).unwrap(), generate_token04(&request, 1000).unwrap());
    assert_ne!(one, two);
    assert_eq!(STANDARD.decode(&one[2..]).unwrap().last(), Some(&1));
    assert_eq!(peek_expiry(&one), Some(87_400));
    let streams = TokenRequest { streams: Some(vec!["s1".into()]), ..request };
    let claims = verify_token04(&generate_token04(&streams, 1000).unwrap(), APP, SECRET, 1000).unwrap();
    assert_eq!((claims.room_id, claims.streams), (None, Some(vec!["s1".to_string()])));
}

#[test]
fn a_bad_request_makes_no_token() {
    let good = TokenRequest::new("1234567890", SECRET, "user1");
    for bad in [
        TokenRequest { app_id: "0".into(), ..good.clone() },
        TokenRequest { app_id: "4294967296".into(), ..good.clone() },
        TokenRequest { app_id: "key".into(), ..good.clone() },
        TokenRequest { secret: SECRET[..31].into(), ..good.clone() },
        TokenRequest { user_id: String::new(), ..good.clone() },
        TokenRequest { user_id: "u".repeat(64), ..good.clone() },
        TokenRequest { room_id: Some("a b".into()), ..good.clone() },
        TokenRequest { streams: Some(vec!["a b".into()]), ..good.clone() },
        TokenRequest { streams: Some(vec!["s".repeat(255); 200]), ..good.clone() },
        TokenRequest { ttl_s: 0, ..good.clone() },
        TokenRequest { ttl_s: u64::MAX, ..good.clone() },
    ] {
        assert_eq!(generate_token04(&bad, 1000).unwrap_err().code(), 1_000_017, "{bad:?}");
    }
}
