//! Every error that the project gives out: D-Bus name, ZEGO's numeric code, text, advice.
//!
//! **A message that leaves the project ends with its code in brackets: `... [1002033]`.** [`sentence`] and
//! [`with_code`] make such messages, [`code_of`] reads them back.

mod codes;

pub use codes::CODES;

use std::fmt;
use std::str::FromStr;

/// The last part of a D-Bus error name, `org.zegod1.Error.NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorName {
    /// Wrong type, unknown key, illegal or too long id or text, bad channel, size or range.
    InvalidArgument,
    /// Publishing or sending without a room.
    NotLoggedIn,
    /// Second login in single-room mode, or to the same room.
    AlreadyLoggedIn,
    /// A room that is not logged in.
    RoomNotFound,
    /// The token was refused, or there is none.
    AuthenticationFailed,
    /// The same user id is in use.
    LoggedInElsewhere,
    /// The room has all the members it takes.
    RoomFull,
    /// The room server cannot be reached, and every retry is used up.
    ServerUnreachable,
    /// Somebody already publishes a stream of that id.
    StreamExists,
    /// The publish channel is in use.
    ChannelBusy,
    /// The token's privileges, or the server, do not allow it.
    Forbidden,
    /// Changing what is not published.
    NotPublishing,
    /// Changing what is not played.
    NotPlaying,
    /// More streams than can be played at once.
    TooManyStreams,
    /// No such camera, microphone or speaker.
    DeviceNotFound,
    /// Another program has the device.
    DeviceBusy,
    /// The device was pulled out.
    DeviceUnplugged,
    /// The device is there but cannot be used: no permission, no pictures, an input/output error.
    DeviceFailed,
    /// No such view, or not of that kind.
    ViewNotFound,
    /// Called too often.
    RateLimited,
    /// Not on this device, or not by this server.
    Unsupported,
    /// A bug: the journal has the details.
    Internal,
}

impl ErrorName {
    /// Every name, in the order of the API's table.
    pub const ALL: [ErrorName; 22] = [
        ErrorName::InvalidArgument,
        ErrorName::NotLoggedIn,
        ErrorName::AlreadyLoggedIn,
        ErrorName::RoomNotFound,
        ErrorName::AuthenticationFailed,
        ErrorName::LoggedInElsewhere,
        ErrorName::RoomFull,
        ErrorName::ServerUnreachable,
        ErrorName::StreamExists,
        ErrorName::ChannelBusy,
        ErrorName::Forbidden,
        ErrorName::NotPublishing,
        ErrorName::NotPlaying,
        ErrorName::TooManyStreams,
        ErrorName::DeviceNotFound,
        ErrorName::DeviceBusy,
        ErrorName::DeviceUnplugged,
        ErrorName::DeviceFailed,
        ErrorName::ViewNotFound,
        ErrorName::RateLimited,
        ErrorName::Unsupported,
        ErrorName::Internal,
    ];

    /// The name alone, `RoomNotFound`.
    pub const fn short(self) -> &'static str {
        let (_, short) = self.dbus_name().split_at(crate::names::ERROR_PREFIX.len());
        short
    }

    /// The whole D-Bus error name, `org.zegod1.Error.RoomNotFound`.
    pub const fn dbus_name(self) -> &'static str {
        match self {
            ErrorName::InvalidArgument => "org.zegod1.Error.InvalidArgument",
            ErrorName::NotLoggedIn => "org.zegod1.Error.NotLoggedIn",
            ErrorName::AlreadyLoggedIn => "org.zegod1.Error.AlreadyLoggedIn",
            ErrorName::RoomNotFound => "org.zegod1.Error.RoomNotFound",
            ErrorName::AuthenticationFailed => "org.zegod1.Error.AuthenticationFailed",
            ErrorName::LoggedInElsewhere => "org.zegod1.Error.LoggedInElsewhere",
            ErrorName::RoomFull => "org.zegod1.Error.RoomFull",
            ErrorName::ServerUnreachable => "org.zegod1.Error.ServerUnreachable",
            ErrorName::StreamExists => "org.zegod1.Error.StreamExists",
            ErrorName::ChannelBusy => "org.zegod1.Error.ChannelBusy",
            ErrorName::Forbidden => "org.zegod1.Error.Forbidden",
            ErrorName::NotPublishing => "org.zegod1.Error.NotPublishing",
            ErrorName::NotPlaying => "org.zegod1.Error.NotPlaying",
            ErrorName::TooManyStreams => "org.zegod1.Error.TooManyStreams",
            ErrorName::DeviceNotFound => "org.zegod1.Error.DeviceNotFound",
            ErrorName::DeviceBusy => "org.zegod1.Error.DeviceBusy",
            ErrorName::DeviceUnplugged => "org.zegod1.Error.DeviceUnplugged",
            ErrorName::DeviceFailed => "org.zegod1.Error.DeviceFailed",
            ErrorName::ViewNotFound => "org.zegod1.Error.ViewNotFound",
            ErrorName::RateLimited => "org.zegod1.Error.RateLimited",
            ErrorName::Unsupported => "org.zegod1.Error.Unsupported",
            ErrorName::Internal => "org.zegod1.Error.Internal",
        }
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.short())
    }
}

