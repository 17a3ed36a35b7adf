#![no_main]
//! Data packets of clients, and those of their data tracks.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    zegohub::fuzzing::data_packet(packet);
    zegohub::fuzzing::data_track_packet(packet);
});
