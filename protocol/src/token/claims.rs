//! What a token grants, whichever kind it is, and why one is refused.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::error;

/// The kinds of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// ZEGO's token04.
    Token04,
    /// A LiveKit access token.
    LiveKit,
}

/// An AppID (API key) with its ServerSecret (API secret).
#[derive(Clone, PartialEq, Eq)]
pub struct App {
    /// The AppID. token04 needs a number from 1 to 4294967295; a JWT takes any text.
    pub id: String,
    /// The secret. token04 needs 16, 24 or 32 bytes (ZEGO's have 32), which are the key as they are.
    pub secret: String,
}

impl App {
    /// A pair of AppID and secret.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> App {
        App { id: id.into(), secret: secret.into() }
    }

    /// The AppID as token04 has it, when it is such a number.
    pub fn number(&self) -> Option<u32> {
        self.id.parse().ok().filter(|number| *number != 0)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What is asked of a new token.
#[derive(Clone)]
pub struct TokenRequest {
    /// The AppID; a number for token04.
    pub app_id: String,
    /// Its secret; 32 bytes for token04.
    pub secret: String,
    /// Whom it lets in.
    pub user_id: String,
    /// The name that others see (JWT only); empty: the user id.
    pub user_name: String,
    /// Into which room; `None` = any (token04 only).
    pub room_id: Option<String>,
    /// How long it is good for, in seconds.
    pub ttl_s: u64,
    /// Whether it lets its user publish.
    pub can_publish: bool,
    /// Which streams it lets its user publish (token04 only); `None` = any.
    pub streams: Option<Vec<String>>,
}

impl TokenRequest {
    /// A request for a day's token, for any room (token04), with the right to publish.
    pub fn new(app_id: impl Into<String>, secret: impl Into<String>, user_id: impl Into<String>) -> TokenRequest {
        TokenRequest {
            app_id: app_id.into(),
            secret: secret.into(),
            user_id: user_id.into(),
            user_name: String::new(),
            room_id: None,
            ttl_s: 86_400,
            can_publish: true,
            streams: None,
        }
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("app_id", &self.app_id)
            .field("user_id", &self.user_id)
            .field("room_id", &self.room_id)
            .field("ttl_s", &self.ttl_s)
            .finish_non_exhaustive()
    }
}

/// What a new room is to be like: LiveKit's `RoomConfiguration`, as far as it is kept. 0 and empty stand for the server's own values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RoomConfig {
    /// How long it stays when nobody comes, in seconds.
    #[serde(alias = "emptyTimeout")]
    pub empty_timeout: u32,
    /// How long it stays when everybody has left, in seconds.
    #[serde(alias = "departureTimeout")]
    pub departure_timeout: u32,
    /// Most people in it.
    #[serde(alias = "maxParticipants")]
    pub max_participants: u32,
    /// Free text about it.
    pub metadata: String,
}

/// What a token grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Which kind of token it was.
    pub kind: TokenKind,
    /// The AppID that it is for.
    pub app_id: String,
    /// The user that it is for.
    pub user_id: String,
    /// The user's name, if the token sets one (JWT).
    pub name: Option<String>,
    /// The only room that it is for; `None` = any.
    pub room_id: Option<String>,
    /// When it was made, Unix seconds; 0 = it does not say.
    pub issued_at: u64,
    /// When it expires, Unix seconds.
    pub expires_at: u64,
    /// May enter the room.
    pub can_login: bool,
    /// May publish streams.
    pub can_publish: bool,
    /// May receive streams.
    pub can_subscribe: bool,
    /// May send messages.
    pub can_publish_data: bool,
    /// The only streams that may be published; `None` = any.
    pub streams: Option<Vec<String>>,
    /// The only sources that may be published, LiveKit's words; empty = any (JWT).
    pub publish_sources: Vec<String>,
    /// Not shown to others (JWT).
    pub hidden: bool,
    /// May change its own name, metadata and attributes (JWT).
    pub can_update_own_metadata: bool,
    /// May administer the room that it names (JWT).
    pub room_admin: bool,
    /// May create and delete rooms (JWT).
    pub room_create: bool,
    /// May list rooms (JWT).
    pub room_list: bool,
    /// What the room is to be like if this token's user is the first there (JWT).
    pub room_config: RoomConfig,
    /// The participant's metadata (JWT).
    pub metadata: String,
    /// The participant's attributes (JWT).
    pub attributes: BTreeMap<String, String>,
    /// LiveKit's kind of participant, such as `standard` or `agent`; empty = standard (JWT).
    pub participant_kind: String,
}

impl Claims {
    /// The last Unix second in which the token is good.
    pub fn good_until(&self) -> u64 {
        match self.kind {
            TokenKind::Token04 => self.expires_at,
            TokenKind::LiveKit => self.expires_at.saturating_add(super::LEEWAY_S),
        }
    }

    /// Whether the token lets this user into this room.
    ///
    /// # Errors
    /// 1002077 another user; 1002033 another room, or no right to log in.
    pub fn allow_login(&self, user_id: &str, room_id: &str) -> Result<(), TokenError> {
        if self.user_id != user_id {
            return Err(TokenError::OtherUser { user_id: user_id.to_string() });
        }
        if self.room_id.as_deref().is_some_and(|only| only != room_id) {
            return Err(TokenError::OtherRoom { room_id: room_id.to_string() });
        }
        if !self.can_login {
            return Err(TokenError::LoginDenied { room_id: room_id.to_string() });
        }
        Ok(())
    }

