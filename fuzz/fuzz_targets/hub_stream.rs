#![no_main]
//! Datagrams on a TCP connection.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|pieces: Vec<Vec<u8>>| zegohub::fuzzing::stream(&pieces));
