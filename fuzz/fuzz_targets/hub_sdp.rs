#![no_main]
//! Session descriptions and ICE candidates of clients.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| zegohub::fuzzing::sdp(text));
