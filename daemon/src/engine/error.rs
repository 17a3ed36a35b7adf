//! Why the engine refuses something: a code of the error table, and what happened.

use std::borrow::Cow;

use zego_protocol::error::{self, ErrorName};
use zego_protocol::id::IdError;
use zego_protocol::token::TokenError;

use crate::devices::DeviceError;
use crate::signal::SignalError;
use crate::views::ViewError;

/// A refused call, or the end of something that ran. The code says what kind it is, the message names the thing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// ZEGO's code, a row of the error table.
    pub code: i32,
    /// The D-Bus error that carries it.
    pub name: ErrorName,
    /// The whole sentence: what happened, what to do, the code in brackets.
    pub message: String,
}

impl EngineError {
    /// An error whose advice is the table's. `detail` names the room, stream or device.
    #[must_use]
    pub fn new(code: i32, detail: &str) -> Self {
        Self { code, name: error::name_of(code), message: error::sentence(code, &shortened(detail)) }
    }

    /// An error whose message says already what to do.
    #[must_use]
    pub fn told(code: i32, message: &str) -> Self {
        Self { code, name: error::name_of(code), message: error::with_code(code, &shortened(message)) }
    }

    /// An argument that cannot be.
    #[must_use]
    pub fn argument(message: &str) -> Self {
        Self::told(1_000_017, message)
    }

    /// What is not there yet.
    #[must_use]
    pub fn unsupported(message: &str) -> Self {
        Self::told(1_000_006, message)
    }

    /// A task that should be there is not.
    #[must_use]
    pub fn internal(detail: &str) -> Self {
        Self::new(1_000_099, detail)
    }

    /// A view that is not there, or not of the right kind. Shares its code with other illegal arguments.
    #[must_use]
    pub fn no_view(message: &str) -> Self {
        Self { name: ErrorName::ViewNotFound, ..Self::argument(message) }
    }

    /// What a failed session call means for `what` ("room 'lobby'", "stream 'door'"); `unreachable` is the code when no
    /// server said anything.
    #[must_use]
    pub fn from_signal(failure: &SignalError, what: &str, unreachable: i32) -> Self {
        match failure {
            SignalError::Refused { code, message } => Self::told(*code, &format!("{what}: {message}")),
            SignalError::BadAddress(_) => Self::argument(&format!("{what}: {failure}")),
            SignalError::Unreachable { .. }
            | SignalError::NotFound(_)
            | SignalError::Timeout(_)
            | SignalError::Protocol(_) => Self::new(unreachable, &format!("{what}: {failure}")),
            SignalError::Ended => Self::new(unreachable, &format!("{what}: the connection was lost")),
            SignalError::UnknownStream(_) => Self::new(1_004_002, &format!("{what}: {failure}")),
            SignalError::Rtc(_) => Self::new(1_000_099, &format!("{what}: {failure}")),
        }
    }
}

/// Most bytes of what a message says: it goes into a reply, a signal to everybody and the journal.
const MESSAGE_LIMIT: usize = 1024;

/// A message without its middle when it is longer than [`MESSAGE_LIMIT`]: what a caller gave can be megabytes long. The
/// beginning says what is wrong, the end what to do.
fn shortened(message: &str) -> Cow<'_, str> {
    if message.len() <= MESSAGE_LIMIT {
        return Cow::Borrowed(message);
    }
    let half = MESSAGE_LIMIT / 2 - '…'.len_utf8();
    let head = &message[..message.floor_char_boundary(half)];
    let tail = &message[message.ceil_char_boundary(message.len() - half)..];
    Cow::Owned(format!("{head}…{tail}"))
}

impl From<IdError> for EngineError {
    fn from(error: IdError) -> Self {
        Self { code: error.code(), name: error::name_of(error.code()), message: error.sentence() }
    }
}

impl From<TokenError> for EngineError {
    fn from(error: TokenError) -> Self {
        Self { code: error.code(), name: error::name_of(error.code()), message: error.sentence() }
    }
}

impl From<&DeviceError> for EngineError {
    fn from(error: &DeviceError) -> Self {
        Self::told(error.code(), &error.to_string())
    }
}

impl From<ViewError> for EngineError {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::NotFound { .. } | ViewError::NotATexture { .. } => Self::no_view(&error.to_string()),
            _ => Self::told(error.code(), &error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_server_keeps_its_code() {
        let refused = SignalError::Refused { code: 1_003_028, message: "It is taken; use another id".to_owned() };
        let error = EngineError::from_signal(&refused, "Stream 'door'", 1_003_099);
        assert_eq!((error.code, error.name), (1_003_028, ErrorName::StreamExists));
        assert_eq!(error.message, "Stream 'door': It is taken; use another id [1003028]");
    }

    #[test]
    fn a_huge_argument_does_not_make_a_huge_message() {
        for letter in ["x", "ß", "🚪"] {
            let room = letter.repeat(1_000_000);
            let error = EngineError::new(1_002_002, &format!("Room '{room}' is not logged in"));
            assert!(error.message.len() < 2 * MESSAGE_LIMIT, "{} bytes", error.message.len());
            assert!(error.message.starts_with("Room '") && error.message.contains("' is not logged in; "), "{error}");
            assert!(error.message.ends_with(" [1002002]"), "{error}");
            let told = EngineError::told(1_002_033, &format!("'{room}' was refused; read the log [1002078]"));
            assert!(told.message.ends_with("read the log [1002078]") && told.message.len() <= MESSAGE_LIMIT, "{told}");
        }
    }

    #[test]
    fn a_silent_server_is_unreachable() {
        let error = EngineError::from_signal(&SignalError::Timeout("joining"), "Room 'lobby'", 1_002_031);
        assert_eq!(error.name, ErrorName::ServerUnreachable);
        assert!(error.message.ends_with(" [1002031]"), "{error}");
    }
}
