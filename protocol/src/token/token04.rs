//! ZEGO's token04: `"04"` and Base64 of expiry, initialisation vector, ciphertext and mode.
//!
//! | offset | size | field |
//! | --- | --- | --- |
//! | 0 | 8 | expiry, Unix seconds, signed, big-endian |
//! | 8 | 2 | length of the initialisation vector, big-endian |
//! | 10 | … | initialisation vector: 16 bytes (CBC) or 12 (GCM) |
//! | … | 2 | length of the ciphertext, big-endian |
//! | … | … | ciphertext; with GCM the 16-byte tag is its end |
//! | end | 0 or 1 | mode: none or 0 = AES-CBC with PKCS#7 padding, 1 = AES-GCM |
//!
//! The outer expiry is not authenticated, so it must equal the inner one and is believed for nothing else.

use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{AesGcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::claims::{App, Claims, TokenError, TokenKind, TokenRequest};

const PREFIX: &str = "04";
/// ZEGO's secrets have this many characters; a token is made with no other.
const SECRET_LENGTH: usize = 32;

/// The two variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-CBC: the old one, still what most generators make. Read, not written unless asked for.
    Cbc {
        /// The initialisation vector.
        iv: [u8; 16],
    },
    /// AES-GCM: what ZEGO's current generator makes, and zegoctl.
    Gcm {
        /// The nonce; never twice with one key.
        nonce: [u8; 12],
    },
}

/// The plaintext's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// AppID.
    pub app_id: u32,
    /// User id.
    pub user_id: String,
    /// Any number; tells apart tokens that are otherwise equal.
    pub nonce: i64,
    /// When it was made, Unix seconds.
    pub ctime: i64,
    /// When it expires, Unix seconds.
    pub expire: i64,
    /// The payload's JSON text, or nothing: a token for any room and stream.
    pub payload: String,
}

impl Plain {
    fn json(&self) -> String {
        let text = |text: &str| Value::from(text).to_string();
        // Written by hand because ZEGO's generators write in this order, and the test vectors are theirs.
        format!(
            r#"{{"app_id":{},"user_id":{},"nonce":{},"ctime":{},"expire":{},"payload":{}}}"#,
            self.app_id,
            text(&self.user_id),
            self.nonce,
            self.ctime,
            self.expire,
            text(&self.payload)
        )
    }
}

/// The payload: which room, which rights. A token with a payload grants only what the payload grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The only room; `None` = any.
    pub room_id: Option<String>,
    /// May log in.
    pub login: bool,
    /// May publish.
    pub publish: bool,
    /// The only streams that may be published; `None` = any.
    pub streams: Option<Vec<String>>,
}

impl Payload {
    /// The JSON text, as ZEGO's generators write it.
    pub fn json(&self) -> String {
        format!(
            r#"{{"room_id":{},"privilege":{{"1":{},"2":{}}},"stream_id_list":{}}}"#,
            Value::from(self.room_id.as_deref().unwrap_or_default()),
            u8::from(self.login),
            u8::from(self.publish),
            self.streams.as_ref().map_or(Value::Null, |streams| Value::from(streams.clone()))
        )
    }

    /// Reads the JSON text. A missing privilege is denied. An empty `room_id` means any room, no or an empty
    /// `stream_id_list` any stream; `room_id` itself must be there.
    fn parse(text: &str) -> Result<Payload, TokenError> {
        #[derive(Deserialize)]
        struct Raw {
            room_id: String,
            #[serde(default)]
            privilege: Option<Map<String, Value>>,
            #[serde(default)]
            stream_id_list: Option<Vec<String>>,
        }
        let raw: Raw = serde_json::from_str(text)
            .map_err(|_| TokenError::Malformed("its payload is not the JSON of a privilege token"))?;
        let granted = |key: &str| match raw.privilege.as_ref().and_then(|privilege| privilege.get(key)) {
            None | Some(Value::Null) => Ok(false),
            Some(value) => {
                value.as_i64().map(|value| value == 1).ok_or(TokenError::Malformed("a privilege is no integer"))
            }
        };
        Ok(Payload {
            login: granted("1")?,
            publish: granted("2")?,
            room_id: Some(raw.room_id).filter(|room| !room.is_empty()),
            streams: raw.stream_id_list.filter(|streams| !streams.is_empty()),
        })
    }
}

