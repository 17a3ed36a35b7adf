//! HTTP: the signalling WebSockets, their validation, the page.

mod admission;
mod page;
mod query;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{Query, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use zego_protocol::token::App;

use crate::core::Inbox;
use crate::rooms::{Join, Path};
use admission::Refusal;
use query::Parameters;

/// Largest message of a client: a session description of a large room, or tracks' subscriptions.
const MESSAGE_LIMIT: usize = 1 << 20;

/// What the handlers need.
#[derive(Clone)]
struct Door {
    apps: Arc<Vec<App>>,
    inbox: Inbox,
    connections: Arc<AtomicU64>,
}

/// All routes.
pub fn router(apps: Vec<App>, inbox: Inbox) -> Router {
    let door = Door { apps: Arc::new(apps), inbox, connections: Arc::new(AtomicU64::new(1)) };
    Router::new()
        .route("/rtc", get(rtc))
        .route("/rtc/v1", get(rtc_v1))
        .route("/rtc/validate", get(validate))
        .route("/rtc/v1/validate", get(validate_v1))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(get(page::serve))
        .with_state(door)
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

async fn rtc(door: State<Door>, headers: HeaderMap, query: Query<Parameters>, upgrade: Upgrade) -> Response {
    connect(&door, Path::Two, &headers, query.0, upgrade)
}

async fn rtc_v1(door: State<Door>, headers: HeaderMap, query: Query<Parameters>, upgrade: Upgrade) -> Response {
    connect(&door, Path::One, &headers, query.0, upgrade)
}

async fn validate(door: State<Door>, headers: HeaderMap, query: Query<Parameters>) -> Response {
    answer_validation(admit(&door, Path::Two, &headers, query.0))
}

async fn validate_v1(door: State<Door>, headers: HeaderMap, query: Query<Parameters>) -> Response {
    answer_validation(admit(&door, Path::One, &headers, query.0))
}

fn answer_validation(outcome: Result<Join, Refusal>) -> Response {
    match outcome {
        Ok(_) => (StatusCode::OK, [(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], "success").into_response(),
        Err(refusal) => refuse(&refusal),
    }
}

fn refuse(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::UNAUTHORIZED);
    let headers = [(ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, headers, refusal.message.clone()).into_response()
}

fn admit(door: &Door, path: Path, headers: &HeaderMap, parameters: Parameters) -> Result<Join, Refusal> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    admission::admit(&door.apps, path, bearer, &parameters, now)
}

fn connect(door: &Door, path: Path, headers: &HeaderMap, parameters: Parameters, upgrade: Upgrade) -> Response {
    // Whoever is refused is to read why, WebSocket or not.
    let join = match admit(door, path, headers, parameters) {
        Ok(join) => join,
        Err(refusal) => {
            log::info!("refused: {}", refusal.message);
            return refuse(&refusal);
        }
    };
    let Ok(upgrade) = upgrade else {
        return refuse(&Refusal::request(400, "This address is for WebSocket connections only"));
    };
    let connection = door.connections.fetch_add(1, Ordering::Relaxed);
    let inbox = door.inbox.clone();
    upgrade
        .max_message_size(MESSAGE_LIMIT)
        .max_frame_size(MESSAGE_LIMIT)
        .on_upgrade(move |socket| socket::serve(socket, connection, join, inbox))
}
