#![no_main]
//! Answers of WHIP and WHEP endpoints.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|told: (u16, &str, &str, &str)| zegod::fuzzing::endpoint_answer(told.0, told.1, told.2, told.3));
