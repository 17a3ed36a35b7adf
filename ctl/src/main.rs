//! The `zegoctl` program.

fn main() {}
