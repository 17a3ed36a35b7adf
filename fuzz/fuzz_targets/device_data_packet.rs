#![no_main]
//! Data packets that a server hands to a device.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|packets: Vec<Vec<u8>>| zegod::fuzzing::data_packets(&packets));
