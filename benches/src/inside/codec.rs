//! The work of the codec, so many times: what callgrind counts.

use std::hint::black_box;

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use pcp_proto::message::{Batch, ProcessInfo, ProcessInfoLayout, ProcessInfos, ReadNodeInfo, Reply, Rows};
use pcp_proto::{Credentials, Event, FrameDecoder, ReplyKind, Session};

include!("../workload.rs");

pub(crate) fn run(work: &str, count: usize) -> Result<()> {
    match work {
        "encode" => encode(count)?,
        "rows" => rows(&process_list(count)),
        "nuls" => nuls(&process_list(count)),
        "list" => drop(black_box(process_list(count))),
        "session" => session(count)?,
        _ => bail!("no such work: {work}"),
    }
    Ok(())
}
