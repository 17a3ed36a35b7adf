//! The handle of the engine.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::configured::trust;
use super::core::Core;
use super::error::EngineError;
use super::event::{EngineEvent, News};
use crate::config::Config;
use crate::signal::install;
use crate::views::Views;

/// What the engine's task is asked to do: it holds everything, so it does it at once and never waits.
pub(super) type Task = Box<dyn FnOnce(&mut Core) + Send>;
/// The outcome of a call, when it is known.
pub(super) type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

/// A handle of the engine. Cheap to clone; usable from any task.
#[derive(Clone)]
pub struct Engine {
    tasks: UnboundedSender<Task>,
    news: News,
    pub(super) views: Arc<Views>,
}

impl Engine {
    /// Starts the engine's task. It opens no device and no connection before it is told to.
    ///
    /// # Errors
    /// A device of the configuration that cannot be.
    pub fn start(config: Config) -> Result<(Self, UnboundedReceiver<EngineEvent>), EngineError> {
        let trust = trust(&config);
        if trust.is_pinned() && config.room.server.starts_with("ws://") {
            log::warn!("[room] server is without TLS: authority and fingerprint count for wss:// and auto only");
        }
        install(trust);
        let (news, events) = News::channel();
        let (tasks, receiver) = unbounded_channel();
        let views = Arc::new(Views::new());
        let core = Core::new(config, news.clone(), views.clone(), tasks.clone())?;
        tokio::spawn(core.run(receiver));
        Ok((Self { tasks, news, views }, events))
    }

    /// How many events were told so far. Whoever has handled as many knows everything that a call, which has returned,
    /// has caused.
    #[must_use]
    pub fn events_told(&self) -> u64 {
        self.news.told()
    }

    /// Has the engine's task do something, and waits for the outcome.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Core, Reply<T>) + Send + 'static,
    ) -> Result<T, EngineError> {
        let (reply, outcome) = oneshot::channel();
        let task: Task = Box::new(move |core| work(core, reply));
        let gone = || EngineError::internal("The engine has ended");
        self.tasks.send(task).map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }

    /// Has the engine's task do something that is done at once.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Core) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        self.ask(move |core, reply| {
            let _ = reply.send(work(core));
        })
        .await
    }
}
