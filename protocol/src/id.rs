//! Identifiers and texts of the API: limits, character sets, and the code that says which rule is broken.
//!
//! Lengths are in bytes of UTF-8. Limits "under N" exclude N itself.

use crate::error;

/// A room id has fewer bytes than this.
pub const ROOM_ID_LIMIT: usize = 128;
/// A user id has fewer bytes than this.
pub const USER_ID_LIMIT: usize = 64;
/// A user name has fewer bytes than this.
pub const USER_NAME_LIMIT: usize = 256;
/// A stream id has fewer bytes than this.
pub const STREAM_ID_LIMIT: usize = 256;
/// A key of a room's extra information has fewer bytes than this.
pub const ROOM_EXTRA_INFO_KEY_LIMIT: usize = 128;
/// A value of a room's extra information has at most this many bytes.
pub const ROOM_EXTRA_INFO_VALUE_MAX: usize = 128;
/// A stream's extra information has fewer bytes than this.
pub const STREAM_EXTRA_INFO_LIMIT: usize = 1024;
/// A message has at most this many bytes.
pub const MESSAGE_MAX: usize = 1024;
/// Publish channels are numbered from 0 to one below this.
pub const CHANNEL_COUNT: i32 = 4;
/// The loudest volume; 100 is "as it is", 0 is silence.
pub const VOLUME_MAX: i32 = 200;
/// How many streams can be played at once.
pub const PLAYER_MAX: usize = 20;

/// What room and user ids may hold besides ASCII letters and digits. ZEGO's list shows a typographic apostrophe; the
/// ASCII one is meant, and both are taken.
const ROOM_AND_USER_MARKS: &str = "~!@#$%^&*()_+=-`;'’,.<>\\";

/// An identifier or text that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct IdError {
    code: i32,
    detail: String,
}

impl IdError {
    fn new(code: i32, detail: String) -> IdError {
        IdError { code, detail }
    }

    /// ZEGO's code of the broken rule.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// The whole message: what is wrong, what to do, the code in brackets.
    pub fn sentence(&self) -> String {
        error::sentence(self.code, &self.detail)
    }
}

/// Checks a room id: 1 to 127 bytes of letters, digits and ``~!@#$%^&*()_+=-`;',.<>\``.
///
/// # Errors
/// 1002011 empty, 1002013 too long, 1002012 illegal character.
pub fn room_id(id: &str) -> Result<(), IdError> {
    filled("The room id", id, 1_002_011)?;
    shorter("The room id", id, ROOM_ID_LIMIT, 1_002_013)?;
    of_characters("room id", id, is_room_or_user_character, 1_002_012)
}

/// Checks a user id: 1 to 63 bytes of the room id's characters.
///
/// # Errors
/// 1002005 empty, 1002007 too long, 1002006 illegal character.
pub fn user_id(id: &str) -> Result<(), IdError> {
    filled("The user id", id, 1_002_005)?;
    shorter("The user id", id, USER_ID_LIMIT, 1_002_007)?;
    of_characters("user id", id, is_room_or_user_character, 1_002_006)
}

/// Checks a user name: under 256 bytes, no control characters. An empty one stands for the user id.
///
/// # Errors
/// 1002010 too long, 1002009 illegal character.
pub fn user_name(name: &str) -> Result<(), IdError> {
    shorter("The user name", name, USER_NAME_LIMIT, 1_002_010)?;
    of_characters("user name", name, |c| !c.is_control(), 1_002_009)
}

/// Checks a stream id: 1 to 255 letters, digits, `-` and `_`.
///
/// # Errors
/// 1000015 empty, 1000014 too long, 1000016 illegal character.
pub fn stream_id(id: &str) -> Result<(), IdError> {
    filled("The stream id", id, 1_000_015)?;
    shorter("The stream id", id, STREAM_ID_LIMIT, 1_000_014)?;
    of_characters("stream id", id, |c| c.is_ascii_alphanumeric() || c == '-' || c == '_', 1_000_016)
}

/// Checks a key of a room's extra information: 1 to 127 bytes.
///
/// # Errors
/// 1002014 empty, 1002015 too long.
pub fn room_extra_info_key(key: &str) -> Result<(), IdError> {
    filled("The key of the room's extra information", key, 1_002_014)?;
    shorter("The key of the room's extra information", key, ROOM_EXTRA_INFO_KEY_LIMIT, 1_002_015)
}

/// Checks a value of a room's extra information: up to 128 bytes.
///
/// # Errors
/// 1002016 too long.
pub fn room_extra_info_value(value: &str) -> Result<(), IdError> {
    shorter("The value of the room's extra information", value, ROOM_EXTRA_INFO_VALUE_MAX + 1, 1_002_016)
}

/// Checks a stream's extra information: under 1024 bytes.
///
/// # Errors
/// 1003051 too long.
pub fn stream_extra_info(text: &str) -> Result<(), IdError> {
    shorter("The stream's extra information", text, STREAM_EXTRA_INFO_LIMIT, 1_003_051)
}

/// Checks a broadcast message, barrage message or custom command: 1 to 1024 bytes.
///
/// # Errors
/// 1009001 empty, 1009002 too long.
pub fn message(text: &str) -> Result<(), IdError> {
    filled("The message", text, 1_009_001)?;
    shorter("The message", text, MESSAGE_MAX + 1, 1_009_002)
}

