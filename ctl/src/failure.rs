//! Why a command failed, how that is said, and which exit status it has.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;
use zego_protocol::error::{self, ErrorName};
use zego_protocol::names;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The daemon, or a part that needs none, refused. Status 1.
    Refused {
        /// `RoomNotFound`, or the whole name of an error that is not zegod's.
        name: String,
        /// ZEGO's code, if the message ends with one.
        code: Option<i32>,
        /// The sentence.
        message: String,
        /// A line of advice of zegoctl's own.
        hint: Option<String>,
    },
    /// The command cannot mean anything. Status 2.
    Usage(String),
    /// Neither zegod nor the bus is there, or it went away. Status 3.
    NoDaemon(String),
    /// What is wrong was printed already. Status 1.
    Told,
    /// Whoever read the output has stopped. Status 0, and not a word.
    ReaderGone,
}

impl Failure {
    /// A refusal by one of zegod's codes.
    pub fn refused(code: i32, detail: &str) -> Failure {
        let name = error::name_of(code).short().to_string();
        Failure::Refused { name, code: Some(code), message: error::sentence(code, detail), hint: None }
    }

    /// Something on this side failed: a file, standard output.
    pub fn local(message: String) -> Failure {
        Failure::Refused { name: "Failed".to_string(), code: None, message, hint: None }
    }

    /// The same with a line of advice, when it is a refusal.
    pub fn with_hint(self, hint: impl FnOnce() -> String) -> Failure {
        match self {
            Failure::Refused { name, code, message, .. } => {
                Failure::Refused { name, code, message, hint: Some(hint()) }
            }
            other => other,
        }
    }

    /// Its code, if it is a refusal with one.
    pub fn code(&self) -> Option<i32> {
        match self {
            Failure::Refused { code, .. } => *code,
            _ => None,
        }
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Failure::ReaderGone => 0,
            Failure::Refused { .. } | Failure::Told => 1,
            Failure::Usage(_) => 2,
            Failure::NoDaemon(_) => 3,
        }
    }

    /// The lines for standard error.
    pub fn text(&self, json: bool) -> String {
        let (name, code, message, hint) = match self {
            Failure::ReaderGone | Failure::Told => return String::new(),
            Failure::Refused { name, code, message, hint } => (name.as_str(), *code, message, hint.as_deref()),
            Failure::Usage(message) => ("Usage", None, message, None),
            Failure::NoDaemon(message) => ("NoDaemon", None, message, Some("`zegoctl doctor` says what to do.")),
        };
        if json {
            let key = code.and_then(error::lookup).map(|row| row.key);
            return format!("{}\n", json!({"error": {"name": name, "code": code, "key": key, "message": message}}));
        }
        let code = code.map_or_else(String::new, |code| format!(" {code}"));
        let hint = hint.map_or_else(String::new, |hint| format!("{}\n", crate::output::plain(hint)));
        format!("zegoctl: {name}{code}: {}\n{hint}", crate::output::plain(message))
    }

    /// Prints it on standard error.
    pub fn report(self, json: bool) -> ExitCode {
        // Nothing is left to be done when standard error is closed, too.
        let _ = io::stderr().write_all(self.text(json).as_bytes());
        ExitCode::from(self.status())
    }
}

impl From<io::Error> for Failure {
    /// For writes to standard output.
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::local(format!("Standard output cannot be written: {error}")),
        }
    }
}

