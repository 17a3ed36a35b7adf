//! Why a server did not let us in, or not do something: from HTTP answers and request answers to codes.

use livekit_protocol as proto;
use livekit_signaling::SignalError as WireError;
use proto::request_response::Reason;
use zego_protocol::error::code_of;

use super::super::error::{DisconnectReason, SignalError};
use super::super::sentence::split;

/// A refusal without a code of its own.
const AUTHENTICATION_FAILED: i32 = 1_002_033;
/// The token cannot even be written into a request.
const TOKEN_MALFORMED: i32 = 1_002_075;
/// The token's privileges do not allow it.
const NOT_ALLOWED: i32 = 1_003_072;
/// Somebody else has a stream of that id.
const STREAM_EXISTS: i32 = 1_003_028;
/// The server has no more room for it.
const LIMIT: i32 = 1_003_025;

/// Somebody else has our place.
const LOGGED_IN_ELSEWHERE: i32 = 1_002_086;
/// The server does not do that for us.
const NOT_SUPPORTED: i32 = 1_000_006;
/// The server has trouble.
const ROOM_ERROR: i32 = 1_002_099;
/// The server has no such room, and joining does not make it.
const NO_ROOM: i32 = 1_002_002;
/// How servers say so: LiveKit's words.
const NO_ROOM_WORDS: &str = "requested room does not exist";
/// ZEGO's codes begin here; LiveKit's reasons are far below.
const FIRST_CODE: i32 = 1_000_000;

/// Why joining `server` (without its query) failed. Some servers repeat the token in their answer: it goes no further.
pub(super) fn join(server: &str, token: &str, error: WireError) -> SignalError {
    let shown = |text: &str| if token.is_empty() { text.to_owned() } else { text.replace(token, "(the token)") };
    let unreachable = |reason: String| SignalError::Unreachable { server: server.to_owned(), reason };
    let refused = |body: &str| self::token(token, body);
    match error {
        WireError::UrlParse(_) => SignalError::BadAddress(server.to_owned()),
        WireError::TokenFormat => SignalError::Refused {
            code: TOKEN_MALFORMED,
            message: "the token has characters that no token has".to_owned(),
        },
        WireError::Client(status, body) | WireError::Server(status, body) => {
            if status == 404 && body.contains(NO_ROOM_WORDS) {
                no_room()
            } else if code_of(&body).is_some() || status == 401 || status == 403 {
                refused(&body)
            } else if is_final(status.as_u16()) {
                SignalError::Protocol(format!("{server} answers {status}: {}", shown(body.trim())))
            } else {
                unreachable(format!("it answers {status}: {}", shown(body.trim())))
            }
        }
        WireError::Handshake { status } if status == 401 || status == 403 => refused(""),
        WireError::Handshake { status } if is_final(status.as_u16()) => {
            SignalError::Protocol(format!("{server} answers {status}"))
        }
        WireError::Handshake { status } => unreachable(format!("it answers {status}")),
        WireError::Timeout(_) => SignalError::Timeout("joining"),
        WireError::LeaveRequest { reason: proto::DisconnectReason::DuplicateIdentity, .. } => SignalError::Refused {
            code: LOGGED_IN_ELSEWHERE,
            message: "the user logged in from somewhere else meanwhile".to_owned(),
        },
        WireError::LeaveRequest { reason, .. } => {
            let (code, message) = split(&format!("the server says {}", reason.as_str_name()), AUTHENTICATION_FAILED);
            SignalError::Refused { code, message }
        }
        WireError::Closed => unreachable("it closed the connection".to_owned()),
        WireError::Connection(reason) => unreachable(reason),
        other => SignalError::Protocol(other.to_string()),
    }
}

/// The room is not there, and this server makes none for whoever joins.
fn no_room() -> SignalError {
    let message =
        "the server has no such room, and makes none by itself; check the room's id, or have it created first";
    SignalError::Refused { code: NO_ROOM, message: message.to_owned() }
}

/// Whether asking again changes nothing: there is no room server, or it wants TLS.
const fn is_final(status: u16) -> bool {
    matches!(status, 404 | 426)
}

