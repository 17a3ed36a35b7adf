//! Tells servers outside what happens in rooms, as livekit-server does: `POST`, JSON (`livekit.WebhookEvent`), signed.
//!
//! Each receiver has a bounded queue and a task of its own, so that one that is slow or gone costs the rooms nothing, and the
//! others neither: what does not fit in its queue, or is too old to be news, is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, StatusCode, Url};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zego_protocol::token::{App, sign_webhook};

use crate::rooms::News;

/// Another type than plain JSON, so that receivers check the signature before they read.
const CONTENT: &str = "application/webhook+json";
/// Events that may wait for a receiver.
const QUEUE: usize = 256;
/// Events that waited longer are no news any more.
const OLDEST: Duration = Duration::from_secs(30);
/// A receiver has so long for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Waits before an event is sent again; each is twice the one before.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// How often an event is sent at most.
const TRIES: u32 = 5;

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Where events are sent to.
    pub url: Url,
    /// Of which AppID's rooms; its secret signs. `None`: of the only one's.
    pub app: Option<String>,
}

/// What became of the events.
#[derive(Debug, Default)]
pub struct Totals {
    /// Taken by their receivers.
    pub delivered: AtomicU64,
    /// Given up after all tries, or refused.
    pub failed: AtomicU64,
    /// Never sent: too many were waiting, or it had waited for too long.
    pub dropped: AtomicU64,
}

/// All receivers.
#[derive(Debug)]
pub struct Webhooks {
    receivers: Vec<Receiver>,
    totals: Arc<Totals>,
}

#[derive(Debug)]
struct Receiver {
    app: String,
    queue: mpsc::Sender<Letter>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Letter {
    event: String,
    body: Bytes,
    since: Instant,
}

/// What a task needs to deliver.
struct Courier {
    client: Client,
    url: Url,
    app: App,
    totals: Arc<Totals>,
}

/// What became of one try.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Taken,
    /// It will not be taken later either.
    Refused(String),
    Again(String),
}

impl Webhooks {
    /// Starts a task for each receiver.
    ///
    /// # Errors
    /// When the system's root certificates cannot be used.
    pub fn start(configs: &[WebhookConfig], apps: &[App]) -> Result<Webhooks, reqwest::Error> {
        let totals = Arc::new(Totals::default());
        let mut receivers = Vec::new();
        for config in configs {
            let Some(app) = apps.iter().find(|app| config.app.as_ref().is_none_or(|id| app.id == *id)) else {
                continue;
            };
            // A redirect would carry what is signed for one receiver to another.
            let client = Client::builder()
                .timeout(ANSWER_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()?;
            let (queue, letters) = mpsc::channel(QUEUE);
            let courier = Courier { client, url: config.url.clone(), app: app.clone(), totals: Arc::clone(&totals) };
            let task = tokio::spawn(courier.run(letters));
            receivers.push(Receiver { app: app.id.clone(), queue, task });
        }
        Ok(Webhooks { receivers, totals })
    }

    /// What became of the events so far.
    pub fn totals(&self) -> Arc<Totals> {
        Arc::clone(&self.totals)
    }

    /// Queues an event for those who want to know of its rooms. Never waits. `unix_s` is the present.
    pub fn tell(&self, news: News, unix_s: i64) {
        let mut wanted = self.receivers.iter().filter(|receiver| receiver.app == news.app).peekable();
        if wanted.peek().is_none() {
            return;
        }
        let mut event = news.event;
        event.id = format!("EV_{:012x}", crate::core::random() & 0xffff_ffff_ffff);
        event.created_at = unix_s;
        let body = match serde_json::to_vec(&event) {
            Ok(body) => Bytes::from(body),
            Err(error) => return log::error!("an event cannot be written as JSON: {error}"),
        };
        for receiver in wanted {
            let letter = Letter { event: event.event.clone(), body: body.clone(), since: Instant::now() };
            if receiver.queue.try_send(letter).is_err() {
                self.totals.dropped.fetch_add(1, Ordering::Relaxed);
                log::debug!("a webhook is too slow: {} is dropped", event.event);
            }
        }
    }

    /// Lets the tasks send what is waiting, for so long at most.
    pub async fn finish(self, limit: Duration) {
        let deadline = tokio::time::Instant::now() + limit;
        for Receiver { queue, task, .. } in self.receivers {
            drop(queue);
            let aborter = task.abort_handle();
            if tokio::time::timeout_at(deadline, task).await.is_err() {
                aborter.abort();
            }
        }
    }
}

impl Courier {
    /// Delivers in order, until the queue's sender is gone.
    async fn run(self, mut letters: mpsc::Receiver<Letter>) {
        while let Some(letter) = letters.recv().await {
            let counted = match self.deliver(&letter).await {
                Some(Outcome::Taken) => &self.totals.delivered,
                Some(Outcome::Refused(why) | Outcome::Again(why)) => {
                    log::warn!("the webhook {} does not take {}: {why}", self.url, letter.event);
                    &self.totals.failed
                }
                None => &self.totals.dropped,
            };
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends a letter until it is taken or given up; `None` when it was too old from the beginning.
    async fn deliver(&self, letter: &Letter) -> Option<Outcome> {
        let mut wait = FIRST_RETRY;
        let mut last = None;
        for attempt in 0..TRIES {
            if letter.since.elapsed() > OLDEST {
                break;
            }
            match self.send(&letter.body).await {
                Outcome::Again(why) => last = Some(Outcome::Again(why)),
                other => return Some(other),
            }
            if attempt + 1 < TRIES {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        }
        last
    }

    async fn send(&self, body: &Bytes) -> Outcome {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, CONTENT);
        let request = request.header(AUTHORIZATION, sign_webhook(&self.app, body, now)).body(body.clone());
        match request.send().await {
            Ok(answer) => judge(answer.status()),
            Err(error) => Outcome::Again(error.to_string()),
        }
    }
}

fn judge(status: StatusCode) -> Outcome {
    if status.is_success() {
        Outcome::Taken
    } else if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
        Outcome::Again(status.to_string())
    } else {
        Outcome::Refused(status.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_later_is_tried_again() {
        let again = |status| matches!(judge(StatusCode::from_u16(status).expect("a status")), Outcome::Again(_));
        for (status, expected) in
            [(408, true), (429, true), (500, true), (503, true), (200, false), (301, false), (404, false)]
        {
            assert_eq!(again(status), expected, "{status}");
        }
        assert_eq!(judge(StatusCode::NO_CONTENT), Outcome::Taken);
    }

    #[tokio::test]
    async fn a_dead_receiver_costs_a_bounded_queue_and_no_time() {
        let url = Url::parse("http://127.0.0.1:9/").expect("a URL");
        let app = App::new("7", "secret");
        let webhooks = Webhooks::start(&[WebhookConfig { url, app: None }], &[app]).expect("a client");
        let news = || News { app: "7".into(), event: Default::default() };
        for _ in 0..QUEUE + 10 {
            webhooks.tell(news(), 0);
        }
        webhooks.tell(News { app: "8".into(), ..news() }, 0);
        assert_eq!(webhooks.totals().dropped.load(Ordering::Relaxed), 10);
    }
}
