#![no_main]
//! Candidates and ICE restarts of WHIP's and WHEP's clients.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|told: (&str, &str, Option<&str>)| zegohub::fuzzing::whip_fragment(told.0, told.1, told.2));
