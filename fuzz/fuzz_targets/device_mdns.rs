#![no_main]
//! Datagrams of multicast DNS.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| mdns_sd::fuzz_api::parse_packet(data));
