//! What every request passes: nobody asks too often, and nobody takes long, or sends much, to say what it wants.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, RETRY_AFTER};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::listener::Caller;
use super::tally::Refused;
use super::twirp::{self, Failure};
use crate::limits::{Buckets, Limits, Places, Rate, origin};

/// The largest body of a request: a participant's metadata and attributes, each 64000 bytes, with every byte escaped.
const BODY_SIZE: usize = 1 << 20;
/// A body must be there after so long.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A user of a room of an AppID.
type User = (String, String, String);

/// Limits, and who has used them up.
#[derive(Debug)]
pub struct Gate {
    requests: Mutex<Buckets<IpAddr>>,
    joins: Mutex<Buckets<User>>,
    places: Places<IpAddr>,
    messages: Rate,
    refused: Arc<Refused>,
}

impl Gate {
    /// Nobody has used anything. `connections` is how many there may be altogether.
    pub fn new(limits: &Limits, connections: usize) -> Gate {
        Gate {
            requests: Mutex::new(Buckets::new(limits.requests())),
            joins: Mutex::new(Buckets::new(limits.joins())),
            places: Places::new(connections, limits.connections_per_address as usize),
            messages: limits.messages(),
            refused: Arc::default(),
        }
    }

    /// Places for connections.
    pub fn places(&self) -> Places<IpAddr> {
        self.places.clone()
    }

    /// How often a client may say something.
    pub fn messages(&self) -> Rate {
        self.messages
    }

    /// What was refused.
    pub fn refused(&self) -> Arc<Refused> {
        Arc::clone(&self.refused)
    }

    /// A user comes in, or asks whether it may. The error is how long it has to wait.
    pub fn join(&self, app: &str, room: &str, user: &str, now: Instant) -> Result<(), Duration> {
        let key = (app.to_owned(), room.to_owned(), user.to_owned());
        let taken = self.joins.lock().unwrap_or_else(PoisonError::into_inner).take(key, now);
        taken.inspect_err(|_| self.refused.joins.add())
    }

    fn request(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let taken = self.requests.lock().unwrap_or_else(PoisonError::into_inner).take(address, now);
        taken.inspect_err(|_| self.refused.requests.add())
    }
}

/// Lets a request pass, with its body, or answers it.
pub(super) async fn pass(
    State(gate): State<Arc<Gate>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    if let Some(address) = origin(caller.address.ip(), request.headers())
        && let Err(wait) = gate.request(address, Instant::now())
    {
        let seconds = whole_seconds(wait);
        let why = format!("This address asks too often: try again in {seconds} s");
        return answer(&path, StatusCode::TOO_MANY_REQUESTS, &why, Some(seconds));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    match tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_SIZE)).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Ok(Err(_)) => {
            let why = format!("A request's body has no more than {BODY_SIZE} bytes");
            answer(&path, StatusCode::PAYLOAD_TOO_LARGE, &why, None)
        }
        Err(_) => answer(&path, StatusCode::REQUEST_TIMEOUT, "The request's body did not come in time", None),
    }
}

/// For `Retry-After` (RFC 9110, section 10.2.3), which knows whole seconds: at least one.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

fn answer(path: &str, status: StatusCode, why: &str, retry_after_s: Option<u64>) -> Response {
    let mut response = if path.starts_with(twirp::PREFIX) {
        let code = if status == StatusCode::TOO_MANY_REQUESTS { "resource_exhausted" } else { "malformed" };
        Failure::new(code, why).into_response()
    } else {
        (status, [(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], why.to_owned()).into_response()
    };
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_whole_seconds() {
        for (ms, expected) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (20_000, 20)] {
            assert_eq!(whole_seconds(Duration::from_millis(ms)), expected);
        }
    }

    #[test]
    fn a_user_that_joins_too_often_waits_alone() {
        let gate = Gate::new(&Limits { joins_per_user: 1, ..Limits::default() }, 10);
        let now = Instant::now();
        let taken = (0..100).filter(|_| gate.join("1", "lobby", "door", now).is_ok()).count();
        assert_eq!((taken, gate.refused.joins.get()), (20, 80));
        for (app, room, user) in [("2", "lobby", "door"), ("1", "cellar", "door"), ("1", "lobby", "desk")] {
            assert!(gate.join(app, room, user, now).is_ok(), "{app} {room} {user}");
        }
    }

    #[test]
    fn two_hundred_devices_behind_one_address_come_back_at_once() {
        let gate = Gate::new(&Limits::default(), 4_000);
        let (address, now) = (IpAddr::from([192, 0, 2, 1]), Instant::now());
        // Each has its old connection still open, asks in vain twice, and joins.
        let open: Vec<_> = (0..400).map(|_| gate.places().take(address)).collect();
        assert!(open.iter().all(Option::is_some));
        for user in 0..200 {
            for _ in 0..4 {
                assert_eq!(gate.request(address, now), Ok(()));
                assert_eq!(gate.join("1", "lobby", &user.to_string(), now), Ok(()));
            }
        }
    }
}
