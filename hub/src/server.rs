//! The hub as a whole: starts the parts, hands them to each other, and ends them.

use std::net::SocketAddr;
use std::path::Path;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::apps::{self, AppsError};
use crate::config::{Config, ConfigError};
use crate::core::Core;
use crate::rooms::Settings;
use crate::sfu::{Sfu, SfuConfig, SfuError};
use crate::webhooks::Webhooks;
use crate::{http, service};

/// Why the hub cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Its configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no app, and none can be made.
    #[error(transparent)]
    Apps(#[from] AppsError),
    /// The sockets for media.
    #[error(transparent)]
    Media(#[from] SfuError),
    /// The socket for everything else.
    #[error("cannot listen on {0}: {1}; another program uses this port, or the address is not this machine's")]
    Listen(SocketAddr, std::io::Error),
    /// The client that webhooks need.
    #[error("cannot send webhooks: {0}")]
    Webhooks(#[from] reqwest::Error),
    /// The system refuses.
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
}

/// Runs a hub until SIGTERM or SIGINT, as the file at `config` says, or the one of `/etc` if it is there. `listen` goes before what
/// the configuration says.
///
/// # Errors
/// The configuration is wrong, or what it asks for cannot be had.
pub fn run(config: Option<&Path>, listen: Option<SocketAddr>) -> Result<(), Failure> {
    let mut config = Config::load(config)?;
    if let Some(listen) = listen {
        config.listen = listen;
    }
    service::start_log(config.log_level);
    if config.apps.is_empty() {
        config.apps.push(own_app()?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(config))
}

fn own_app() -> Result<zego_protocol::token::App, Failure> {
    let is_root = rustix::process::geteuid().is_root();
    let directory = apps::state_directory(|name| std::env::var(name).ok(), is_root);
    let own = apps::own(&directory)?;
    // A journal is read by more people than a terminal.
    let secret = if service::is_journal() { "(in the file)" } else { &own.app.secret };
    let made = if own.is_new { "made" } else { "found" };
    eprintln!("zegohub: AppID {} ServerSecret {secret} ({made} in {})", own.app.id, own.path.display());
    Ok(own.app)
}

async fn serve(config: Config) -> Result<(), Failure> {
    // Before anything is started, so that an early signal is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(config.listen).await.map_err(|error| Failure::Listen(config.listen, error))?;
    let address = listener.local_addr()?;
    let (notices, received) = mpsc::unbounded_channel();
    let media = SfuConfig { address: config.listen.ip(), port: config.udp_port };
    let sfu = Sfu::start(&media, notices)?;
    let settings = Settings {
        heartbeat_timeout: config.heartbeat_timeout,
        expire_sessions: config.expire_sessions,
        room: config.room,
    };
    let webhooks = Webhooks::start(&config.webhooks, &config.apps)?;
    let watched = http::Watched::new(sfu.counters(), webhooks.totals(), config.metrics_token);
    let (core, inbox) = Core::new(settings, sfu, received, webhooks);
    let router = http::router(config.apps, inbox, watched).into_make_service_with_connect_info::<SocketAddr>();
    // A join and its answer are two small writes: held together until the first is acknowledged, the second would be
    // 40 ms late.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            log::debug!("a connection sends late: {error}");
        }
    });
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    eprintln!("zegohub: ready on http://{address}");
    service::notify_ready();
    core.run(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        service::notify_stopping();
        log::info!("ending");
    })
    .await;
    server.abort();
    Ok(())
}
