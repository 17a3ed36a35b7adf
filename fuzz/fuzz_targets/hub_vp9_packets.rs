#![no_main]
//! VP9 descriptors, the layers that the hub leaves out, and the numbers that it closes up.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| zegohub::fuzzing::vp9_packets(data));
