#![no_main]
//! RTP payloads of Opus.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| zegod::fuzzing::voice_packets(data));
