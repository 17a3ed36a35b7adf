#![no_main]
//! Signalling frames of two people in a room of the hub.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|frames: Vec<(bool, bool, Vec<u8>)>| {
    let mut stage = zegohub::fuzzing::Stage::new();
    for (first, is_text, frame) in frames.into_iter().take(64) {
        if let Some(request) = zegohub::fuzzing::frame(&frame, is_text) {
            stage.request(if first { 1 } else { 2 }, request);
        }
    }
});
