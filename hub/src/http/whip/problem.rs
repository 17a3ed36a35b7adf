//! Why something was not done, as HTTP says it (RFC 9457).

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use zego_protocol::error::with_code;

use crate::http::admission::Refusal;
use crate::rooms::Denial;

/// An argument is illegal.
const BAD_REQUEST: i32 = 1_000_017;
/// The hub or the room has no place now: whoever tries again soon only adds to it.
const CROWDED_S: u64 = 10;
/// A stream that is not there yet is worth asking for again so soon.
const NOT_YET_S: u64 = 2;

/// A status and one sentence that ends with ZEGO's code in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem whose sentence has its code already.
    pub fn new(status: StatusCode, detail: String) -> Problem {
        Problem { status, detail, retry_after_s: None }
    }

    /// The request itself is wrong; `detail` says what it should be.
    pub fn request(status: StatusCode, detail: &str) -> Problem {
        Problem::new(status, with_code(BAD_REQUEST, detail))
    }

    /// There is no session at this URL, or no more.
    pub fn no_session() -> Problem {
        Problem::request(StatusCode::NOT_FOUND, "There is no such session; it has ended, or never was")
    }

    /// The hub ends.
    pub fn ending() -> Problem {
        let ending = Problem::request(StatusCode::SERVICE_UNAVAILABLE, "The hub is ending; try again when it is back");
        Problem { retry_after_s: Some(CROWDED_S), ..ending }
    }

    /// The same, which may be over after so many seconds.
    pub fn retry_after(self, seconds: Option<u64>) -> Problem {
        Problem { retry_after_s: seconds, ..self }
    }

    /// The HTTP status.
    #[cfg(test)]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Problem {
        let refusal = Refusal::room(&denial);
        let (status, retry_after_s) = match denial {
            Denial::Full(_) => (StatusCode::SERVICE_UNAVAILABLE, Some(CROWDED_S)),
            Denial::NothingToWatch(_) => (StatusCode::CONFLICT, Some(NOT_YET_S)),
            _ => (StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::FORBIDDEN), None),
        };
        Problem { status, detail: refusal.message, retry_after_s }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let body = json!({"status": self.status.as_u16(), "title": title, "detail": self.detail}).to_string();
        let mut response = (self.status, [(CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_come_later_is_told_when() {
        let cases = [
            (Denial::Full("f".into()), 503, Some("10")),
            (Denial::NothingToWatch("n".into()), 409, Some("2")),
            (Denial::StreamTaken("s".into()), 409, None),
            (Denial::Forbidden("f".into()), 403, None),
            (Denial::NoRoom("n".into()), 404, None),
        ];
        for (denial, status, retry_after) in cases {
            let response = Problem::from(denial.clone()).into_response();
            assert_eq!(response.status().as_u16(), status, "{denial:?}");
            let said = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            assert_eq!(said, retry_after, "{denial:?}");
        }
    }
}
