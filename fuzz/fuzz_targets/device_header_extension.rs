#![no_main]
//! The capture time in a header extension.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| zegod::fuzzing::header_extension(data));
