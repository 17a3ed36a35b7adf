//! The hub as a whole: starts the parts, hands them to each other, and ends them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_rustls::rustls::ServerConfig;
use zego_protocol::discovery::{Announcement, Tls};
use zego_protocol::token::App;

use crate::announce::{self, AnnounceError, Announcer};
use crate::apps::{self, AppsError};
use crate::certificate::{self, CertificateError};
use crate::config::{CertificateSource, Config, ConfigError, DiscoveryConfig, TlsConfig};
use crate::core::Core;
use crate::http::{Gate, Listener, Policy};
use crate::rooms::Settings;
use crate::sfu::{Sfu, SfuConfig, SfuError};
use crate::webhooks::Webhooks;
use crate::{http, service, sfu};

/// Descriptors that are not for clients' connections: sockets for media, files, webhooks, programs on this machine.
const OWN_DESCRIPTORS: usize = 256;

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
    /// The certificate.
    #[error("[tls]: {0}")]
    Certificate(#[from] CertificateError),
    /// The name for multicast DNS, which the certificate has.
    #[error("[tls]: {0}")]
    Name(#[from] AnnounceError),
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

fn own_app() -> Result<App, Failure> {
    let own = apps::own(&state_directory())?;
    // A journal is read by more people than a terminal.
    let secret = if service::is_journal() { "(in the file)" } else { &own.app.secret };
    let made = if own.is_new { "made" } else { "found" };
    eprintln!("zegohub: AppID {} ServerSecret {secret} ({made} in {})", own.app.id, own.path.display());
    Ok(own.app)
}

/// What is spoken and asked for, by the configuration.
fn secure(config: Option<&TlsConfig>) -> Result<(Option<Arc<ServerConfig>>, Policy), Failure> {
    let Some(config) = config else { return Ok((None, Policy::default())) };
    let (certificate, key, authority) = match &config.certificate {
        CertificateSource::Files { certificate, key } => (certificate.clone(), key.clone(), None),
        CertificateSource::Own { names } => {
            let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
            // Whether or not it is announced now: with other names the authority would be another one.
            let found_as = format!("{}.local", announce::host(&state_directory())?);
            let names: Vec<String> = names.iter().cloned().chain([found_as]).collect();
            let names = certificate::names(&hostname, &names);
            let directory = state_directory().join("tls");
            let own = certificate::own(&directory, &names, &sfu::addresses::local()?, SystemTime::now())?;
            let file = own.authority.display();
            log::info!("TLS for {}; whoever trusts {file}, also at /authority.pem, trusts this hub", names.join(", "));
            log::info!("its authority is {}", certificate::fingerprint(&own.authority)?);
            (own.certificate, own.key, Some(std::fs::read_to_string(own.authority)?))
        }
    };
    let tls = certificate::server_config(&certificate, &key)?;
    Ok((Some(tls), Policy { required: !config.plain, authority }))
}

fn state_directory() -> PathBuf {
    apps::state_directory(|name| std::env::var(name).ok(), rustix::process::geteuid().is_root())
}

/// How many connections of clients there may be: as many as the system gives descriptors for, but for some of our own.
fn connections() -> usize {
    let given = getrlimit(Resource::Nofile);
    let most = Rlimit { current: given.maximum, ..given };
    // Programs start with a low limit for the sake of an old system call that the hub does not use; it may be raised.
    let limit = if setrlimit(Resource::Nofile, most).is_ok() { most } else { given };
    let descriptors = limit.current.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    descriptors.saturating_sub(OWN_DESCRIPTORS).max(OWN_DESCRIPTORS)
}

/// The name for multicast DNS, where the hub is to be found by it.
fn mdns_name(config: &DiscoveryConfig, listen: SocketAddr) -> Option<String> {
    if !config.announce || listen.ip().is_loopback() {
        return None;
    }
    let name = announce::host(&state_directory());
    name.inspect_err(|error| log::warn!("this hub is not found by itself: {error}")).ok()
}

/// Announces the hub, which is used all the same if that fails.
fn announce(config: &Config, host: &str, listen: SocketAddr) -> Option<Announcer> {
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = config.discovery.name.clone().unwrap_or_else(|| announce::name(&hostname));
    let tls = match &config.tls {
        None => Tls::No,
        Some(tls) if tls.plain => Tls::Optional,
        Some(_) => Tls::Required,
    };
    let app_ids = Some(config.apps.iter().map(|app| app.id.clone()).collect());
    let says = Announcement { version: env!("CARGO_PKG_VERSION").to_owned(), tls, app_ids };
    match Announcer::start(&name, host, listen, &says) {
        Ok(announcer) => {
            log::info!("announced on the LAN as '{name}', {host}.local");
            Some(announcer)
        }
        Err(error) => {
            log::warn!("this hub is not found by itself: {error}");
            None
        }
    }
}

async fn serve(config: Config) -> Result<(), Failure> {
    // Before anything is started, so that an early signal is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(config.listen).await.map_err(|error| Failure::Listen(config.listen, error))?;
    let address = listener.local_addr()?;
    let (notices, received) = mpsc::unbounded_channel();
    let tcp_port = config.tcp_port.number(config.udp_port, address.port());
    let media = SfuConfig { address: config.listen.ip(), port: config.udp_port, tcp_port, data: config.limits.data() };
    let sfu = Sfu::start(&media, notices)?;
    let mdns = mdns_name(&config.discovery, address);
    let gate = Arc::new(Gate::new(&config.limits, connections()));
    let settings = Settings {
        heartbeat_timeout: config.heartbeat_timeout,
        expire_sessions: config.expire_sessions,
        room: config.room.clone(),
        limits: config.limits.clone(),
        turn: config.turn.clone(),
    };
    let webhooks = Webhooks::start(&config.webhooks, &config.apps)?;
    let watched = http::Watched::new(sfu.counters(), webhooks.totals(), gate.refused(), config.metrics_token.clone());
    let (core, inbox) = Core::new(settings, sfu, received, webhooks, config.apps.clone());
    let (tls, policy) = secure(config.tls.as_ref())?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listener = Listener::new(listener, tls, gate.places(), gate.refused());
    let server = tokio::spawn(http::serve(listener, http::router(config.apps.clone(), inbox, watched, policy, gate)));
    eprintln!("zegohub: ready on {scheme}://{address}");
    service::notify_ready();
    let announcer = mdns.and_then(|host| announce(&config, &host, address));
    let leaving = announcer.as_ref();
    core.run(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        service::notify_stopping();
        log::info!("ending");
        // Before anybody is told to leave: whoever looks for another hub is not to find this one.
        if let Some(announcer) = leaving {
            announcer.leave();
        }
    })
    .await;
    if let Some(announcer) = announcer {
        announcer.finish().await;
    }
    server.abort();
    Ok(())
}
