//! The `zegod` daemon: arguments, configuration, logging, readiness, shutdown.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use zegod::bus::{Address, Bus};
use zegod::config::Config;
use zegod::engine::Engine;
use zegod::service;

/// For the bus to take its name back: whoever is asked to end ends, also when the bus does not answer.
const LEAVE_TIME: Duration = Duration::from_millis(500);

/// Puts the camera, microphone and speaker of this device into real-time rooms, controlled over D-Bus (org.zegod1).
#[derive(Parser)]
#[command(name = "zegod", version, about)]
struct Arguments {
    /// Read this configuration instead of /etc/zegod/zegod.toml and zegod.toml.d/
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Serve on this bus: system, session, or a D-Bus address
    #[arg(long, value_name = "BUS", default_value = "system")]
    bus: Address,
}

fn main() -> ExitCode {
    service::share_heap();
    // Wrong usage ends here, with exit status 2.
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("zegod: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::load(arguments.config.as_deref())?;
    service::start_logging(config.log.level.filter());
    // One thread: control is little work, and media has threads of its own.
    // Devices are opened on threads that may block; one that has nothing more to do is gone at once.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(Duration::from_millis(200))
        .build()?;
    let result = runtime.block_on(serve(config, &arguments.bus));
    // A device that hangs in its driver must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

async fn serve(config: Config, address: &Address) -> Result<(), Box<dyn std::error::Error>> {
    let (engine, events) = Engine::start(config)?;
    let bus = Bus::serve(address, engine.clone(), events).await?;
    service::ready();
    service::feed_watchdog();
    log::info!("serving {} on {address}", zego_protocol::names::BUS_NAME);
    let result = tokio::select! {
        signal = service::asked_to_end() => {
            log::info!("ending on {}", signal?);
            Ok(())
        }
        () = bus.closed() => Err("the bus is gone".into()),
    };
    service::stopping();
    if result.is_ok() && tokio::time::timeout(LEAVE_TIME, bus.leave()).await.is_err() {
        log::warn!("the bus does not take the name {} back", zego_protocol::names::BUS_NAME);
    }
    engine.destroy().await?;
    result
}
