#![no_main]
//! Data packets of clients.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| zegohub::fuzzing::data_packet(packet));
