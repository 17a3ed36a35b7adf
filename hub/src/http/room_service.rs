//! The administrators' calls: `livekit.RoomService` over Twirp (twirp v7: `POST /twirp/SERVICE/METHOD`, JSON or protobuf), as far as
//! this hub serves it.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use livekit_protocol as proto;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::oneshot;
use zego_protocol::token::verify_admin;

use super::{Door, bearer, unix_now_s};
use crate::core::Input;
use crate::rooms::{Administration, AdministrationError};

/// A failure as Twirp writes it: a code of its list, and a sentence.
struct Failure {
    code: &'static str,
    message: String,
}

impl Failure {
    fn new(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.code {
            "malformed" => StatusCode::BAD_REQUEST,
            "unauthenticated" => StatusCode::UNAUTHORIZED,
            "permission_denied" => StatusCode::FORBIDDEN,
            "not_found" | "bad_route" => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let body = json!({"code": self.code, "msg": self.message}).to_string();
        (status, [(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

impl From<AdministrationError> for Failure {
    fn from(error: AdministrationError) -> Failure {
        match error {
            AdministrationError::NoParticipant { .. } => Failure::new("not_found", error.to_string()),
        }
    }
}

/// How a call and its answer are written.
#[derive(Clone, Copy)]
enum Encoding {
    Json,
    Protobuf,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Encoding, Failure> {
        let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match named.split(';').next().unwrap_or_default().trim() {
            "application/json" => Ok(Encoding::Json),
            "application/protobuf" => Ok(Encoding::Protobuf),
            other => Err(Failure::new("bad_route", format!("content type '{other}' is neither JSON nor protobuf"))),
        }
    }

    fn read<T: Message + Default + DeserializeOwned>(self, body: &[u8]) -> Result<T, Failure> {
        let read = match self {
            Encoding::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
            Encoding::Protobuf => T::decode(body).map_err(|error| error.to_string()),
        };
        read.map_err(|problem| Failure::new("malformed", format!("the request cannot be read: {problem}")))
    }

    fn write<T: Message + Serialize>(self, answer: &T) -> Result<Response, Failure> {
        let (named, body) = match self {
            Encoding::Json => {
                let text = serde_json::to_vec(answer).map_err(|error| Failure::new("internal", error.to_string()))?;
                ("application/json", text)
            }
            Encoding::Protobuf => ("application/protobuf", answer.encode_to_vec()),
        };
        Ok(([(CONTENT_TYPE, named)], body).into_response())
    }
}

/// Serves one call.
pub(super) async fn serve(
    door: State<Door>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    call(&door, &method, &headers, &body).await.map_err(IntoResponse::into_response)
}

async fn call(door: &Door, method: &str, headers: &HeaderMap, body: &[u8]) -> Result<Response, Failure> {
    let encoding = Encoding::of(headers)?;
    match method {
        "RemoveParticipant" => {
            let asked: proto::RoomParticipantIdentity = encoding.read(body)?;
            let app = administered_app(door, headers, &asked.room)?;
            let (room, identity) = (asked.room, asked.identity);
            administer(door, Administration::RemoveParticipant { app, room, identity }).await?;
            encoding.write(&proto::RemoveParticipantResponse::default())
        }
        other => Err(Failure::new("bad_route", format!("this server has no method '{other}' of RoomService"))),
    }
}

/// The AppID whose room the caller's token lets it administer.
fn administered_app(door: &Door, headers: &HeaderMap, room: &str) -> Result<String, Failure> {
    let token = bearer(headers).unwrap_or_default();
    let refused = |error: zego_protocol::token::TokenError| Failure::new("unauthenticated", error.sentence());
    let claims = verify_admin(token, &door.apps, unix_now_s()).map_err(refused)?;
    match claims.room_id {
        Some(only) if only != room => {
            Err(Failure::new("permission_denied", format!("the token administers room '{only}', not '{room}'")))
        }
        _ => Ok(claims.app_id),
    }
}

async fn administer(door: &Door, asked: Administration) -> Result<(), Failure> {
    let ending = || Failure::new("unavailable", "the hub is ending");
    let (answer, answered) = oneshot::channel();
    door.inbox.send(Input::Administer(asked, answer)).await.map_err(|_| ending())?;
    Ok(answered.await.map_err(|_| ending())??)
}
