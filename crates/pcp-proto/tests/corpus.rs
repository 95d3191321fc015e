//! Runs what fuzzing checks over its corpus, so that every build knows what fuzzing once found.

#[test]
fn every_property_holds_for_its_corpus() {
    pcp_proto::fuzz::replay(pcp_proto::fuzz::TARGETS);
}
