//! What an endpoint's answer means.

use std::time::Duration;

use zego_protocol::error::code_of;

use super::Direction;
use super::http::{Answer, shown};
use crate::signal::sentence;

/// Longest wait that an endpoint can ask for.
const LONGEST_WAIT_S: u64 = 60;
/// Letters of an answer's text that a message has room for.
const TEXT_LIMIT: usize = 300;

/// The table's codes.
const NOT_SUPPORTED: i32 = 1_000_006;
const ARGUMENT: i32 = 1_000_017;
const AUTHENTICATION_FAILED: i32 = 1_002_033;
const NO_CODEC: i32 = 1_003_010;
const STREAM_EXISTS: i32 = 1_003_028;
const PUBLISH_NOT_ALLOWED: i32 = 1_003_072;
const PUBLISH_FAILED: i32 = 1_003_099;
const PLAY_FAILED: i32 = 1_004_001;
const PLAY_FORBIDDEN: i32 = 1_004_025;
const PLAY_REFUSED: i32 = 1_004_099;

/// Why a session ended, or did not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Asking again would change nothing.
    Refused {
        /// ZEGO's code.
        code: i32,
        /// What the endpoint says, without the code.
        message: String,
    },
    /// It may work later.
    Again {
        /// What went wrong.
        why: String,
        /// The endpoint does not want to be asked before.
        after: Option<Duration>,
    },
    /// What is to be played is not there yet.
    NotYet {
        /// The endpoint does not want to be asked before.
        after: Option<Duration>,
    },
}

impl End {
    /// Something went wrong that may not be so next time.
    pub(super) const fn again(why: String) -> Self {
        Self::Again { why, after: None }
    }

    /// The endpoint does not do what the protocol says.
    pub(super) const fn protocol(message: String) -> Self {
        Self::Refused { code: NOT_SUPPORTED, message }
    }
}

/// Nothing that the answer accepts can be encoded here.
pub(super) fn no_codec(answer: &Answer) -> End {
    let message = format!("{} does not accept H.264, the only codec that is encoded here", shown(&answer.url));
    End::Refused { code: NO_CODEC, message }
}

/// The description in an answer cannot be used.
pub(super) fn unusable(direction: Direction, answer: &Answer, why: &str) -> End {
    let code = match direction {
        Direction::Publish => PUBLISH_FAILED,
        Direction::Play => PLAY_REFUSED,
    };
    End::Refused {
        code,
        message: format!("{} answers with a description that cannot be used: {why}", shown(&answer.url)),
    }
}

/// Why an endpoint did not begin a session. What it says may repeat the token, which goes no further.
pub(super) fn refusal(direction: Direction, token: &str, answer: &Answer) -> End {
    let seconds = answer.header("retry-after").and_then(|value| value.trim().parse::<u64>().ok());
    let after = seconds.map(|seconds| Duration::from_secs(seconds.min(LONGEST_WAIT_S)));
    let text = text(&answer.body);
    let text = if token.is_empty() { text } else { text.replace(token, "(the token)") };
    let (place, status) = (shown(&answer.url), answer.status);
    let publishes = direction == Direction::Publish;
    let code = match status {
        404 | 409 | 410 if !publishes => return End::NotYet { after },
        401 | 407 => AUTHENTICATION_FAILED,
        403 if publishes => PUBLISH_NOT_ALLOWED,
        403 => PLAY_FORBIDDEN,
        404 | 410 => ARGUMENT,
        406 if publishes => NO_CODEC,
        406 => PLAY_FAILED,
        409 => STREAM_EXISTS,
        408 | 425 | 429 | 500 | 502..=599 => {
            return End::Again { why: told(&place, status, &text), after };
        }
        200..=399 | 405 | 415 | 426 | 501 => NOT_SUPPORTED,
        _ if publishes => PUBLISH_FAILED,
        _ => PLAY_REFUSED,
    };
    // Our own server says it by the code as well.
    let (code, message) = match code_of(&text) {
        Some(_) => sentence::split(&text, code),
        None => (code, told(&place, status, &text)),
    };
    End::Refused { code, message }
}

fn told(place: &str, status: u16, text: &str) -> String {
    let meaning = match status {
        404 | 410 => "there is no endpoint at this address",
        200..=399 | 405 | 415 | 426 | 501 => "it does not speak WHIP or WHEP as this address was given",
        401 => "it wants another token",
        _ => "",
    };
    let said = if text.is_empty() { meaning } else { text };
    match said {
        "" => format!("{place} answers {status}"),
        said => format!("{place} answers {status}: {said}"),
    }
}

/// What an answer says in words: a problem (RFC 9457), or a line of plain text. Pages are for browsers.
fn text(body: &str) -> String {
    let problem = serde_json::from_str::<serde_json::Value>(body).ok();
    let field = |name: &str| problem.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let told = ["detail", "title", "error", "message"].into_iter().find_map(field);
    let told = told.unwrap_or_else(|| match body.trim_start().chars().next() {
        Some('<' | '{' | '[') | None => String::new(),
        Some(_) => body.lines().next().unwrap_or_default().trim().to_owned(),
    });
    told.chars().take(TEXT_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderMap, RETRY_AFTER};

    fn answer(status: u16, retry_after: Option<&str>, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, value.parse().unwrap());
        }
        let url = "http://h/whip?secret=1".parse().unwrap();
        Answer { status, headers, body: body.to_owned(), url }
    }

    #[test]
    fn answers_become_ends() {
        use Direction::{Play, Publish};
        let problem = r#"{"status":409,"title":"Conflict","detail":"Stream 'a' is taken [1003028]"}"#;
        // (direction, status, Retry-After, body; what it means)
        let cases = [
            (Publish, 401, None, "", "1002033 http://h/whip answers 401: it wants another token"),
            (Publish, 401, None, "expired [1002078]\n", "1002078 expired"),
            (Publish, 401, None, "bad token eyJ.x", "1002033 http://h/whip answers 401: bad token (the token)"),
            (Publish, 403, None, "no", "1003072 http://h/whip answers 403: no"),
            (Play, 403, None, "no", "1004025 http://h/whip answers 403: no"),
            (Publish, 404, None, "", "1000017 http://h/whip answers 404: there is no endpoint at this address"),
            (Play, 404, None, "", "not yet None"),
            (Play, 409, Some("2"), "", "not yet Some(2s)"),
            (Publish, 409, None, problem, "1003028 Stream 'a' is taken"),
            (Publish, 406, None, "", "1003010 http://h/whip answers 406"),
            (Publish, 429, Some("7"), "slow", "again Some(7s) http://h/whip answers 429: slow"),
            (Play, 503, Some("9999"), "", "again Some(60s) http://h/whip answers 503"),
            (Play, 502, Some("Fri, 31 Dec 1999 23:59:59 GMT"), "<html>", "again None http://h/whip answers 502"),
            (Publish, 400, None, "{}", "1003099 http://h/whip answers 400"),
        ];
        for (direction, status, retry_after, body, expected) in cases {
            let told = match refusal(direction, "eyJ.x", &answer(status, retry_after, body)) {
                End::Refused { code, message } => format!("{code} {message}"),
                End::Again { why, after } => format!("again {after:?} {why}"),
                End::NotYet { after } => format!("not yet {after:?}"),
            };
            assert_eq!(told, expected, "{direction:?} {status}");
        }
        for status in [200, 204, 302, 405, 415, 501] {
            let end = refusal(Publish, "", &answer(status, None, ""));
            assert!(matches!(end, End::Refused { code: NOT_SUPPORTED, .. }), "{status}: {end:?}");
        }
    }
}
