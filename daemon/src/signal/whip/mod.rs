//! Publishing to a WHIP endpoint (RFC 9725) and playing from a WHEP endpoint (draft-ietf-wish-whep).
//!
//! There is no room and nobody to speak to: one stream goes to, or comes from, an HTTP address. A session is one attempt. It
//! begins with the first [`Session::publish`] or [`Session::subscribe`], and ends by itself when it cannot go on; whoever has it
//! begins another one. An outage that an ICE restart repairs is no end.

mod fragment;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod link;
mod open;
mod reply;
mod restart;
mod task;

use std::time::Duration;

use reqwest::Url;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::Session;
use crate::rtc::{IceServer, MediaKind, MediaReceiver, NetworkConfig};
pub use reply::End;

/// Which way media flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the endpoint: WHIP.
    Publish,
    /// From the endpoint: WHEP.
    Play,
}

/// Where to, or where from.
#[derive(Clone, Debug)]
pub struct EndpointOptions {
    /// The endpoint.
    pub url: Url,
    /// Shown as `Authorization: Bearer`; empty = none.
    pub token: String,
    /// Which way.
    pub direction: Direction,
    /// ICE servers and interfaces.
    pub network: NetworkConfig,
    /// What earlier attempts taught.
    pub lessons: Lessons,
}

/// What an attempt teaches the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lessons {
    /// ICE servers that the endpoint named (`Link`): with its answer, so that an offer has what they say only the next time.
    pub ice_servers: Vec<IceServer>,
    /// The endpoint takes no candidates later: all of them must be in the offer.
    pub gather_first: bool,
}

/// News of a session.
pub enum EndpointEvent {
    /// Media flows, or can.
    Up,
    /// Media of this kind can arrive.
    Media(MediaReceiver),
    /// No more media of this kind comes.
    MediaEnded(MediaKind),
    /// What the endpoint sends: sound, pictures.
    Sends(bool, bool),
    /// The connection was lost; it is being taken up again.
    Interrupted,
    /// The connection is back.
    Resumed,
    /// The session has ended, and not because it was asked to; nothing follows.
    Over(End, Lessons),
}

/// An `http://` or `https://` URL with a host and without a password in it.
#[must_use]
pub fn endpoint_url(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    let usable = matches!(url.scheme(), "http" | "https") && url.host().is_some();
    (usable && url.username().is_empty() && url.password().is_none()).then_some(url)
}

impl Session {
    /// Makes a session with an endpoint; nothing is sent before it is asked to publish or to subscribe.
    #[must_use]
    pub fn endpoint(options: EndpointOptions, events: UnboundedSender<EndpointEvent>) -> Self {
        let (commands, inbox) = unbounded_channel();
        tokio::spawn(task::Task::new(options, inbox, events).run());
        Self::new(commands)
    }
}

/// For a server's answer to a request.
const ANSWER_TIME: Duration = Duration::from_secs(8);
/// For ICE and DTLS to come up after the answer.
const CONNECT_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_endpoints() {
        for (text, good) in [
            ("http://127.0.0.1:7880/whip/v1", true),
            (" https://h.example/live?stream=a ", true),
            ("ws://h/whip", false),
            ("whip/v1", false),
            ("https:///x", true),
            ("http://user:pass@h/whip", false),
            ("", false),
        ] {
            assert_eq!(endpoint_url(text).is_some(), good, "{text}");
        }
    }
}
