//! Every request on every age: the letters and the number of frames that real servers sent, and the words of
//! refusals.

use pcp_proto::message::{
    AttachNode, DetachNode, DetachNodeGracefully, InvalidateQueryCache, MessageLevel, PromoteMode, PromoteNode,
    PromoteNodeGracefully, ReadHealthCheckStats, ReadNodeCount, ReadNodeInfo, ReadPoolStatus, ReadProcessCount,
    ReadProcessInfo, ReadWatchdogInfo, RecoverNode, ReloadConfig, Reply as _, Request, RotateLog, Scope,
    SetClientMinMessages, StopCluster, StopMode, StopPgpool,
};
use pcp_proto::{NodeId, ServerMessage};

use super::test::Drill;
use super::{Age, Reply, Settings, Then, Watchdog, World};

fn drill(age: Age, change: impl FnOnce(&mut Settings)) -> Drill {
    let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
    let mut drill = Drill::new(world.configure(|settings| {
        settings.num_init_children = 8;
        settings.max_pool = 2;
        change(settings);
    }));
    drill.world.kill_postgres(2);
    drill.detach(2).unwrap();
    drill.wait(2.0);
    drill
}

/// Asks; returns the letters and what becomes of the connection, or a refusal. The reply reads well.
fn ask<R: Request>(mut drill: Drill, request: &R) -> String {
    let Some(reply) = drill.reply_within(std::time::Duration::from_secs(60), &request.encode()) else {
        return "silence".to_owned();
    };
    let Reply { frames, then } = reply;
    let last = frames.last().expect("an answer");
    if last.kind != R::REPLY {
        let refusal = ServerMessage::decode(&last.body).unwrap();
        assert_eq!((refusal.is_fatal(), frames.len()), (then == Then::Close, 1));
        return refusal.to_string();
    }
    assert_eq!(then, Then::GoOn);
    let reply = R::Reply::decode(&frames).unwrap();
    assert_eq!(reply.encode(R::REPLY), frames);
    format!("{}{}", last.kind, frames.len())
}

fn id(node: u8) -> NodeId {
    usize::from(node).try_into().unwrap()
}

/// What is said of a request that came later than this age.
fn unknown(letter: char) -> String {
    format!("FATAL: PCP processing request (unknown PCP packet type \"{letter}\")")
}

#[test]
fn every_request_gets_the_answer_of_the_age() {
    for age in Age::ALL {
        let plain = || drill(age, |_| {});
        let since = |first, letter, answer: &str| if age < first { unknown(letter) } else { answer.to_owned() };
        let has_rows = age >= Age::V4_3_0;
        let graceful = if age == Age::V3_7 { "silence" } else { "d1" };
        let watchdog = match has_rows {
            true => "ERROR: PCP: informing watchdog info failed (watchdog is not enabled)",
            false => "ERROR: PCP: informing watchdog info failed (watcdhog is not enabled)",
        };
        let down = "ERROR: invalid degenerate backend request, node id : 2 status: [3] is not valid for failover";
        let rotated = "ERROR: process log rotation request failed (logging_collector is disabled)";
        let mode = PromoteMode::ViewOnly;
        #[rustfmt::skip]
        let table = [
            (ask(plain(), &ReadNodeCount), "l1".to_owned()),
            (ask(plain(), &ReadNodeInfo::Node(id(1))), if has_rows { "i3" } else { "i1" }.to_owned()),
            (ask(plain(), &ReadNodeInfo::Node(id(99))), format!("ERROR: informing node info failed (invalid node ID{})", if has_rows { " : 99" } else { "" })),
            (ask(plain(), &ReadNodeInfo::All), if has_rows { "i5" } else { "ERROR: informing node info failed (invalid node ID)" }.to_owned()),
            (ask(plain(), &ReadHealthCheckStats { node: id(1) }), since(Age::V4_2, 'H', "h1")),
            (ask(plain(), &ReadProcessCount), "n1".to_owned()),
            (ask(plain(), &ReadProcessInfo::All), "p50".to_owned()),
            (ask(plain(), &ReadProcessInfo::Process(21_926.try_into().unwrap())), "p8".to_owned()),
            (ask(plain(), &ReadProcessInfo::Process(1.try_into().unwrap())), "ERROR: informing process info failed (invalid process ID : 1)".to_owned()),
            (ask(plain(), &ReadWatchdogInfo::All), watchdog.to_owned()),
            (ask(drill(age, |settings| settings.watchdog = Some(Watchdog::of(&["pgpool1"]))), &ReadWatchdogInfo::Member(0)), "w1".to_owned()),
            (ask(plain(), &AttachNode { node: id(2) }), "c1".to_owned()),
            (ask(plain(), &AttachNode { node: id(1) }), "c1".to_owned()),
            (ask(plain(), &AttachNode { node: id(99) }), "c1".to_owned()),
            (ask(plain(), &DetachNode { node: id(1) }), "d1".to_owned()),
            (ask(plain(), &DetachNode { node: id(2) }), down.to_owned()),
            (ask(plain(), &DetachNode { node: id(99) }), "d1".to_owned()),
            (ask(plain(), &DetachNodeGracefully { node: id(1) }), graceful.to_owned()),
            (ask(plain(), &DetachNodeGracefully { node: id(2) }), down.to_owned()),
            (ask(plain(), &PromoteNode { node: id(1), mode }), "d1".to_owned()),
            (ask(plain(), &PromoteNode { node: id(1), mode: PromoteMode::Switchover }), "d1".to_owned()),
            (ask(plain(), &PromoteNodeGracefully { node: id(1), mode }), "d1".to_owned()),
            (ask(plain(), &RecoverNode { node: id(2) }), "c1".to_owned()),
            (ask(plain(), &RecoverNode { node: id(1) }), "ERROR: node recovery failed, node id: 1 is alive".to_owned()),
            (ask(plain(), &StopPgpool { mode: StopMode::Smart }), "t1".to_owned()),
            (ask(plain(), &StopCluster { mode: StopMode::Fast }), since(Age::V4_2, 't', "t1")),
            (ask(plain(), &ReloadConfig { scope: Scope::Local }), since(Age::V4_2, 'Z', "z1")),
            (ask(plain(), &ReloadConfig { scope: Scope::Cluster }), since(Age::V4_2, 'Z', "z1")),
            (ask(plain(), &RotateLog { scope: Scope::Local }), since(Age::V4_6, 'V', rotated)),
            (ask(drill(age, |settings| settings.logging_collector = true), &RotateLog { scope: Scope::Cluster }), since(Age::V4_6, 'V', "v1")),
            (ask(plain(), &InvalidateQueryCache), since(Age::V4_6, 'G', "ERROR: query cache is not enabled")),
            (ask(drill(age, |settings| settings.memory_cache_enabled = true), &InvalidateQueryCache), since(Age::V4_6, 'G', "g1")),
            (ask(plain(), &SetClientMinMessages { level: MessageLevel::Warning }), "a1".to_owned()),
        ];
        for (row, (answer, expected)) in table.into_iter().enumerate() {
            assert_eq!(answer, expected, "{age}, row {row}");
        }
        let parameters = ask(plain(), &ReadPoolStatus);
        assert!(parameters.starts_with('b') && parameters.len() == 3, "{age}: {parameters}");
    }
}