/// Why a request was refused; `None` when it was not.
pub(super) fn request(response: &proto::RequestResponse) -> Option<SignalError> {
    let otherwise = match response.reason() {
        Reason::Ok | Reason::Queued => return None,
        Reason::DuplicateHandle | Reason::DuplicateName => STREAM_EXISTS,
        Reason::LimitExceeded => LIMIT,
        _ => NOT_ALLOWED,
    };
    let (code, message) = split(&response.message, otherwise);
    let message =
        if message.is_empty() { format!("the server says {}", response.reason().as_str_name()) } else { message };
    Some(SignalError::Refused { code, message })
}

/// Why a change of our attributes was refused; `None` when it was not. `too_long` is the code of a text that is.
pub(super) fn attribute(response: &proto::RequestResponse, too_long: i32) -> Option<SignalError> {
    let otherwise = match response.reason() {
        Reason::Ok | Reason::Queued => return None,
        Reason::NotAllowed => NOT_ALLOWED,
        Reason::UnsupportedType => NOT_SUPPORTED,
        Reason::LimitExceeded => too_long,
        _ => ROOM_ERROR,
    };
    let (code, message) = split(&response.message, otherwise);
    if code == NOT_ALLOWED {
        return Some(no_attributes());
    }
    let message =
        if message.is_empty() { format!("the server says {}", response.reason().as_str_name()) } else { message };
    Some(SignalError::Refused { code, message })
}

/// The token does not allow us attributes, which extra information is.
pub(super) fn no_attributes() -> SignalError {
    let message = "the server takes extra information only with a token that has canUpdateOwnMetadata; log in with one";
    SignalError::Refused { code: NOT_ALLOWED, message: message.to_owned() }
}

/// Why a token was refused; some servers repeat it in their answer.
pub(super) fn token(token: &str, body: &str) -> SignalError {
    let shown = if token.is_empty() { body.to_owned() } else { body.replace(token, "(the token)") };
    let (code, message) = split(&shown, AUTHENTICATION_FAILED);
    let message = if message.is_empty() { "the server refused the token".to_owned() } else { message };
    SignalError::Refused { code, message }
}

/// Why the server ended the session: a number of LiveKit's, or a code of ZEGO's from our own server.
pub(super) fn leave(reason: i32) -> DisconnectReason {
    use proto::DisconnectReason as Wire;
    if reason >= FIRST_CODE {
        return DisconnectReason::PutOut(reason);
    }
    let reason = Wire::try_from(reason).unwrap_or(Wire::UnknownReason);
    match reason {
        Wire::DuplicateIdentity => DisconnectReason::DuplicateIdentity,
        Wire::ParticipantRemoved => DisconnectReason::Removed,
        Wire::RoomDeleted | Wire::RoomClosed => DisconnectReason::RoomDeleted,
        Wire::ServerShutdown => DisconnectReason::ServerShutdown,
        Wire::StateMismatch | Wire::JoinFailure | Wire::Migration => DisconnectReason::StateMismatch,
        Wire::SignalClose | Wire::ConnectionTimeout | Wire::MediaFailure => {
            DisconnectReason::ConnectionLost(format!("the server says {}", reason.as_str_name()))
        }
        other => DisconnectReason::Other(other.as_str_name().to_owned()),
    }
}

/// What to do after a failed attempt to take a session up again.
#[derive(Debug)]
pub(super) enum Resume {
    /// It may work later.
    Again(String),
    /// It never will.
    Over(DisconnectReason),
}

