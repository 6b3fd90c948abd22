#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| heddle_fuzz_targets::tls_messages(bytes));