    /// Whether the token lets its bearer administer this room. It has to name the room.
    ///
    /// # Errors
    /// 1002033.
    pub fn allow_administer(&self, room_id: &str) -> Result<(), TokenError> {
        let named = self.room_id.as_deref() == Some(room_id);
        if self.room_admin && named { Ok(()) } else { Err(TokenError::NotAdmin { room_id: room_id.to_string() }) }
    }

    /// Whether the token lets its user publish this stream.
    ///
    /// # Errors
    /// 1003072.
    pub fn allow_publish(&self, stream_id: &str) -> Result<(), TokenError> {
        let listed = |only: &Vec<String>| only.iter().any(|stream| stream == stream_id);
        if !self.can_publish || !self.streams.as_ref().is_none_or(listed) {
            return Err(TokenError::PublishDenied { stream_id: stream_id.to_string() });
        }
        Ok(())
    }
}

/// Why a token is refused or cannot be made. No message holds any part of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("There is no token")]
    Missing,
    /// Neither `04…` nor a JWT with HS256.
    #[error("The token is of an unknown version or algorithm")]
    Version,
    /// It is not built as its kind is.
    #[error("The token is malformed: {0}")]
    Malformed(&'static str),
    /// No known secret made it. CBC has no checksum: whatever comes out unreadable counts as this, with one message
    /// for all, so that nobody can find out the plaintext by asking.
    #[error("The token was not made with this server's secret")]
    Refused,
    /// For another AppID.
    #[error("The token is for another AppID")]
    OtherApp,
    /// For another user, or its user is not text.
    #[error("The token is not for user '{user_id}'")]
    OtherUser {
        /// The user who tried to log in with it.
        user_id: String,
    },
    /// The user id in it is missing or not text.
    #[error("The token has no user id")]
    NoUser,
    /// For another room.
    #[error("The token is not for room '{room_id}'")]
    OtherRoom {
        /// The room that its user tried to log in to.
        room_id: String,
    },
    /// Without the right to log in.
    #[error("The token does not allow logging in to room '{room_id}'")]
    LoginDenied {
        /// The room that its user tried to log in to.
        room_id: String,
    },
    /// Without the right to publish this stream.
    #[error("The token does not allow publishing stream '{stream_id}'")]
    PublishDenied {
        /// The stream.
        stream_id: String,
    },
    /// Without the right to administer this room.
    #[error("The token does not allow administering room '{room_id}'")]
    NotAdmin {
        /// The room.
        room_id: String,
    },
    /// Without another right of LiveKit's.
    #[error("The token does not grant {0}")]
    NotGranted(&'static str),
    /// Its time is over.
    #[error("The token expired {ago_s} s ago")]
    Expired {
        /// For how long it has been expired, in seconds.
        ago_s: u64,
    },
    /// Its time has not come.
    #[error("The token is not valid before {in_s} s from now; is the clock right?")]
    NotYet {
        /// When it becomes valid, in seconds from now.
        in_s: u64,
    },
    /// A time in it is missing or not an integer.
    #[error("The token's {0} is missing or not an integer")]
    BadTime(&'static str),
    /// Its nonce is missing or not an integer.
    #[error("The token's nonce is missing or not an integer")]
    BadNonce,
    /// A token cannot be made from this.
    #[error("No token can be made: {0}")]
    BadRequest(String),
    /// The system gave no random numbers.
    #[error("No token can be made: the system gave no random numbers")]
    NoRandom,
}

impl TokenError {
    /// ZEGO's code.
    pub fn code(&self) -> i32 {
        match self {
            TokenError::Missing => 1_002_067,
            TokenError::Version => 1_002_079,
            TokenError::Malformed(_) => 1_002_075,
            TokenError::Refused
            | TokenError::OtherRoom { .. }
            | TokenError::LoginDenied { .. }
            | TokenError::NotAdmin { .. }
            | TokenError::NotGranted(_) => 1_002_033,
            TokenError::OtherApp => 1_002_076,
            TokenError::OtherUser { .. } | TokenError::NoUser => 1_002_077,
            TokenError::PublishDenied { .. } => 1_003_072,
            TokenError::Expired { .. } | TokenError::NotYet { .. } | TokenError::BadTime(_) => 1_002_078,
            TokenError::BadNonce => 1_002_080,
            TokenError::BadRequest(_) => 1_000_017,
            TokenError::NoRandom => 1_002_074,
        }
    }

    /// The whole message: what is wrong, what to do, the code in brackets.
    pub fn sentence(&self) -> String {
        error::sentence(self.code(), &self.to_string())
    }
}

/// What both generators ask of a request.
pub(super) fn check_request(request: &TokenRequest) -> Result<(), TokenError> {
    let bad = |e: crate::id::IdError| TokenError::BadRequest(lower_first(&e.to_string()));
    crate::id::user_id(&request.user_id).map_err(bad)?;
    crate::id::user_name(&request.user_name).map_err(bad)?;
    if let Some(room) = &request.room_id {
        crate::id::room_id(room).map_err(bad)?;
    }
    for stream in request.streams.iter().flatten() {
        crate::id::stream_id(stream).map_err(bad)?;
    }
    if request.ttl_s == 0 {
        return Err(TokenError::BadRequest("it would expire at once".to_string()));
    }
    Ok(())
}

fn lower_first(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