/// Makes a token of the GCM variant.
///
/// # Errors
/// [`TokenError::BadRequest`] when the AppID is no number from 1 to 4294967295, the secret has not 32 bytes, the user
/// id is illegal, the time is 0 or the token would be too long; [`TokenError::NoRandom`].
pub fn generate_token04(request: &TokenRequest, now: u64) -> Result<String, TokenError> {
    let app_id = App::new(request.app_id.as_str(), "").number().ok_or_else(|| {
        TokenError::BadRequest(format!("the AppID '{}' is no number from 1 to 4294967295", request.app_id))
    })?;
    super::claims::check_request(request)?;
    let ctime = i64::try_from(now).map_err(|_| TokenError::BadTime("ctime"))?;
    let expire = i64::try_from(request.ttl_s)
        .ok()
        .and_then(|ttl| ctime.checked_add(ttl))
        .ok_or_else(|| TokenError::BadRequest("the time is too long".to_string()))?;
    // ZEGO's plain token ("basic") has no payload; it is enough when nothing is restricted.
    let restricted = request.room_id.is_some() || !request.can_publish || request.streams.is_some();
    let payload = Payload {
        room_id: request.room_id.clone(),
        login: true,
        publish: request.can_publish,
        streams: request.streams.clone(),
    };
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| TokenError::NoRandom)?;
    let [a, b, c, d, nonce @ ..] = random;
    let plain = Plain {
        app_id,
        user_id: request.user_id.clone(),
        nonce: i64::from(i32::from_be_bytes([a, b, c, d])),
        ctime,
        expire,
        payload: if restricted { payload.json() } else { String::new() },
    };
    seal_token04(&plain, &request.secret, Cipher::Gcm { nonce })
}

/// Makes a token from its parts: for test vectors and for generating the old variant.
///
/// # Errors
/// [`TokenError::BadRequest`] when the secret has not 32 bytes or the token would be too long.
pub fn seal_token04(plain: &Plain, secret: &str, cipher: Cipher) -> Result<String, TokenError> {
    if secret.len() != SECRET_LENGTH {
        return Err(TokenError::BadRequest(format!("the secret has {} bytes, not {SECRET_LENGTH}", secret.len())));
    }
    let key = secret.as_bytes();
    let wrong_key = || TokenError::BadRequest("the secret does not fit".to_string());
    let json = plain.json();
    let (iv, ciphertext) = match &cipher {
        Cipher::Cbc { iv } => {
            let encryptor = cbc::Encryptor::<aes::Aes256>::new_from_slices(key, iv).map_err(|_| wrong_key())?;
            (&iv[..], encryptor.encrypt_padded_vec_mut::<Pkcs7>(json.as_bytes()))
        }
        Cipher::Gcm { nonce } => {
            let sealer = aes_gcm::Aes256Gcm::new_from_slice(key).map_err(|_| wrong_key())?;
            (&nonce[..], sealer.encrypt(Nonce::from_slice(nonce), json.as_bytes()).map_err(|_| wrong_key())?)
        }
    };
    // Signed in two of ZEGO's generators, hence half of what two bytes could say.
    let length = i16::try_from(ciphertext.len())
        .map_err(|_| TokenError::BadRequest("it would be too long; name fewer streams".to_string()))?;
    let mut bytes = Vec::with_capacity(13 + iv.len() + ciphertext.len());
    bytes.extend(plain.expire.to_be_bytes());
    bytes.extend([0, u8::try_from(iv.len()).expect("12 or 16 fit into a byte")]);
    bytes.extend(iv);
    bytes.extend(length.to_be_bytes());
    bytes.extend(ciphertext);
    if matches!(cipher, Cipher::Gcm { .. }) {
        bytes.push(1);
    }
    Ok(format!("{PREFIX}{}", STANDARD.encode(bytes)))
}

/// Checks a token against one AppID and its secret, and says what it grants.
///
/// # Errors
/// [`TokenError`]: 1002079 no `04` in front, 1002075 malformed, 1002033 another secret or changed, 1002076 another
/// AppID, 1002077 no user, 1002078 expired or times that are none, 1002080 nonce not an integer.
pub fn verify_token04(token: &str, app_id: u32, secret: &str, now: u64) -> Result<Claims, TokenError> {
    verify_with(token, &[App::new(app_id.to_string(), secret)], now)
}

pub(super) fn verify_with(token: &str, apps: &[App], now: u64) -> Result<Claims, TokenError> {
    let sealed = Sealed::parse(token)?;
    let mut refusal = TokenError::Refused;
    for app in apps {
        let Some(number) = app.number() else { continue };
        let Some(fields) = sealed.open(app.secret.as_bytes()) else { continue };
        match claims(fields?, number, sealed.expire, now) {
            Err(TokenError::OtherApp) => refusal = TokenError::OtherApp, // another app may have the same secret
            outcome => return outcome,
        }
    }
    Err(refusal)
}

/// The outer expiry, which nothing protects.
pub(super) fn peek_expiry(token: &str) -> Option<u64> {
    Sealed::parse(token).ok().and_then(|sealed| u64::try_from(sealed.expire).ok())
}

struct Sealed {
    expire: i64,
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
    gcm: bool,
}

