//! Runs what fuzzing checks over its corpus, so that every build knows what fuzzing once found, and over bytes that
//! proptest makes up.

use pcp_proto::fuzz::{TARGETS, replay};
use pcp_proto::{Frame, ReplyKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

#[test]
fn every_property_holds_for_its_corpus() {
    replay(TARGETS);
}

proptest! {
    #[test]
    fn every_property_holds_for_arbitrary_bytes(data: Vec<u8>) {
        TARGETS.iter().for_each(|(_, check)| check(&data));
    }

    #[test]
    fn every_property_holds_for_frames_that_are_nearly_right(frames in vec(nearly_right(), 1..6)) {
        TARGETS.iter().for_each(|(_, check)| check(&frames.concat()));
    }
}

/// A frame of the words and numbers of real ones, in any order.
fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
    let first = select(vec!["CommandComplete", "ArraySize", "NodeInfo", "ProcessInfo", "ProcessConfig"]);
    let known = select(vec!["0", "1", "2", "-1", "127.0.0.11", "5432", "715827882.333333", "up", "streaming", ""]);
    let field = prop_oneof![
        8 => known.prop_map(|field| field.as_bytes().to_vec()),
        1 => "-?[0-9]{1,20}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..20),
    ];
    let kind = select(b"abcdgilhnprtvwzENACDGHIJLOPRTVWXZdjt".to_vec());
    (kind, first, vec(field, 0..24)).prop_map(|(kind, first, fields)| {
        let body = fields.into_iter().fold(first.as_bytes().to_vec(), |body, field| [body, field].join(&0));
        Frame::new(ReplyKind(kind), [&body[..], b"\0"].concat()).to_bytes().to_vec()
    })
}
