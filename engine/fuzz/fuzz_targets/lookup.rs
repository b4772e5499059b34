#![no_main]

#[path = "../checks/lookup.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::run(input));
