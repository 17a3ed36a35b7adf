//! Twirp (v7): how calls and their answers and failures are written.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Where its calls go.
pub const PREFIX: &str = "/twirp/";

/// A failure as Twirp writes it: a code of its list, and a sentence.
#[derive(Debug)]
pub struct Failure {
    code: &'static str,
    message: String,
}

impl Failure {
    /// A failure with a code of Twirp's list.
    pub fn new(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.code {
            "malformed" | "invalid_argument" => StatusCode::BAD_REQUEST,
            "unauthenticated" => StatusCode::UNAUTHORIZED,
            "not_found" | "bad_route" => StatusCode::NOT_FOUND,
            "failed_precondition" => StatusCode::PRECONDITION_FAILED,
            "unimplemented" => StatusCode::NOT_IMPLEMENTED,
            "resource_exhausted" => StatusCode::TOO_MANY_REQUESTS,
            "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let body = json!({"code": self.code, "msg": self.message}).to_string();
        (status, [(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// How a call and its answer are written.
#[derive(Clone, Copy)]
pub enum Encoding {
    /// JSON.
    Json,
    /// Protobuf.
    Protobuf,
}

impl Encoding {
    /// What the caller says that it wrote.
    pub fn of(headers: &HeaderMap) -> Result<Encoding, Failure> {
        let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match named.split(';').next().unwrap_or_default().trim() {
            "application/json" => Ok(Encoding::Json),
            "application/protobuf" => Ok(Encoding::Protobuf),
            other => Err(Failure::new("bad_route", format!("content type '{other}' is neither JSON nor protobuf"))),
        }
    }

    /// Reads a call.
    pub fn read<T: Message + Default + DeserializeOwned>(self, body: &[u8]) -> Result<T, Failure> {
        let read = match self {
            Encoding::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
            Encoding::Protobuf => T::decode(body).map_err(|error| error.to_string()),
        };
        read.map_err(|problem| Failure::new("malformed", format!("the request cannot be read: {problem}")))
    }

    /// Writes an answer.
    pub fn write<T: Message + Serialize>(self, answer: &T) -> Result<Response, Failure> {
        let (named, body) = match self {
            Encoding::Json => {
                let value =
                    serde_json::to_value(answer).map_err(|error| Failure::new("internal", error.to_string()))?;
                ("application/json", proto_names(value).to_string().into_bytes())
            }
            Encoding::Protobuf => ("application/protobuf", answer.encode_to_vec()),
        };
        Ok(([(CONTENT_TYPE, named)], body).into_response())
    }
}

/// Names fields as the protocol's files do (`num_participants`), which is what LiveKit's servers answer. Names of attributes and tags
/// are their users' and stay.
fn proto_names(value: Value) -> Value {
    match value {
        Value::Array(all) => all.into_iter().map(proto_names).collect(),
        Value::Object(fields) => {
            let renamed = fields.into_iter().map(|(name, value)| match name.as_str() {
                "attributes" | "tags" => (name, value),
                _ => (snake_case(&name), proto_names(value)),
            });
            Value::Object(renamed.collect())
        }
        other => other,
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_name_fields_as_the_protocol_does_and_leave_users_names_alone() {
        let given = json!({"rooms": [{"numParticipants": 1, "sid": "RM_x"}], "attributes": {"myKey": "aB"}});
        let expected = json!({"rooms": [{"num_participants": 1, "sid": "RM_x"}], "attributes": {"myKey": "aB"}});
        assert_eq!(proto_names(given), expected);
    }
}
