#![no_main]

#[path = "../checks/plugin_manifest.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &str| check::run(input));
