//! See `tests/it/hostile_targets.rs`.
#![no_main]

#[path = "../../tests/it/hostile_targets.rs"]
#[allow(dead_code, reason = "each of these programs runs one of the targets")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::records(bytes));
