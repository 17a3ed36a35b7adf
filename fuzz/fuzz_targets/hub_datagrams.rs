#![no_main]
//! UDP datagrams of a connected client: STUN, DTLS, RTP and RTCP.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| zegohub::fuzzing::datagrams(data));
