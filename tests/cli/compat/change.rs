//! Attach, detach and promote through links: one request, and success only for what was read back.

use anyhow::Result;
use pcp_client::sandbox::{Age, Fault, World};
use pcp_proto::RequestKind;
use pcp_tests::{Output, Pcpctl, pcpctl};

use crate::support::Pgpool;

/// Begins a run of a link on a sandbox.
pub(super) fn link(pgpool: &Pgpool, tool: &str, args: &[&str]) -> Pcpctl {
    let port = pgpool.sandbox.address().port().to_string();
    let link = pcpctl!().named(tool).args(["-h", "127.0.0.1", "-p", &port, "-w"]).args(args);
    link.env("PCP_USER", World::USER).env("PCP_PASSWORD", World::PASSWORD)
}

fn shown(output: &Output) -> (Option<i32>, &str, &str) {
    (output.code, &output.stdout, &output.stderr)
}

#[test]
fn nothing_but_the_one_request_is_sent() -> Result<()> {
    for age in [Age::V3_7, Age::V4_1, Age::V4_3_1, Age::V4_7] {
        let pgpool = Pgpool::start_with(age)?;
        for (tool, node, kind) in [
            ("pcp_detach_node", "2", RequestKind::DETACH_NODE),
            ("pcp_attach_node", "2", RequestKind::ATTACH_NODE),
            // It sets every other node down, and nobody attaches them.
            ("pcp_promote_node", "1", RequestKind::PROMOTE_NODE),
        ] {
            let before = pgpool.sandbox.requests().len();
            let output = link(&pgpool, tool, &[node]).run()?;
            let success = format!("{tool} -- Command Successful\n");
            assert_eq!(shown(&output), (Some(0), &*success, ""), "{age} {tool}");
            let requests = pgpool.sandbox.requests();
            let changes: Vec<_> =
                requests[before..].iter().map(|&(_, kind)| kind).filter(|&kind| is_change(kind)).collect();
            assert_eq!(changes, [kind], "{age} {tool}");
        }
        let nodes = pgpool.sandbox.with(|world| world.show_pool_nodes());
        assert_eq!(nodes, "0=down/standby 1=up/primary 2=down/standby", "{age}");
    }
    Ok(())
}

fn is_change(kind: RequestKind) -> bool {
    !matches!(kind, RequestKind::READ_SALT | RequestKind::LOGIN | RequestKind::DISCONNECT)
        && !kind.name().is_some_and(|name| name.starts_with("READ_"))
}

#[test]
fn a_promotion_that_is_refused_in_the_log_only_is_no_success() -> Result<()> {
    let pgpool = Pgpool::start()?;
    assert_eq!(link(&pgpool, "pcp_detach_node", &["1"]).run()?.code, Some(0));
    let promote = || link(&pgpool, "pcp_promote_node", &["1"]);
    let output = promote().env("PCPCTL_DEADLINE", "2s").run()?;
    let reason = "ERROR: Pgpool took the request, but it is not verified in time: waited for node 1 to be up and the \
        primary\n";
    assert_eq!(shown(&output), (Some(8), "", reason));
    let believed = promote().env("PCPCTL_COMPAT_VERIFY", "off").run()?;
    assert_eq!(shown(&believed), (Some(0), "pcp_promote_node -- Command Successful\n", ""));
    Ok(())
}

#[test]
fn a_node_that_is_not_there_is_not_asked_for() -> Result<()> {
    let pgpool = Pgpool::start()?;
    for tool in ["pcp_attach_node", "pcp_detach_node"] {
        let output = link(&pgpool, tool, &["3"]).run()?;
        let reason = "ERROR: there is no node 3: this Pgpool has 3, counted from 0\n";
        assert_eq!(shown(&output), (Some(6), "", reason), "{tool}");
        assert!(!pgpool.sandbox.requests().iter().any(|&(_, kind)| is_change(kind)));
    }
    Ok(())
}

#[test]
fn a_switchover_is_not_sent_to_a_server_that_knows_none() -> Result<()> {
    let pgpool = Pgpool::start_with(Age::V4_2_8)?;
    let output = link(&pgpool, "pcp_promote_node", &["-s", "1"]).run()?;
    assert_eq!((output.code, &*output.stdout), (Some(7), ""), "{output:?}");
    assert!(output.stderr.starts_with("ERROR: a switchover needs Pgpool-II 4.3 or later"), "{output:?}");
    assert!(!pgpool.sandbox.requests().iter().any(|&(_, kind)| is_change(kind)));
    Ok(())
}

#[test]
fn what_is_asked_besides_is_not_told_of() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let output = link(&pgpool, "pcp_detach_node", &["-d", "2"]).run()?;
    let told = "DEBUG: recv: tos=\"m\", len=8\nDEBUG: recv: tos=\"r\", len=21\nDEBUG: send: tos=\"D\", len=6\n\
        DEBUG: recv: tos=\"d\", len=20\npcp_detach_node -- Command Successful\nDEBUG: send: tos=\"X\", len=4\n";
    assert_eq!(shown(&output), (Some(0), told, ""));
    Ok(())
}

/// Since 4.3 the tool names a mode.
#[test]
fn a_promotion_is_told_of_as_the_tool_of_the_server_s_release_sends_it() -> Result<()> {
    for (age, pinned, length) in
        [(Age::V4_1, "", 6), (Age::V4_2_8, "", 6), (Age::V4_3_1, "", 8), (Age::V4_7, "", 8), (Age::V4_7, "4.1", 6)]
    {
        let pgpool = Pgpool::start_with(age)?;
        let promote = link(&pgpool, "pcp_promote_node", &["-d", "1"]).env("PCPCTL_COMPAT", pinned);
        let output = promote.env("PCPCTL_CONFIG", "/dev/null").run()?;
        assert!(output.stdout.contains(&format!("DEBUG: send: tos=\"E\", len={length}\n")), "{age}: {output:?}");
    }
    Ok(())
}

#[test]
fn a_server_that_falls_silent_is_waited_for_until_the_deadline() -> Result<()> {
    let pgpool = Pgpool::start()?;
    for (tool, args, code) in
        [("pcp_node_count", &[][..], 4), ("pcp_detach_node", &["2"], 4), ("pcp_log_rotate", &[], 8)]
    {
        pgpool.sandbox.fault(Fault::StallAfter(0));
        let output = link(&pgpool, tool, args).env("PCPCTL_DEADLINE", "1s").run()?;
        assert_eq!((output.code, &*output.stdout), (Some(code), ""), "{tool}: {output:?}");
        assert!(output.stderr.starts_with("ERROR: "), "{tool}: {output:?}");
    }
    Ok(())
}
