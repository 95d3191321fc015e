#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pcp_cli::fuzz::efm_properties(data));
