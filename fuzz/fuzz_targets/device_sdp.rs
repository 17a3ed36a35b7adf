#![no_main]
//! Session descriptions of a server.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| zegod::fuzzing::sdp(text));
