#![no_main]
//! RTP numbers, times and VP8 descriptors that the hub rewrites.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| zegohub::fuzzing::vp8_packets(data));
