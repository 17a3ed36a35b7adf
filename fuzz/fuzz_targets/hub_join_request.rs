#![no_main]
//! The query of a client that joins.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| zegohub::fuzzing::join_request(data));
