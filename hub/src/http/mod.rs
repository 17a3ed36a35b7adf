//! HTTP: the signalling WebSockets, their validation, the page.

mod admission;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gate;
mod listener;
mod metrics;
mod page;
mod patience;
mod process;
mod query;
mod room_service;
mod secure;
mod serve;
mod socket;
mod tally;
mod twirp;
mod whip;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{Query, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::oneshot;
use zego_protocol::token::App;

use crate::core::{Inbox, Input};
use crate::rooms::{Join, Path};
use admission::Refusal;
pub use gate::Gate;
pub use listener::Listener;
pub use metrics::Watched;
use patience::Patience;
use query::Parameters;
pub use secure::Policy;
pub use serve::serve;

/// Largest message of a client: a session description of a large room, or tracks' subscriptions.
const MESSAGE_LIMIT: usize = 1 << 20;
/// Each WebSocket keeps so much for what comes in; most messages are far smaller.
const READ_BUFFER: usize = 16 << 10;

/// What the handlers need.
#[derive(Clone)]
struct Door {
    apps: Arc<Vec<App>>,
    inbox: Inbox,
    connections: Arc<AtomicU64>,
    watched: Arc<Watched>,
    sessions: whip::Sessions,
    gate: Arc<Gate>,
}

/// All routes.
pub fn router(apps: Vec<App>, inbox: Inbox, watched: Watched, policy: Policy, gate: Arc<Gate>) -> Router {
    let door = Door {
        apps: Arc::new(apps),
        inbox,
        connections: Arc::new(AtomicU64::new(1)),
        watched: Arc::new(watched),
        sessions: whip::Sessions::default(),
        gate: Arc::clone(&gate),
    };
    Router::new()
        .route("/rtc", get(rtc))
        .route("/rtc/v1", get(rtc_v1))
        .route("/rtc/validate", get(validate))
        .route("/rtc/v1/validate", get(validate_v1))
        .route("/twirp/livekit.RoomService/{method}", post(room_service::serve))
        .merge(whip::routes())
        .route("/healthz", get(metrics::health))
        .route("/metrics", get(metrics::serve))
        .fallback(get(page::serve))
        .with_state(door)
        .layer(axum::middleware::from_fn_with_state(Arc::new(policy), secure::guard))
        .layer(axum::middleware::from_fn_with_state(gate, gate::pass))
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

async fn rtc(door: State<Door>, headers: HeaderMap, query: Query<Parameters>, upgrade: Upgrade) -> Response {
    connect(&door, Path::Two, &headers, query.0, upgrade).await
}

async fn rtc_v1(door: State<Door>, headers: HeaderMap, query: Query<Parameters>, upgrade: Upgrade) -> Response {
    connect(&door, Path::One, &headers, query.0, upgrade).await
}

async fn validate(door: State<Door>, headers: HeaderMap, query: Query<Parameters>) -> Response {
    answer_validation(ask(&door, Path::Two, &headers, query.0).await)
}

async fn validate_v1(door: State<Door>, headers: HeaderMap, query: Query<Parameters>) -> Response {
    answer_validation(ask(&door, Path::One, &headers, query.0).await)
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
    let mut response = (status, headers, refusal.message.clone()).into_response();
    if let Some(seconds) = refusal.retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn unix_now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// The token in a request's header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("authorization").and_then(|value| value.to_str().ok())?;
    value.strip_prefix("Bearer ").map(str::trim)
}

/// Whether the token is good, and its user does not come too often.
fn admit(door: &Door, path: Path, headers: &HeaderMap, parameters: &Parameters) -> Result<Join, Refusal> {
    let join = admission::admit(&door.apps, path, bearer(headers), parameters, unix_now_s())?;
    let allowed = door.gate.join(&join.claims.app_id, &join.room, &join.claims.user_id, Instant::now());
    allowed.map_err(|wait| Refusal::too_often(&join.claims.user_id, gate::whole_seconds(wait)))?;
    Ok(join)
}

/// Whether it is admitted, and the room takes its user in; or, for a client that is in the room, takes the token.
async fn ask(door: &Door, path: Path, headers: &HeaderMap, parameters: Parameters) -> Result<Join, Refusal> {
    let join = admit(door, path, headers, &parameters)?;
    let ending = || Refusal::request(503, "The hub is ending");
    let asked = Box::new(join.clone());
    if parameters.zego_renew == "1" {
        let token = bearer(headers).unwrap_or(&parameters.access_token).to_owned();
        let (answer, answered) = oneshot::channel();
        door.inbox.send(Input::Renew(asked, token, answer)).await.map_err(|_| ending())?;
        answered.await.map_err(|_| ending())?.map_err(Refusal::renewal)?;
    } else {
        let (answer, answered) = oneshot::channel();
        door.inbox.send(Input::Knock(asked, answer)).await.map_err(|_| ending())?;
        answered.await.map_err(|_| ending())?.map_err(|denial| Refusal::room(&denial))?;
    }
    Ok(join)
}

async fn connect(door: &Door, path: Path, headers: &HeaderMap, parameters: Parameters, upgrade: Upgrade) -> Response {
    // Whoever is refused is to read why, WebSocket or not.
    let join = match ask(door, path, headers, parameters).await {
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
    let (inbox, gate) = (door.inbox.clone(), Arc::clone(&door.gate));
    upgrade.read_buffer_size(READ_BUFFER).max_message_size(MESSAGE_LIMIT).max_frame_size(MESSAGE_LIMIT).on_upgrade(
        async move |socket| {
            let patience = Patience::new(gate.messages(), gate.refused());
            socket::serve(socket, connection, join, inbox, patience).await;
        },
    )
}
