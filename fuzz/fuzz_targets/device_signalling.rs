#![no_main]
//! What a server says to a device.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|frames: Vec<Vec<u8>>| zegod::fuzzing::signalling(&frames));
