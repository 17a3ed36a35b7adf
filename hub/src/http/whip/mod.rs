//! WHIP (RFC 9725) at `/whip/v1`, for programs that publish, and WHEP (draft-ietf-wish-whep) at `/whep/v1`, for players.
//!
//! A session is a participant like any other: its task speaks to the rooms as a LiveKit client would, with the offer and the
//! candidates that come by HTTP. The session's URL cannot be guessed; whoever knows it may change and end the session.

mod fragment;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod offer;
mod problem;
mod session;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path as PathPart, Query, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CONTENT_TYPE, ETAG, IF_MATCH, LINK, LOCATION,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::map_response;
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde::Deserialize;
use zego_protocol::id;

use super::admission::Refusal;
use super::query::Parameters;
use super::{Door, admit};
use crate::core::{Errand, Input};
use crate::rooms::Path;
use fragment::Fragment;
use problem::Problem;
pub use session::Sessions;
use session::{Ask, Changed, Opened};

/// Largest body: an offer has some 10 KiB.
const BODY_LIMIT: usize = 64 << 10;
/// Longer values of `If-Match` name nothing of ours.
const IF_MATCH_LIMIT: usize = 1 << 10;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// Which of the two protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// The client publishes.
    Whip,
    /// The client watches.
    Whep,
}

impl Protocol {
    fn path(self) -> &'static str {
        match self {
            Protocol::Whip => "/whip/v1",
            Protocol::Whep => "/whep/v1",
        }
    }
}

/// The parameter of both endpoints.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    /// ZEGO stream id to publish under, or to watch.
    stream: String,
}

/// All routes.
pub(super) fn routes() -> Router<Door> {
    let mut routes = Router::new();
    for protocol in [Protocol::Whip, Protocol::Whep] {
        let path = protocol.path();
        routes = routes.route(path, endpoint(protocol)).route(&format!("{path}/{{session}}"), session_url(protocol));
    }
    routes.layer(DefaultBodyLimit::max(BODY_LIMIT)).layer(map_response(share))
}

fn endpoint(protocol: Protocol) -> MethodRouter<Door> {
    let create = move |door: State<Door>,
                       headers: HeaderMap,
                       parameters: Query<Parameters>,
                       named: Query<Named>,
                       body: Result<Bytes, BytesRejection>| async move {
        match create(&door, protocol, &headers, &parameters, &named.stream, body).await {
            Ok(opened) => created(protocol, opened),
            Err(problem) => {
                log::info!("{}: refused: {}", protocol.path(), problem.detail());
                problem.into_response()
            }
        }
    };
    // RFC 9725, section 4.2: there is nothing to get.
    let nothing = || async { StatusCode::NO_CONTENT };
    let options = || async { (StatusCode::OK, [(ACCEPT_POST, SDP)]) };
    get(nothing).post(create).options(options)
}

fn session_url(protocol: Protocol) -> MethodRouter<Door> {
    let nothing = move |door: State<Door>, session: PathPart<String>| async move {
        match door.sessions.get(protocol, &session) {
            Some(_) => StatusCode::NO_CONTENT.into_response(),
            None => Problem::no_session().into_response(),
        }
    };
    let change = move |door: State<Door>,
                       session: PathPart<String>,
                       headers: HeaderMap,
                       body: Result<Bytes, BytesRejection>| async move {
        match change(&door, protocol, &session, &headers, body).await {
            Ok(Changed::Candidates) => StatusCode::NO_CONTENT.into_response(),
            Ok(Changed::Restarted { fragment, etag }) => {
                ([(CONTENT_TYPE, FRAGMENT.to_owned()), (ETAG, etag)], fragment).into_response()
            }
            Err(problem) => problem.into_response(),
        }
    };
    let end = move |door: State<Door>, session: PathPart<String>| async move {
        let Some(asks) = door.sessions.get(protocol, &session) else { return Problem::no_session().into_response() };
        let (answer, answered) = tokio::sync::oneshot::channel();
        // One that ends in this moment is as good as ended.
        if asks.send(Ask::End(answer)).await.is_ok() {
            let _ = answered.await;
        }
        StatusCode::OK.into_response()
    };
    let options = || async { (StatusCode::OK, [(ACCEPT_PATCH, FRAGMENT)]) };
    get(nothing).patch(change).delete(end).options(options)
}

