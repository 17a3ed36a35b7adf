//! Everybody logs in at the same moment, as devices do after a fault, and is there without a stream.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::participant::{LoadError, News, Participant, Plan, Shared};
use crate::{RunError, early, processor_time, stay};

/// All of them must be connected so long after they began.
const ALL: Duration = Duration::from_secs(120);
/// Pauses before a login that failed is tried again, those of a device; the last one from then on.
const PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1)];

/// Logs all of them in at once, prints how long that took as one line of JSON, and lets them stay.
///
/// # Errors
/// [`RunError`].
pub async fn run(plans: Vec<Plan>) -> Result<(), RunError> {
    let people = plans.len();
    let begin = Instant::now();
    let shared = Arc::new(Shared { epoch: begin, window: OnceLock::new(), flowing: AtomicUsize::new(0) });
    let (leave, left) = watch::channel(false);
    let (news, mut told) = mpsc::unbounded_channel();
    let mut tasks: JoinSet<Result<(), LoadError>> = JoinSet::new();
    let failed = Arc::new(AtomicUsize::new(0));
    for plan in plans {
        let (shared, news, left, failed) = (Arc::clone(&shared), news.clone(), left.clone(), Arc::clone(&failed));
        tasks.spawn(async move { join(plan, shared, news, &failed).await.live(left).await });
    }
    let mut times = Vec::with_capacity(people);
    while times.len() < people {
        let rest = ALL.saturating_sub(begin.elapsed());
        tokio::select! {
            Some(News::Connected) = told.recv() => times.push(begin.elapsed().as_secs_f64()),
            Some(ended) = tasks.join_next() => return Err(early(ended)),
            () = tokio::time::sleep(rest) => return Err(RunError::NotIn(times.len(), people)),
        }
    }
    let tool = json!({ "cpu_s": processor_time().as_secs_f64() });
    let (half, last) = (times.get(people / 2), times.last());
    let failed = failed.load(Ordering::Relaxed);
    let report = json!({ "participants": people, "half_s": half, "all_s": last, "failed": failed, "tool": tool });
    println!("{report}");
    stay(tasks, &leave).await
}

/// Joins, as often as it takes.
async fn join(plan: Plan, shared: Arc<Shared>, news: mpsc::UnboundedSender<News>, failed: &AtomicUsize) -> Participant {
    let mut pauses = PAUSES.into_iter();
    loop {
        match Participant::join(plan.clone(), Arc::clone(&shared), news.clone()).await {
            Ok(participant) => return participant,
            Err(error) => eprintln!("load: tried again: {error}"),
        }
        failed.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(pauses.next().unwrap_or(PAUSES[PAUSES.len() - 1])).await;
    }
}
