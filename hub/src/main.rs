//! The `zegohub` program.

fn main() {}
