//! Everybody logs in at the same moment, as devices do after a fault, and is there without a stream.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::participant::{LoadError, News, Participant, Plan, Shared};
use crate::{RunError, early, processor_time, stay};

/// All of them must be connected so long after they began.
const ALL: Duration = Duration::from_secs(120);

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
    for plan in plans {
        let (shared, news, left) = (Arc::clone(&shared), news.clone(), left.clone());
        tasks.spawn(async move { Participant::join(plan, shared, news).await?.live(left).await });
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
    println!("{}", json!({ "participants": people, "half_s": half, "all_s": last, "tool": tool }));
    stay(tasks, &leave).await
}
