#![no_main]
//! Offers of WHIP's and WHEP's clients.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| zegohub::fuzzing::whip_offer(text));
