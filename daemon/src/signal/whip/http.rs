//! The requests of WHIP and WHEP.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, IF_MATCH, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Method, Url};

use super::ANSWER_TIME;
use super::reply::End;

/// For a connection to the endpoint.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// For the end of a session: it ends also when the endpoint does not hear of it.
const DELETE_TIME: Duration = Duration::from_secs(1);
/// Redirections of one request.
const REDIRECTS: usize = 5;
/// Bytes of an answer: descriptions have some 10 KiB.
const BODY_LIMIT: usize = 256 << 10;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// An answer that was read.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// The header.
    pub(super) headers: HeaderMap,
    /// The body.
    pub(super) body: String,
    /// Who answered, after redirections.
    pub(super) url: Url,
}

impl Answer {
    /// A value of the header, if it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// All values of the header that are text.
    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
    }
}

/// Asks one endpoint. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    token: String,
}

impl Client {
    /// A client that shows `token`, if it is not empty.
    pub(super) fn new(token: &str) -> Result<Self, End> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("zegod/", env!("CARGO_PKG_VERSION")))
            // Redirections are followed here: only those that keep method and body (RFC 9725, section 4.5).
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIME)
            // Nothing wakes up for a connection that is kept and not used.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| End::again(format!("no HTTP client: {}", cause(&error))))?;
        Ok(Self { http, token: token.to_owned() })
    }

    /// Offers.
    pub(super) async fn post(&self, url: &Url, offer: String) -> Result<Answer, End> {
        self.ask(Method::POST, url, &[(CONTENT_TYPE.as_str(), SDP)], offer, ANSWER_TIME).await
    }

    /// Tells candidates, or restarts ICE.
    pub(super) async fn patch(&self, url: &Url, tag: &str, fragment: String) -> Result<Answer, End> {
        let headers = [(CONTENT_TYPE.as_str(), FRAGMENT), (IF_MATCH.as_str(), tag)];
        self.ask(Method::PATCH, url, &headers, fragment, ANSWER_TIME).await
    }

    /// Ends a session.
    pub(super) async fn delete(&self, url: &Url) {
        if let Err(end) = self.ask(Method::DELETE, url, &[], String::new(), DELETE_TIME).await {
            log::debug!("{url} was not told that the session ends: {end:?}");
        }
    }

    async fn ask(
        &self,
        method: Method,
        url: &Url,
        headers: &[(&str, &str)],
        body: String,
        time: Duration,
    ) -> Result<Answer, End> {
        let asked = tokio::time::timeout(time, self.follow(method, url, headers, body)).await;
        asked.unwrap_or_else(|_| Err(End::again(format!("{} does not answer in time", shown(url)))))
    }

    async fn follow(&self, method: Method, url: &Url, headers: &[(&str, &str)], body: String) -> Result<Answer, End> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            let mut request = self.http.request(method.clone(), url.clone()).body(body.clone());
            for (name, value) in headers {
                // A tag of the server's own is given back as it came.
                let value = HeaderValue::from_str(value).map_err(|_| End::again("an ETag is no header".to_owned()))?;
                request = request.header(*name, value);
            }
            if !self.token.is_empty() {
                request = request.bearer_auth(&self.token);
            }
            let response = request.send().await.map_err(|error| unreachable(&url, &error))?;
            if !matches!(response.status().as_u16(), 307 | 308) {
                return read(response, url).await;
            }
            let there = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let there = there.and_then(|there| url.join(there).ok());
            let Some(there) = there.filter(|there| matches!(there.scheme(), "http" | "https")) else {
                return Err(End::protocol(format!("{} redirects to nowhere", shown(&url))));
            };
            if url.scheme() == "https" && there.scheme() == "http" {
                let why = format!("{} redirects from https to http, where the token could be read", shown(&url));
                return Err(End::protocol(why));
            }
            url = there;
        }
        Err(End::protocol(format!("{} is redirected too often", shown(&url))))
    }
}

async fn read(mut response: reqwest::Response, url: Url) -> Result<Answer, End> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&url, &error))? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_LIMIT {
            return Err(End::protocol(format!("{} answers with more than {BODY_LIMIT} bytes", shown(&url))));
        }
    }
    Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned(), url })
}

fn unreachable(url: &Url, error: &reqwest::Error) -> End {
    End::again(format!("{} cannot be reached: {}", shown(url), cause(error)))
}

/// The innermost reason: the outer ones repeat the URL.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}

/// A URL for messages: its query may hold secrets.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}
