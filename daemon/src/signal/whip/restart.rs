//! Another ICE session for a session whose media fell silent, or whose way to the endpoint changed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::http::{Client, shown};
use super::open::{Live, failed, gather};
use super::reply::End;
use super::{CONNECT_TIME, fragment};
use crate::clock::Monotonic;
use crate::retry::Retry;

/// Why an attempt failed.
pub(super) enum Failure {
    /// The endpoint was not heard: it may be next time.
    Unheard(String),
    /// The session cannot go on.
    Over(End),
}

impl Failure {
    /// The same for a session that gets no other attempt.
    pub(super) fn into_end(self) -> End {
        match self {
            Self::Unheard(why) => End::again(why),
            Self::Over(end) => end,
        }
    }
}

/// Restarts ICE: attempts until one succeeds or none ever can. Whoever started it sets the limit. A `hurry` begins another attempt
/// at once, and gives up one that is on its way: it began in a network that is no more.
pub(super) async fn restart(
    mut live: Box<Live>,
    client: Client,
    hurry: Arc<Notify>,
) -> Result<Box<Live>, (Box<Live>, End)> {
    let mut retry = Retry::new(Monotonic::now(), Duration::MAX);
    loop {
        let attempt = tokio::select! {
            attempt = again(&mut live, &client) => attempt,
            () = hurry.notified() => {
                retry.hope();
                continue;
            }
        };
        match attempt {
            Ok(()) => return Ok(live),
            Err(Failure::Over(end)) => return Err((live, end)),
            Err(Failure::Unheard(why)) => log::debug!("ICE is not restarted yet: {why}"),
        }
        let pause = retry.failed(Monotonic::now()).unwrap_or_default();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = hurry.notified() => retry.hope(),
        }
    }
}

/// One attempt.
pub(super) async fn again(live: &mut Live, client: &Client) -> Result<(), Failure> {
    let over = |why: String| Failure::Over(End::again(why));
    let offer = live.peer.create_offer(true).await.map_err(|error| Failure::Over(failed(&error)))?;
    let candidates = gather(&mut live.news, &mut live.tracks, live.trickles).await;
    let answer = client.patch(&live.url, "*", fragment::of_offer(&offer, &candidates)).await;
    let answer = answer.map_err(|end| match end {
        End::Again { why, .. } => Failure::Unheard(why),
        end => Failure::Over(end),
    })?;
    match answer.status {
        200 => {}
        429 | 500 | 502..=599 => return Err(Failure::Unheard(format!("the endpoint answers {}", answer.status))),
        status => {
            // Nor does it take candidates.
            live.trickles &= !matches!(status, 405 | 501);
            return Err(over(format!("{} does not restart ICE: it answers {status}", shown(&live.url))));
        }
    }
    let Some(renewed) = fragment::renewed(&live.answer, &answer.body) else {
        return Err(over(format!("{} restarts ICE without saying how", shown(&live.url))));
    };
    if let Some(tag) = answer.header("etag") {
        live.etag = Some(tag.to_owned());
    }
    live.forget_states();
    live.peer.accept_answer(&renewed).await.map_err(|error| Failure::Over(failed(&error)))?;
    (live.offer, live.answer) = (offer, renewed);
    live.connected(client, CONNECT_TIME).await.map_err(|end| match end {
        End::Again { why, .. } => Failure::Unheard(why),
        end => Failure::Over(end),
    })
}
