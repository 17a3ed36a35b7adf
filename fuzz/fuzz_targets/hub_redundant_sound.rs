#![no_main]
//! Redundant sound (RFC 2198) that the hub unpacks and renames.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| zegohub::fuzzing::redundant_sound(data));
