//! The codec, with criterion: `cargo bench --manifest-path benches/Cargo.toml`.

use std::hint::black_box;

use anyhow::{Context, Result};
use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pcp_proto::message::{Batch, ProcessInfo, ProcessInfoLayout, ProcessInfos, ReadNodeInfo, Reply, Rows};
use pcp_proto::{Credentials, Event, FrameDecoder, ReplyKind, Session};

include!("../src/workload.rs");

/// The slots of a large Pgpool.
const SLOTS: usize = 100_000;

fn codec(c: &mut Criterion) {
    let list = process_list(SLOTS);
    let mut group = c.benchmark_group("process list");
    group.throughput(Throughput::Bytes(list.len() as u64)).sample_size(10);
    group.bench_function("read", |bench| bench.iter(|| rows(&list)));
    group.bench_function("memchr", |bench| bench.iter(|| nuls(&list)));
    group.finish();
    c.bench_function("node info/encode 1000", |bench| bench.iter(|| encode(1000)));
    c.bench_function("node info/ask and read 1000", |bench| bench.iter(|| session(1000)));
}

criterion_group!(benches, codec);
criterion_main!(benches);
