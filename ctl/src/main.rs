//! The `zegoctl` program: zegod from the command line.
//!
//! Exit status: 0 done, 1 refused, 2 wrong usage, 3 the daemon or the bus is not there.

mod arguments;
mod bus;
mod commands;
mod doctor;
mod examples;
mod failure;
mod output;
mod table;
mod value;

use std::process::ExitCode;

use clap::FromArgMatches;

fn main() -> ExitCode {
    let matches = examples::with_examples().get_matches();
    let arguments = arguments::Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let json = arguments.json;
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::local(format!("no event loop: {error}")).report(json),
    };
    match runtime.block_on(commands::run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}