/// A D-Bus error name that is not one of zegod's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignErrorName;

impl fmt::Display for ForeignErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an error name of zegod")
    }
}

impl std::error::Error for ForeignErrorName {}

impl FromStr for ErrorName {
    type Err = ForeignErrorName;

    /// Reads the whole name, `org.zegod1.Error.RoomNotFound`, or its last part.
    fn from_str(name: &str) -> Result<ErrorName, ForeignErrorName> {
        let short = name.strip_prefix(crate::names::ERROR_PREFIX).unwrap_or(name);
        ErrorName::ALL.into_iter().find(|known| known.short() == short).ok_or(ForeignErrorName)
    }
}

/// One row of the table of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeInfo {
    /// ZEGO's number.
    pub code: i32,
    /// The D-Bus error that carries it.
    pub name: ErrorName,
    /// Its short name, lower case with underscores: for programs and searches.
    pub key: &'static str,
    /// What is wrong: a sentence without its full stop.
    pub text: &'static str,
    /// What to do: an imperative clause, lower case, without a full stop.
    pub advice: &'static str,
}

/// The table's row of a code.
pub fn lookup(code: i32) -> Option<&'static CodeInfo> {
    CODES.binary_search_by_key(&code, |row| row.code).ok().map(|row| &CODES[row])
}

/// The D-Bus error that carries a code; [`ErrorName::Internal`] for a code that is not in the table.
pub fn name_of(code: i32) -> ErrorName {
    lookup(code).map_or(ErrorName::Internal, |row| row.name)
}

/// The message of an error: what happened, what to do, and the code in brackets.
///
/// `detail` says what happened and names the room, stream or device, without a full stop; the table's advice is put
/// behind it. Empty: the table's own text. A detail that already ends with a code in brackets (a server's refusal
/// that is passed on) is kept as it is.
pub fn sentence(code: i32, detail: &str) -> String {
    if code_of(detail).is_some() {
        return detail.to_string();
    }
    let detail = detail.trim().trim_end_matches('.');
    match lookup(code) {
        Some(row) if detail.is_empty() => format!("{}; {} [{code}]", row.text, row.advice),
        Some(row) => format!("{detail}; {} [{code}]", row.advice),
        None if detail.is_empty() => format!("Error without a description [{code}]"),
        None => format!("{detail} [{code}]"),
    }
}

/// A message that already says what to do, with its code in brackets behind it. A code that it already ends with stays.
pub fn with_code(code: i32, message: &str) -> String {
    if code_of(message).is_some() {
        return message.to_string();
    }
    format!("{} [{code}]", message.trim().trim_end_matches('.'))
}

