#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pcp_client::fuzz::node_name(data));
