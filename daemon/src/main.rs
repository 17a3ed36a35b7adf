//! The `zegod` daemon: arguments, configuration, logging, readiness, shutdown.

fn main() {}
