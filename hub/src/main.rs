//! `zegohub`: a small LiveKit-compatible room server for one machine or one LAN.

mod apps;
mod config;
mod core;
mod http;
mod rooms;
mod sdp;
mod service;
mod sfu;
mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use axum::serve::ListenerExt as _;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::{Config, ConfigError};
use crate::core::Core;
use crate::rooms::Settings;
use crate::sfu::{Sfu, SfuConfig, SfuError};
use crate::webhooks::Webhooks;

/// Room server for zegod, browsers and every LiveKit SDK.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Configuration file [default: /etc/zegohub/zegohub.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address for HTTP, WebSocket and media, such as 127.0.0.1:7880; goes before the configuration's
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
}

/// Why the hub cannot run.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Apps(#[from] apps::AppsError),
    #[error(transparent)]
    Media(#[from] SfuError),
    #[error("cannot listen on {0}: {1}; another program uses this port, or the address is not this machine's")]
    Listen(SocketAddr, std::io::Error),
    #[error("cannot send webhooks: {0}")]
    Webhooks(#[from] reqwest::Error),
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("zegohub: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut config = Config::load(arguments.config.as_deref())?;
    if let Some(listen) = arguments.listen {
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