impl From<zbus::Error> for Failure {
    fn from(error: zbus::Error) -> Failure {
        use zbus::fdo;
        match error {
            zbus::Error::MethodError(name, message, _) => from_name(name.as_str(), message.unwrap_or_default()),
            zbus::Error::FDO(error) => match *error {
                fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_) => {
                    Failure::NoDaemon(format!("zegod is not running: nobody owns {} on this bus", names::BUS_NAME))
                }
                fdo::Error::NoReply(_) | fdo::Error::Timeout(_) | fdo::Error::TimedOut(_) => {
                    Failure::NoDaemon("zegod does not answer".to_string())
                }
                fdo::Error::Disconnected(message) => Failure::NoDaemon(format!("the bus is gone: {message}")),
                other => {
                    let name = zbus::DBusError::name(&other).to_string();
                    let message = zbus::DBusError::description(&other).unwrap_or_default().to_string();
                    from_name(&name, message)
                }
            },
            zbus::Error::Connection(error, address) => {
                Failure::NoDaemon(format!("the bus at {address} cannot be reached: {error}"))
            }
            zbus::Error::InputOutput(error) => Failure::NoDaemon(format!("the bus cannot be reached: {error}")),
            error @ (zbus::Error::Address(_) | zbus::Error::Handshake(_)) => {
                Failure::NoDaemon(format!("the bus cannot be reached: {error}"))
            }
            other => Failure::Refused {
                name: ErrorName::Internal.short().to_string(),
                code: Some(1_000_099),
                message: error::sentence(1_000_099, &format!("zegod's answer was not understood: {other}")),
                hint: None,
            },
        }
    }
}

impl From<zbus::fdo::Error> for Failure {
    fn from(error: zbus::fdo::Error) -> Failure {
        Failure::from(zbus::Error::FDO(Box::new(error)))
    }
}

fn from_name(name: &str, message: String) -> Failure {
    let code = error::code_of(&message);
    if let Ok(known) = name.parse::<ErrorName>() {
        return Failure::Refused { name: known.short().to_string(), code, message, hint: None };
    }
    // The daemon is installed, and the bus could not start it.
    if name.starts_with("org.freedesktop.DBus.Error.Spawn.") || name.starts_with("org.freedesktop.systemd1.") {
        return Failure::NoDaemon(format!("zegod could not be started: {message}"));
    }
    let failure = Failure::Refused { name: name.to_string(), code, message, hint: None };
    match name {
        "org.freedesktop.DBus.Error.AccessDenied" => failure
            .with_hint(|| "Only root and the members of group zegod may use zegod on the system bus.".to_string()),
        "org.freedesktop.DBus.Error.UnknownMethod" => {
            failure.with_hint(|| "This zegod does not have that call; is it older than zegoctl?".to_string())
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_name_code_and_sentence() {
        let failure = from_name("org.zegod1.Error.RoomNotFound", "Room 'x' is not logged in [1002002]".to_string());
        assert_eq!(failure.status(), 1);
        assert_eq!(failure.text(false), "zegoctl: RoomNotFound 1002002: Room 'x' is not logged in [1002002]\n");
        let json: serde_json::Value = serde_json::from_str(&failure.text(true)).unwrap();
        assert_eq!(json["error"]["name"], "RoomNotFound");
        assert_eq!(json["error"]["code"], 1_002_002);
        assert_eq!(json["error"]["key"], "room_not_found");
    }

    #[test]
    fn a_missing_daemon_has_status_3() {
        use zbus::fdo::Error as Fdo;
        for error in [
            zbus::Error::FDO(Box::new(Fdo::ServiceUnknown("no".into()))),
            zbus::Error::FDO(Box::new(Fdo::NoReply("no".into()))),
            zbus::Error::InputOutput(std::sync::Arc::new(io::Error::other("no"))),
            zbus::Error::Address("no".into()),
        ] {
            assert_eq!(Failure::from(error).status(), 3);
        }
        assert_eq!(from_name("org.freedesktop.DBus.Error.Spawn.ChildExited", "no".into()).status(), 3);
    }

    #[test]
    fn strangers_are_told_which_group_they_lack() {
        let failure = Failure::from(zbus::Error::FDO(Box::new(zbus::fdo::Error::AccessDenied("no".into()))));
        assert_eq!(failure.status(), 1);
        assert!(failure.text(false).contains("group zegod"), "{}", failure.text(false));
    }

    #[test]
    fn a_closed_pipe_is_quiet() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.status(), failure.text(false)), (0, String::new()));
    }
}
