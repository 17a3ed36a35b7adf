//! The demo behind `make run`: a private bus for each device, a room server, and two devices, `door` and `desk`, that
//! call each other on simulated cameras and microphones. It shows how to join them and, every second, how the call
//! does; when it ends, so does everything that it started.
//!
//! Exit status: 0, or 1 when something did not start, ended by itself, or no media flowed both ways by the end.

mod call;
mod device;
mod meter;
mod screen;
mod server;
mod stage;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::call::Call;
use crate::device::{DeviceError, Sources};
use crate::server::ServerError;
use crate::stage::{Stage, StageError};

/// Two devices in a room, on simulated cameras and microphones.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where the room server listens (its media goes by the UDP port that is higher by 2).
    #[arg(long, default_value = "127.0.0.1:7880")]
    listen: SocketAddr,
    /// End after so many seconds, with exit status 1 when no media flowed both ways.
    #[arg(long)]
    duration: Option<u64>,
    /// The camera of `door`, as in zegod.toml: pattern, auto, v4l2:ID, file:PATH.
    #[arg(long, default_value = "pattern")]
    camera: String,
    /// The microphone of `door`: tone, auto, alsa:NAME, file:PATH.
    #[arg(long, default_value = "tone")]
    microphone: String,
    /// The speaker of `door`: null, auto, alsa:NAME, file:PATH.
    #[arg(long, default_value = "null")]
    speaker: String,
}

/// Why the demo ended.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    #[error("{0}")]
    NoMedia(String),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("The demo cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), DemoError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DemoError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(DemoError::Signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(DemoError::Signals)?;
    let mut stage = Stage::new()?;
    let outcome = tokio::select! {
        outcome = show(arguments, &mut stage) => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    };
    screen::leave_line();
    stage.clear().await;
    outcome
}

/// Starts everything and shows the status until the time is up.
async fn show(arguments: &Arguments, stage: &mut Stage) -> Result<(), DemoError> {
    screen::say("Starting a room server and two devices, door and desk.");
    let server = server::start(stage, arguments.listen).await?;
    let sources = Sources {
        camera: arguments.camera.clone(),
        microphone: arguments.microphone.clone(),
        speaker: arguments.speaker.clone(),
    };
    let door = device::start(stage, "door", &server, &sources).await?;
    let desk = device::start(stage, "desk", &server, &Sources::simulated()).await?;
    let (door, desk) = (door.enter(&server).await?, desk.enter(&server).await?);
    let mut call = Call::begin(door, desk).await?;
    screen::introduce(&server, call.devices());

    let mut clock = tokio::time::interval(Duration::from_secs(1));
    clock.tick().await;
    let mut seconds = 0;
    while arguments.duration.is_none_or(|duration| seconds < duration) {
        clock.tick().await;
        seconds += 1;
        stage.check()?;
        screen::draw(seconds, &call.status().await?);
    }
    call.verdict().map_err(DemoError::NoMedia)
}
