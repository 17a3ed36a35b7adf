#![no_main]
//! Bodies of calls of the RoomService.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| zegohub::fuzzing::twirp_body(data));
