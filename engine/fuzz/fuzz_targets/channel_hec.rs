#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tripline_fuzz::check::hec(input));
