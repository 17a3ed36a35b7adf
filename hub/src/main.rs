//! `zegohub`: a small LiveKit-compatible room server for one machine or one LAN.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match zegohub::run(arguments.config.as_deref(), arguments.listen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("zegohub: {failure}");
            ExitCode::FAILURE
        }
    }
}
