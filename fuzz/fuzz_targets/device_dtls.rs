#![no_main]
//! Datagrams of a DTLS handshake.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagrams: Vec<Vec<u8>>| zegod::fuzzing::handshake(&datagrams));
