//! Who may come in.

use zego_protocol::error::with_code;
use zego_protocol::id;
use zego_protocol::token::{App, TokenError, TokenKind, verify_any};

use super::query::{ClientWishes, Parameters};
use crate::rooms::{Denial, Join, Path};

/// LiveKit's limit for room names and identities, in bytes.
const NAME_LIMIT: usize = 256;
/// A parameter is wrong.
const BAD_PARAMETER: i32 = 1_000_017;

/// Why somebody may not come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// One sentence that ends with ZEGO's code in brackets; without a code when waiting is all that it takes.
    pub message: String,
    /// It may be asked again after so long.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    fn new(status: u16, message: String) -> Refusal {
        Refusal { status, message, retry_after_s: None }
    }

    /// The request itself is wrong.
    pub fn request(status: u16, problem: &str) -> Refusal {
        Refusal::new(status, with_code(BAD_PARAMETER, problem))
    }

    fn token(error: &TokenError) -> Refusal {
        let status = match error {
            TokenError::OtherRoom { .. } | TokenError::OtherUser { .. } | TokenError::LoginDenied { .. } => 403,
            _ => 401,
        };
        Refusal::new(status, error.sentence())
    }

    /// The user comes in too often.
    pub fn too_often(user: &str, seconds: u64) -> Refusal {
        let message = format!("User '{user}' joins too often: try again in {seconds} s");
        Refusal { status: 429, message, retry_after_s: Some(seconds) }
    }

    /// The room does not take it now.
    pub fn room(denial: &Denial) -> Refusal {
        let status = match denial {
            Denial::NoRoom(_) => 404,
            Denial::Room(_) | Denial::Full(_) | Denial::Forbidden(_) => 403,
            Denial::StreamTaken(_) | Denial::NothingToWatch(_) => 409,
        };
        Refusal::new(status, denial.to_string())
    }

    /// A new token is not taken; `sentence` says why, and ends with its code.
    pub fn renewal(sentence: String) -> Refusal {
        Refusal::new(403, sentence)
    }

    fn id(error: &id::IdError) -> Refusal {
        Refusal::new(400, error.sentence())
    }
}

/// Checks a client's token and parameters. `bearer` is the token of the `Authorization` header, `now` Unix seconds.
pub fn admit(
    apps: &[App],
    path: Path,
    bearer: Option<&str>,
    parameters: &Parameters,
    now: u64,
) -> Result<Join, Refusal> {
    let token = bearer.unwrap_or(&parameters.access_token);
    let claims = match token {
        "" => Err(TokenError::Missing),
        token => verify_any(token, apps, now),
    };
    let claims = claims.map_err(|error| Refusal::token(&error))?;
    // A token04 names no user that a client could take over from it: it must say who and where it is.
    let must_say = claims.kind == TokenKind::Token04;
    let user = chosen(&parameters.zego_user, must_say, id::user_id, || claims.user_id.clone())?;
    let room = chosen(&parameters.zego_room, must_say, id::room_id, || claims.room_id.clone().unwrap_or_default())?;
    if room.is_empty() || room.len() > NAME_LIMIT || user.is_empty() || user.len() > NAME_LIMIT {
        return Err(Refusal::request(400, "The token names no room and user, or one with more than 256 bytes"));
    }
    claims.allow_login(&user, &room).map_err(|error| Refusal::token(&error))?;
    let name = claims.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| parameters.zego_name.clone());
    id::user_name(&name).map_err(|error| Refusal::id(&error))?;
    let wishes = match path {
        Path::One => parameters.one_connection(),
        Path::Two => parameters.two_connections(),
        // It says everything in its offer.
        Path::Once => Ok(ClientWishes::default()),
    };
    let wishes = wishes.map_err(|error| Refusal::request(400, &error.to_string()))?;
    Ok(Join {
        claims,
        room,
        name,
        metadata: wishes.metadata,
        attributes: wishes.attributes,
        path,
        protocol: wishes.protocol,
        client_protocol: wishes.client_protocol,
        capabilities: wishes.capabilities,
        stereo_by_offer: wishes.stereo_by_offer,
        auto_subscribe: wishes.auto_subscribe,
        auto_subscribe_data: wishes.auto_subscribe_data,
        resume: wishes.resume,
        add_tracks: wishes.add_tracks,
        offer: wishes.offer,
        sync_state: wishes.sync_state,
        zego: parameters.zego(),
        watches: None,
    })
}

fn chosen(
    given: &str,
    must_say: bool,
    check: impl Fn(&str) -> Result<(), id::IdError>,
    otherwise: impl Fn() -> String,
) -> Result<String, Refusal> {
    if given.is_empty() && !must_say {
        return Ok(otherwise());
    }
    check(given).map_err(|error| Refusal::id(&error))?;
    Ok(given.to_owned())
}
