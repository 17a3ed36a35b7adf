//! What a hub with TLS says to those who come without.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, UPGRADE};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::listener::Caller;

/// Where the authority's certificate is handed out; whoever wants to trust it has no TLS yet.
const AUTHORITY: &str = "/authority.pem";
const HEALTH: &str = "/healthz";

/// Rules about TLS.
#[derive(Debug, Default)]
pub struct Policy {
    /// Other machines must use TLS.
    pub required: bool,
    /// The certificate of the hub's own authority (PEM), for whoever is to trust it.
    pub authority: Option<String>,
}

/// Sends browsers to `https`, and refuses everything else that comes without TLS from another machine.
pub(super) async fn guard(
    State(policy): State<Arc<Policy>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if let (AUTHORITY, Some(authority)) = (path, &policy.authority) {
        return ([(CONTENT_TYPE, "application/x-x509-ca-cert")], authority.clone()).into_response();
    }
    let local = caller.address.ip().to_canonical().is_loopback();
    if caller.is_secure || local || !policy.required || path == HEALTH {
        return next.run(request).await;
    }
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD) && !path.starts_with("/rtc");
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    match host.filter(|_| is_page).and_then(|host| secure(host, request.uri())) {
        Some(there) => Redirect::permanent(&there.to_string()).into_response(),
        None => {
            let why = "This server speaks TLS: use wss:// or https:// instead of ws:// or http://\n";
            // RFC 9110, section 15.5.22.
            (StatusCode::UPGRADE_REQUIRED, [(UPGRADE, "TLS/1.2, HTTP/1.1")], why).into_response()
        }
    }
}

fn secure(host: &str, uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Uri::builder().scheme("https").authority(host).path_and_query(path).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_to_the_same_page() {
        let uri = |path: &'static str| Uri::from_static(path);
        let there = |host, path| secure(host, &uri(path)).map(|uri| uri.to_string());
        assert_eq!(there("kiosk.local:7880", "/a?b=c").as_deref(), Some("https://kiosk.local:7880/a?b=c"));
        assert_eq!(there("[fe80::1]:7880", "/").as_deref(), Some("https://[fe80::1]:7880/"));
        assert_eq!(there("a b", "/"), None, "nobody else's words in a header");
    }
}