/// Checks a publish channel: 0 (main), 1 (aux), 2 or 3.
///
/// # Errors
/// 1000017 out of range.
pub fn channel(number: i32) -> Result<(), IdError> {
    between("Channel", number, 0, CHANNEL_COUNT - 1)
}

/// Checks a volume: 0 to 200.
///
/// # Errors
/// 1000017 out of range.
pub fn volume(value: i32) -> Result<(), IdError> {
    between("Volume", value, 0, VOLUME_MAX)
}

/// Checks an AppID: not 0.
///
/// # Errors
/// 1001000.
pub fn app_id(id: u32) -> Result<(), IdError> {
    if id == 0 {
        return Err(IdError::new(1_001_000, "The AppID is 0".to_string()));
    }
    Ok(())
}

fn is_room_or_user_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || ROOM_AND_USER_MARKS.contains(c)
}

fn filled(what: &str, text: &str, code: i32) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::new(code, format!("{what} is empty")));
    }
    Ok(())
}

fn shorter(what: &str, text: &str, limit: usize, code: i32) -> Result<(), IdError> {
    if text.len() >= limit {
        return Err(IdError::new(code, format!("{what} is {} bytes long", text.len())));
    }
    Ok(())
}

fn of_characters(what: &str, text: &str, legal: impl Fn(char) -> bool, code: i32) -> Result<(), IdError> {
    match text.chars().find(|c| !legal(*c)) {
        // Escaped: a control character in an error message could play tricks on a terminal.
        Some(c) => Err(IdError::new(
            code,
            format!("The {what} '{}' has an illegal character, '{}'", text.escape_debug(), c.escape_debug()),
        )),
        None => Ok(()),
    }
}

fn between(what: &str, value: i32, least: i32, most: i32) -> Result<(), IdError> {
    if !(least..=most).contains(&value) {
        return Err(IdError::new(1_000_017, format!("{what} {value} is not between {least} and {most}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(result: Result<(), IdError>) -> i32 {
        result.err().map_or(0, |e| e.code())
    }

    #[test]
    fn each_broken_rule_has_its_code() {
        for (result, expected) in [
            (room_id("lobby"), 0),
            (room_id("Tom's room;~!@#$%^&*()_+=-`,.<>\\".replace(' ', "_").as_str()), 0),
            (room_id("it’s"), 0),
            (room_id(""), 1_002_011),
            (room_id("a b"), 1_002_012),
            (room_id("a/b"), 1_002_012),
            (room_id("a\"b"), 1_002_012),
            (room_id("räume"), 1_002_012),
            (room_id(&"r".repeat(127)), 0),
            (room_id(&"r".repeat(128)), 1_002_013),
            (user_id("user1"), 0),
            (user_id(""), 1_002_005),
            (user_id("user\n"), 1_002_006),
            (user_id("a|b"), 1_002_006),
            (user_id(&"u".repeat(63)), 0),
            (user_id(&"u".repeat(64)), 1_002_007),
            (user_name(""), 0),
            (user_name("Äpfel & Birnen 🍐"), 0),
            (user_name("bell\u{7}"), 1_002_009),
            (user_name(&"n".repeat(255)), 0),
            (user_name(&"ä".repeat(128)), 1_002_010),
            (stream_id("door-cam_1"), 0),
            (stream_id(""), 1_000_015),
            (stream_id("door cam"), 1_000_016),
            (stream_id("door.cam"), 1_000_016),
            (stream_id(&"s".repeat(255)), 0),
            (stream_id(&"s".repeat(256)), 1_000_014),
            (room_extra_info_key(""), 1_002_014),
            (room_extra_info_key(&"k".repeat(127)), 0),
            (room_extra_info_key(&"k".repeat(128)), 1_002_015),
            (room_extra_info_value(""), 0),
            (room_extra_info_value(&"v".repeat(128)), 0),
            (room_extra_info_value(&"v".repeat(129)), 1_002_016),
            (stream_extra_info(&"x".repeat(1023)), 0),
            (stream_extra_info(&"x".repeat(1024)), 1_003_051),
            (message(""), 1_009_001),
            (message(&"m".repeat(1024)), 0),
            (message(&"m".repeat(1025)), 1_009_002),
            (channel(0), 0),
            (channel(3), 0),
            (channel(4), 1_000_017),
            (channel(-1), 1_000_017),
            (volume(200), 0),
            (volume(201), 1_000_017),
            (app_id(0), 1_001_000),
        ] {
            assert_eq!(code(result.clone()), expected, "{result:?}");
        }
    }

    #[test]
    fn the_message_names_the_id_and_ends_with_the_code() {
        let message = stream_id("a b").unwrap_err().sentence();
        assert!(message.starts_with("The stream id 'a b' has an illegal character, ' '; "), "{message}");
        assert!(message.ends_with(" [1000016]"), "{message}");
    }

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert!(!user_id("\u{1b}[2J").unwrap_err().sentence().contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn whatever_is_given_ends_in_ok_or_a_known_code(text in ".{0,300}") {
            for check in [room_id, user_id, user_name, stream_id, message] {
                if let Err(e) = check(&text) {
                    prop_assert!(error::lookup(e.code()).is_some());
                    prop_assert_eq!(error::code_of(&e.sentence()), Some(e.code()));
                }
            }
        }

        #[test]
        fn a_legal_stream_id_is_a_legal_room_id_part(id in "[A-Za-z0-9_-]{1,63}") {
            prop_assert!(stream_id(&id).is_ok() && room_id(&id).is_ok() && user_id(&id).is_ok());
        }
    }
}
