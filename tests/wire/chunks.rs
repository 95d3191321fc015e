//! Ways to cut a stream.

use pcp_tests::captures::{Capture, Side};

/// The stream as it was read, byte by byte, and in some chunks that differ from run to run of the generator only.
pub(crate) fn several(capture: &Capture) -> Vec<Vec<Vec<u8>>> {
    let bytes = capture.bytes(Side::Server);
    let recorded = capture.exchange.iter().filter(|step| step.from == Side::Server);
    let mut ways =
        vec![recorded.map(|step| step.bytes.clone()).collect(), bytes.iter().map(|&byte| vec![byte]).collect()];
    let seed =
        capture.to_string().bytes().fold(1, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let mut random = Random(seed);
    for longest in [7, 60, 1500] {
        let mut rest = &bytes[..];
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(random.up_to(longest).min(rest.len()));
            chunks.push(chunk.to_vec());
            rest = behind;
        }
        ways.push(chunks);
    }
    ways
}

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    /// A number from one to `most`.
    fn up_to(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most + 1
    }
}
