#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pcp_client::fuzz::efm_status(data));