impl Sealed {
    fn parse(token: &str) -> Result<Sealed, TokenError> {
        let encoded = token.strip_prefix(PREFIX).ok_or(TokenError::Version)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| TokenError::Malformed("it is not Base64"))?;
        let cut = TokenError::Malformed("it is cut off or a length in it is wrong");
        let (expire, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| cut.clone())?;
        let (iv, rest) = counted(rest).ok_or_else(|| cut.clone())?;
        let (ciphertext, rest) = counted(rest).ok_or(cut)?;
        let gcm = match rest {
            [] | [0] => false,
            [1] => true,
            _ => return Err(TokenError::Malformed("there is something behind its end")),
        };
        if iv.len() != if gcm { 12 } else { 16 } {
            return Err(TokenError::Malformed("its initialisation vector does not fit its mode"));
        }
        Ok(Sealed { expire: i64::from_be_bytes(*expire), iv: iv.to_vec(), ciphertext: ciphertext.to_vec(), gcm })
    }

    /// `None`: not with this key. CBC cannot tell a wrong key from a changed token, so both end here, alike.
    fn open(&self, key: &[u8]) -> Option<Result<Map<String, Value>, TokenError>> {
        let plain = self.decrypt(key)?;
        match serde_json::from_slice::<Map<String, Value>>(&plain) {
            Ok(fields) => Some(Ok(fields)),
            Err(_) if self.gcm => Some(Err(TokenError::Malformed("its content is not a JSON object"))),
            Err(_) => None,
        }
    }

    fn decrypt(&self, key: &[u8]) -> Option<Vec<u8>> {
        match (self.gcm, key.len()) {
            (true, 16) => self.open_gcm::<aes::Aes128>(key),
            (true, 24) => self.open_gcm::<aes::Aes192>(key),
            (true, 32) => self.open_gcm::<aes::Aes256>(key),
            (false, 16) => self.open_cbc::<cbc::Decryptor<aes::Aes128>>(key),
            (false, 24) => self.open_cbc::<cbc::Decryptor<aes::Aes192>>(key),
            (false, 32) => self.open_cbc::<cbc::Decryptor<aes::Aes256>>(key),
            _ => None,
        }
    }

    fn open_cbc<D: KeyIvInit + BlockDecryptMut>(&self, key: &[u8]) -> Option<Vec<u8>> {
        D::new_from_slices(key, &self.iv).ok()?.decrypt_padded_vec_mut::<Pkcs7>(&self.ciphertext).ok()
    }

    fn open_gcm<C>(&self, key: &[u8]) -> Option<Vec<u8>>
    where
        C: KeyInit
            + aes_gcm::aes::cipher::BlockCipher
            + aes_gcm::aes::cipher::BlockSizeUser<BlockSize = U16>
            + aes_gcm::aes::cipher::BlockEncrypt,
        AesGcm<C, U12>: KeyInit,
    {
        let opener = AesGcm::<C, U12>::new_from_slice(key).ok()?;
        opener.decrypt(Nonce::from_slice(&self.iv), self.ciphertext.as_slice()).ok()
    }
}

/// Splits off a field that begins with its length.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn claims(fields: Map<String, Value>, app_id: u32, outer_expire: i64, now: u64) -> Result<Claims, TokenError> {
    let integer = |key: &str| fields.get(key).and_then(Value::as_i64);
    if integer("app_id") != Some(i64::from(app_id)) {
        return Err(TokenError::OtherApp);
    }
    let user_id = fields.get("user_id").and_then(Value::as_str).ok_or(TokenError::NoUser)?;
    let is_integer = |value: &Value| value.is_i64() || value.is_u64();
    if !fields.get("nonce").is_some_and(is_integer) {
        return Err(TokenError::BadNonce);
    }
    let ctime = integer("ctime").ok_or(TokenError::BadTime("ctime"))?;
    let expire = integer("expire").ok_or(TokenError::BadTime("expire"))?;
    if expire != outer_expire {
        return Err(TokenError::Malformed("its two expiry times differ"));
    }
    let expires_at = u64::try_from(expire).map_err(|_| TokenError::BadTime("expire"))?;
    if expires_at < now {
        return Err(TokenError::Expired { ago_s: now - expires_at });
    }
    let payload = match fields.get("payload") {
        None | Some(Value::Null) => "",
        Some(payload) => payload.as_str().ok_or(TokenError::Malformed("its payload is not text"))?,
    };
    let payload = match payload {
        "" => Payload { room_id: None, login: true, publish: true, streams: None },
        text => Payload::parse(text)?,
    };
    Ok(Claims {
        kind: TokenKind::Token04,
        app_id: app_id.to_string(),
        user_id: user_id.to_string(),
        name: None,
        room_id: payload.room_id,
        issued_at: u64::try_from(ctime).unwrap_or(0),
        expires_at,
        can_login: payload.login,
        can_publish: payload.publish,
        can_subscribe: true,
        can_publish_data: true,
        streams: payload.streams,
        publish_sources: Vec::new(),
        hidden: false,
        can_update_own_metadata: false,
        room_admin: false,
        room_create: false,
        room_list: false,
        room_config: Default::default(),
        metadata: String::new(),
        attributes: Default::default(),
        participant_kind: String::new(),
    })
}

#[cfg(test)]
mod tests;