/// The code that a message ends with, `... [1002033]`.
pub fn code_of(message: &str) -> Option<i32> {
    let (_, code) = message.trim_end().strip_suffix(']')?.rsplit_once(" [")?;
    if !code.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    code.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_table_is_in_order_and_every_row_is_complete() {
        assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code), "sorted, without duplicates");
        let mut keys = HashSet::new();
        for row in CODES {
            assert_eq!(lookup(row.code), Some(row));
            assert!(keys.insert(row.key), "key {} is used twice", row.key);
            assert!(row.key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{}", row.key);
            assert!(row.text.starts_with(|c: char| c.is_ascii_uppercase()), "{}", row.text);
            assert!(row.advice.starts_with(|c: char| c.is_ascii_lowercase()), "{}", row.advice);
            for part in [row.text, row.advice] {
                assert!(!part.ends_with('.') && !part.contains('[') && !part.contains('\n'), "{part}");
            }
        }
    }

    /// The API's table of errors: each code it names has a row, under that name.
    #[test]
    fn the_codes_of_the_api_carry_its_names() {
        use ErrorName::*;
        for (name, codes) in [
            (InvalidArgument, &[1_000_014, 1_000_015, 1_000_016, 1_003_005, 1_009_001, 1_009_002, 1_006_031][..]),
            (InvalidArgument, &(1_002_005..=1_002_018).collect::<Vec<_>>()),
            (InvalidArgument, &[1_003_050, 1_003_051, 1_003_055, 1_003_056, 1_003_057, 1_003_058]),
            (NotLoggedIn, &[1_000_002]),
            (AlreadyLoggedIn, &[1_002_001]),
            (RoomNotFound, &[1_002_002]),
            (AuthenticationFailed, &[1_002_033, 1_002_067]),
            (AuthenticationFailed, &(1_002_074..=1_002_080).collect::<Vec<_>>()),
            (LoggedInElsewhere, &[1_002_086, 1_002_050]),
            (RoomFull, &[1_002_034]),
            (ServerUnreachable, &[1_002_030, 1_002_031, 1_002_053]),
            (StreamExists, &[1_003_028]),
            (ChannelBusy, &[1_003_023]),
            (Forbidden, &[1_003_025, 1_003_072, 1_004_003, 1_004_025]),
            (NotPublishing, &[1_003_001]),
            (NotPlaying, &[1_004_011]),
            (TooManyStreams, &[1_004_010]),
            (DeviceNotFound, &[1_006_002]),
            (DeviceBusy, &[1_006_005]),
            (DeviceUnplugged, &[1_006_006]),
            (RateLimited, &[1_009_015, 1_002_071]),
            (Unsupported, &[1_000_006]),
            (Internal, &[1_000_099]),
        ] {
            for code in codes {
                assert_eq!(lookup(*code).map(|row| row.name), Some(name), "{code}");
            }
        }
    }

    #[test]
    fn names_come_back_from_the_bus() {
        for name in ErrorName::ALL {
            assert_eq!(name.dbus_name().parse(), Ok(name));
            assert_eq!(name.short().parse(), Ok(name));
            assert_eq!(name.dbus_name(), format!("org.zegod1.Error.{name:?}"));
        }
        assert_eq!("org.freedesktop.DBus.Error.ServiceUnknown".parse::<ErrorName>(), Err(ForeignErrorName));
    }

    #[test]
    fn a_message_names_the_thing_says_what_to_do_and_ends_with_the_code() {
        assert_eq!(
            sentence(1_002_002, "Room 'lobby' is not logged in."),
            format!("Room 'lobby' is not logged in; {} [1002002]", lookup(1_002_002).unwrap().advice)
        );
        let bare = sentence(1_002_078, "");
        assert!(bare.starts_with("The token has expired; ") && bare.ends_with(" [1002078]"), "{bare}");
        assert_eq!(
            with_code(1_000_017, "Unknown key 'foo'; leave it out."),
            "Unknown key 'foo'; leave it out [1000017]"
        );
    }

    #[test]
    fn a_server_s_own_refusal_is_passed_on_unchanged() {
        let refusal = "The token has expired; make a new one [1002078]";
        assert_eq!(sentence(1_002_033, refusal), refusal);
        assert_eq!(with_code(1_002_033, refusal), refusal);
        assert_eq!(code_of(refusal), Some(1_002_078));
    }

    #[test]
    fn only_a_final_code_in_brackets_counts() {
        assert_eq!(code_of("room [1002078] is full"), None);
        assert_eq!(code_of("no [code]"), None);
        assert_eq!(code_of("no []"), None);
        assert_eq!(code_of("x [99999999999999]"), None);
        assert_eq!(code_of("x [-5]"), None);
        assert_eq!(code_of("x [1000099]\n"), Some(1_000_099));
    }

    #[test]
    fn an_unknown_code_is_internal() {
        assert_eq!(name_of(4711), ErrorName::Internal);
        assert_eq!(sentence(4711, "Strange"), "Strange [4711]");
    }
}
