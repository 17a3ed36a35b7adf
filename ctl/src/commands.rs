//! The commands, one file per concern.

mod devices;
mod doctor;
mod engine;
mod explain;
mod find;
mod levels;
mod message;
mod monitor;
mod play;
mod publish;
mod record;
mod room;
mod sound;
mod stats;
mod status;
mod token;
mod view;

use clap::CommandFactory;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{Arguments, Command};
use crate::bus::Daemon;
use crate::failure::Failure;
use crate::output::Output;

/// Does what the command line asks for.
///
/// # Errors
/// Whatever stands in the way; [`Failure`] knows the exit status.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let output = Output { json: arguments.json };
    let bus = &arguments.bus;
    match arguments.command {
        Command::Token(options) => token::make(options, output),
        Command::Explain { code } => explain::explain(&code, output),
        Command::Completions { shell } => completions(shell, output),
        Command::Find { seconds } => find::find(seconds, output).await,
        Command::Play(options) => play::play(bus, options, output).await,
        Command::Preview(options) => play::preview(bus, options, output).await,
        Command::Doctor(options) => doctor::examine(bus, options, output).await,
        command => {
            let daemon = Daemon::on(bus).await?;
            match command {
                Command::Status => status::status(&daemon, output).await,
                Command::CreateEngine(options) => engine::create(&daemon, &options, output).await,
                Command::DestroyEngine => engine::destroy(&daemon, output).await,
                Command::VideoConfig(options) => engine::video(&daemon, &options, output).await,
                Command::AudioConfig(options) => engine::audio(&daemon, &options, output).await,
                Command::Diagnostics => engine::diagnostics(&daemon, output).await,
                Command::Layer { stream, layer } => play::layer(&daemon, &stream, layer, output).await,
                Command::Levels(options) => levels::levels(&daemon, &options, output).await,
                Command::Login(options) => room::login(&daemon, options, output).await,
                Command::Logout { room } => room::logout(&daemon, room, output).await,
                Command::Switch { from, to, token, server, no_wait } => {
                    let (token, server) = (token.as_deref(), server.as_deref());
                    room::switch(&daemon, &from, &to, token, server, !no_wait, output).await
                }
                Command::RenewToken { room, token } => {
                    room::renew_token(&daemon, &room, token.as_deref(), output).await
                }
                Command::ExtraInfo { room, key, value } => room::extra_info(&daemon, &room, &key, &value, output).await,
                Command::StreamInfo { stream, text } => publish::stream_info(&daemon, &stream, &text, output).await,
                Command::Users { room } => room::users(&daemon, room, output).await,
                Command::Streams { room } => room::streams(&daemon, room, output).await,
                Command::Publish(options) => publish::publish(&daemon, options, output).await,
                Command::Unpublish { stream } => publish::unpublish(&daemon, stream, output).await,
                Command::Stop { stream } => play::stop(&daemon, &stream, output).await,
                Command::Mute(options) => sound::mute(&daemon, &options, output).await,
                Command::Volume { target, volume } => sound::volume(&daemon, &target, volume, output).await,
                Command::Devices => devices::list(&daemon, output).await,
                Command::Use { device_id, channel } => devices::select(&daemon, &device_id, channel, output).await,
                Command::Message { room, text, to, barrage } => {
                    message::send(&daemon, &room, &text, &to, barrage, output).await
                }
                Command::Snapshot(options) => record::snapshot(&daemon, options, output).await,
                Command::Record(options) => record::record(&daemon, options, output).await,
                Command::Stats { watch } => stats::stats(&daemon, watch, output).await,
                Command::Monitor => monitor::monitor(&daemon, output).await,
                Command::Token(_)
                | Command::Explain { .. }
                | Command::Completions { .. }
                | Command::Find { .. }
                | Command::Doctor(_)
                | Command::Play(_)
                | Command::Preview(_) => unreachable!("done above"),
            }
        }
    }
}

fn completions(shell: clap_complete::Shell, output: Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "zegoctl", &mut script);
    output.raw(&script)
}

/// Waits until somebody ends this program: Ctrl-C, SIGTERM or SIGHUP.
async fn ended() -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::local(format!("Signals cannot be received: {error}")));
    let (mut interrupt, mut terminate, mut hangup) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