/// Pages of other origins may use both protocols: what they may do is said by their token.
async fn share(method: Method, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After, WWW-Authenticate";
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
    if method == Method::OPTIONS {
        let methods = "OPTIONS, GET, POST, PATCH, DELETE";
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        let names = "Authorization, Content-Type, If-Match";
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(names));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
    response
}

async fn create(
    door: &Door,
    protocol: Protocol,
    headers: &HeaderMap,
    parameters: &Parameters,
    stream: &str,
    body: Result<Bytes, BytesRejection>,
) -> Result<Opened, Problem> {
    let mut join = admit(door, Path::Once, headers, parameters)?;
    if !stream.is_empty() {
        id::stream_id(stream).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.sentence()))?;
    }
    let sdp = text(headers, SDP, body)?;
    let offered = match protocol {
        Protocol::Whip => offer::publishing(&sdp, stream)?,
        Protocol::Whep => offer::watching(&sdp)?,
    };
    join.add_tracks = offered.tracks;
    join.offer = Some(livekit_protocol::SessionDescription {
        r#type: "offer".to_owned(),
        sdp: offered.sdp,
        ..Default::default()
    });
    join.watches = (protocol == Protocol::Whep).then(|| stream.to_owned());
    let asked = join.clone();
    let (errand, answered) = Errand::new(move |rooms, _| rooms.may_begin(&asked));
    door.inbox.send(Input::Errand(errand)).await.map_err(|_| Problem::ending())?;
    answered.await.map_err(|_| Problem::ending())??;
    session::open(door, protocol, join).await
}

async fn change(
    door: &Door,
    protocol: Protocol,
    session: &str,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Changed, Problem> {
    let asks = door.sessions.get(protocol, session).ok_or_else(Problem::no_session)?;
    let fragment = text(headers, FRAGMENT, body)?;
    let fragment = Fragment::parse(&fragment).map_err(|problem| Problem::request(StatusCode::BAD_REQUEST, &problem))?;
    let if_match = headers.get(IF_MATCH).and_then(|value| value.to_str().ok()).filter(|v| v.len() <= IF_MATCH_LIMIT);
    let (answer, answered) = tokio::sync::oneshot::channel();
    let ask = Ask::Change { if_match: if_match.map(str::to_owned), fragment, answer };
    asks.send(ask).await.map_err(|_| Problem::no_session())?;
    answered.await.map_err(|_| Problem::no_session())?
}

/// A body of the type `expected`.
fn text(headers: &HeaderMap, expected: &str, body: Result<Bytes, BytesRejection>) -> Result<String, Problem> {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !named.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(expected) {
        let detail = format!("The content type is '{named}'; it must be {expected}");
        return Err(Problem::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, &detail));
    }
    let body = body.map_err(|rejection| {
        let detail = format!("The body cannot be taken ({}); it may have {BODY_LIMIT} bytes", rejection.body_text());
        Problem::request(rejection.status(), &detail)
    })?;
    let text = String::from_utf8(body.into());
    text.map_err(|_| Problem::request(StatusCode::BAD_REQUEST, "The body is no text in UTF-8"))
}

fn created(protocol: Protocol, opened: Opened) -> Response {
    let own = [
        (LOCATION, format!("{}/{}", protocol.path(), opened.id)),
        (ETAG, opened.etag),
        (CONTENT_TYPE, SDP.to_owned()),
        (ACCEPT_PATCH, FRAGMENT.to_owned()),
    ];
    let links = AppendHeaders(opened.ice_servers.iter().flat_map(offer::links).map(|link| (LINK, link)));
    (StatusCode::CREATED, own, links, opened.answer).into_response()
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::UNAUTHORIZED);
        Problem::new(status, refusal.message).retry_after(refusal.retry_after_s)
    }
}