/// Why taking a session up again failed.
pub(super) fn resume(error: WireError) -> Resume {
    match error {
        WireError::LeaveRequest { reason, .. } => Resume::Over(leave(reason as i32)),
        // Joining anew uses the newest token, and hears why it is refused.
        WireError::Handshake { status } if status == 401 || status == 403 || status == 404 => {
            Resume::Over(DisconnectReason::StateMismatch)
        }
        other => Resume::Again(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> http::StatusCode {
        http::StatusCode::from_u16(code).unwrap()
    }

    #[test]
    fn answers_become_errors() {
        // (what the wire says, what we say)
        let cases = [
            (
                WireError::Client(status(401), "The token expired; make a new one [1002078]\n".to_owned()),
                "1002078 The token expired; make a new one",
            ),
            (WireError::Client(status(403), "no [here] permission".to_owned()), "1002033 no [here] permission"),
            (
                WireError::Client(status(401), "invalid token: eyJ.x.y, error: old".to_owned()),
                "1002033 invalid token: (the token), error: old",
            ),
            (WireError::Client(status(401), String::new()), "1002033 the server refused the token"),
            (WireError::Client(status(429), "Slow down [1002071]".to_owned()), "1002071 Slow down"),
            (WireError::Server(status(503), "The room is full [1002034]".to_owned()), "1002034 The room is full"),
            (
                WireError::Client(status(404), "requested room does not exist".to_owned()),
                "1002002 the server has no such room, and makes none by itself; check the room's id, or have it created first",
            ),
            (
                WireError::Client(status(404), "<h1>Not Found</h1>".to_owned()),
                "the server does not speak the protocol: ws://h answers 404 Not Found: <h1>Not Found</h1>",
            ),
            (WireError::Handshake { status: status(401) }, "1002033 the server refused the token"),
            (WireError::TokenFormat, "1002075 the token has characters that no token has"),
            (
                WireError::Server(status(503), "busy".to_owned()),
                "ws://h cannot be reached: it answers 503 Service Unavailable: busy",
            ),
            (
                WireError::Handshake { status: status(404) },
                "the server does not speak the protocol: ws://h answers 404 Not Found",
            ),
            (
                WireError::Client(status(426), "use wss://\n".to_owned()),
                "the server does not speak the protocol: ws://h answers 426 Upgrade Required: use wss://",
            ),
            (WireError::Timeout("x".to_owned()), "no answer in time: joining"),
            (WireError::Connection("refused".to_owned()), "ws://h cannot be reached: refused"),
            (WireError::UrlParse("x".to_owned()), "ws://h is not a ws:// or wss:// address"),
        ];
        for (wire, expected) in cases {
            let text = format!("{wire:?}");
            let ours = match join("ws://h", "eyJ.x.y", wire) {
                SignalError::Refused { code, message } => format!("{code} {message}"),
                other => other.to_string(),
            };
            assert_eq!(ours, expected, "{text}");
        }
    }

    #[test]
    fn refused_attributes_have_codes() {
        let code = |reason: Reason, message: &str| {
            let response =
                proto::RequestResponse { reason: reason as i32, message: message.to_owned(), ..Default::default() };
            match attribute(&response, 1_003_051) {
                None => 0,
                Some(SignalError::Refused { code, message }) => {
                    assert!(!message.is_empty() && !message.contains('['), "{message}");
                    code
                }
                Some(other) => panic!("{other}"),
            }
        };
        assert_eq!(code(Reason::Ok, ""), 0);
        assert_eq!(code(Reason::NotAllowed, "does not have permission to update own metadata"), 1_003_072);
        assert_eq!(code(Reason::UnsupportedType, ""), 1_000_006);
        assert_eq!(code(Reason::LimitExceeded, "attributes size exceeds limits"), 1_003_051);
        assert_eq!(code(Reason::UnclassifiedError, ""), 1_002_099);
        assert_eq!(code(Reason::InvalidRequest, "One key only [1002017]"), 1_002_017);
    }

    #[test]
    fn refused_requests_have_codes() {
        let response = |reason: Reason, message: &str| proto::RequestResponse {
            reason: reason as i32,
            message: message.to_owned(),
            ..Default::default()
        };
        assert!(request(&response(Reason::Ok, "")).is_none());
        for (reason, message, expected) in [
            (Reason::DuplicateName, "Stream a is taken [1003028]", 1_003_028),
            (Reason::NotAllowed, "Stream a is taken [1003028]", 1_003_028),
            (Reason::NotAllowed, "no permission", 1_003_072),
            (Reason::DuplicateHandle, "", 1_003_028),
        ] {
            let Some(SignalError::Refused { code, message }) = request(&response(reason, message)) else { panic!() };
            assert_eq!(code, expected);
            assert!(!message.is_empty() && !message.contains('['), "{message}");
        }
    }
}
