#![no_main]
//! Dependency Descriptors, the layers that the hub leaves out, and the numbers that it closes up.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| zegohub::fuzzing::av1_packets(data));
