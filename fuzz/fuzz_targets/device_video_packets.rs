#![no_main]
//! RTP payloads of H.264 and VP8.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| zegod::fuzzing::video_packets(data));
