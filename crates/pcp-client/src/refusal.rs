//! What a server means by its refusals.

use pcp_proto::{ServerMessage, Severity, Text};

/// Why a server refused a request, where its words are known; see [`Error::refusal`](crate::Error::refusal).
///
/// Servers tell it in words only, and the words differ by release: those of every release from 3.5.0 to 4.7.2 are
/// known. What a server refuses in its log only (the promotion of a node that is down), or not at all (a node that
/// does not exist, in attach and detach), is no refusal here either.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no node with this id, as far as the server checks. Servers before 4.3 also say so to node info of
    /// all nodes.
    UnknownNode,
    /// The node cannot be detached because it is down already, or was never configured.
    NotValidForFailover,
    /// The node cannot be detached because its `backend_flag` is `DISALLOW_TO_FAILOVER`.
    FailoverDisallowed,
    /// The node cannot be promoted because it is Pgpool's primary. The server closes the connection.
    AlreadyPrimary,
    /// Nothing can be promoted outside streaming replication mode. The server closes the connection.
    NotStreamingReplication,
    /// The node cannot be recovered because it is attached.
    NodeAlive,
    /// The node cannot be recovered because it is the primary.
    RecoveryOfPrimary,
    /// Nothing can be recovered outside replication and streaming replication modes.
    RecoveryModeUnsuited,
    /// Another recovery is going on. The server closes the connection.
    RecoveryInProgress,
    /// The recovery needs functions that the primary does not have: the extension `pgpool_recovery` is missing
    /// there, in template1 or, since 4.7, in `recovery_database`. Where a `recovery_1st_stage_command` is set, the
    /// server says only that this failed: [`RecoveryFailed`](Self::RecoveryFailed).
    RecoveryFunctionsMissing,
    /// The recovery began, and a step of it failed; the server's message names the step, and only the log of the
    /// primary the reason.
    RecoveryFailed,
    /// A failover, failback or promotion is in progress: worth a retry.
    OperationInProgress,
    /// There is no watchdog (`use_watchdog`).
    WatchdogOff,
    /// The members of the watchdog cluster do not agree to the change at this moment: there is an election, or a member
    /// joins: worth a retry.
    CanceledByWatchdog,
    /// The watchdog did not pass the request on to the other members.
    WatchdogDidNotPassOn,
    /// The log is not collected in files (`logging_collector`).
    LogCollectorOff,
    /// There is no query cache (`memory_cache_enabled`).
    QueryCacheOff,
    /// No child has this process id.
    UnknownProcess,
    /// The server does not know the request: it is too old. It closes the connection.
    UnknownRequest,
}

impl Refusal {
    /// Recognises a server's words.
    pub(crate) fn of(said: &ServerMessage) -> Option<Self> {
        let detail = said.detail.as_ref().map_or(&b""[..], Text::as_bytes);
        let rule = TABLE.iter().find(|rule| {
            rule.severity == said.level()
                && fits(rule.message, said.message.as_bytes())
                && fits(rule.detail, detail)
        });
        rule.map(|rule| rule.refusal)
    }
}

struct Rule {
    severity: Severity,
    /// What the server says, with a `%` for every part that differs.
    message: &'static str,
    detail: &'static str,
    refusal: Refusal,
}

const fn error(message: &'static str, detail: &'static str, refusal: Refusal) -> Rule {
    Rule { severity: Severity::Error, message, detail, refusal }
}

const fn fatal(message: &'static str, detail: &'static str, refusal: Refusal) -> Rule {
    Rule { severity: Severity::Fatal, message, detail, refusal }
}

/// The words of 3.5.0 to 4.7.2, spelled as they spell them. The first that fits counts.
const TABLE: &[Rule] = &[
    error("informing node info failed", "invalid node ID", Refusal::UnknownNode),
    error("informing node info failed", "invalid node ID : %", Refusal::UnknownNode),
    error("informing health check stats info failed", "invalid node ID %", Refusal::UnknownNode),
    error(
        "informing health check stats info failed",
        "stats data for node ID % does not exist",
        Refusal::UnknownNode,
    ),
    error("could not process recovery request", "node id % is not valid", Refusal::UnknownNode),
    error("could not process promote request", "node id % is not valid", Refusal::UnknownNode),
    error("process recovery request failed", "node id % is not valid", Refusal::UnknownNode),
    error("node recovery failed, node id: % is not valid", "", Refusal::UnknownNode),
    error("node recovery failed, node id: % is unused", "", Refusal::UnknownNode),
    error(
        "invalid degenerate backend request, node id: % is out of range. node id must be between %",
        "",
        Refusal::UnknownNode,
    ),
    error(
        "invalid failback request, node id: % is out of range. node id must be between %",
        "",
        Refusal::UnknownNode,
    ),
    error(
        "invalid degenerate backend request, node id : % status: % is not valid for failover",
        "",
        Refusal::NotValidForFailover,
    ),
    error(
        "degenerate backend request for node_id: % from pid % is canceled because failover is disallowed on the node",
        "",
        Refusal::FailoverDisallowed,
    ),
    error(
        "degenerate backend request for % node(s) from pid % is canceled by other pgpool",
        "",
        Refusal::CanceledByWatchdog,
    ),
    error(
        "failback request for node_id: % from pid % is canceled  by other pgpool",
        "",
        Refusal::CanceledByWatchdog,
    ),
    // Before 4.3 promotion speaks of recovery.
    fatal(
        "invalid pgpool mode for process recovery request",
        "specified node is already primary node, %",
        Refusal::AlreadyPrimary,
    ),
    fatal("invalid promote request", "specified node is already primary node, %", Refusal::AlreadyPrimary),
    fatal(
        "invalid pgpool mode for process recovery request",
        "not in streaming replication mode, %",
        Refusal::NotStreamingReplication,
    ),
    fatal(
        "invalid pgpool mode for process promote request",
        "not in streaming replication mode, %",
        Refusal::NotStreamingReplication,
    ),
    error("node recovery failed, node id: % is alive", "", Refusal::NodeAlive),
    error(
        "process recovery request failed",
        "primary server cannot be recovered by online recovery.",
        Refusal::RecoveryOfPrimary,
    ),
    error(
        "process recovery request failed",
        "recovery request is accepted only in %",
        Refusal::RecoveryModeUnsuited,
    ),
    error(
        "process recovery request failed",
        "recovery request is only allowed in %",
        Refusal::RecoveryModeUnsuited,
    ),
    fatal(
        "process recovery request failed",
        "pgpool-II is already processing another recovery request.",
        Refusal::RecoveryInProgress,
    ),
    // PostgreSQL's own words, in any language, hold the signature that it looked for and did not find.
    error(
        "executing remote start failed with error: \"%pgpool_remote_start(unknown, unknown)%",
        "",
        Refusal::RecoveryFunctionsMissing,
    ),
    error("executing remote start failed with error: \"%", "", Refusal::RecoveryFailed),
    error("executing recovery, execution of command failed at %", "%", Refusal::RecoveryFailed),
    error("executing recovery, SET STATEMENT_TIMEOUT failed at %", "", Refusal::RecoveryFailed),
    error("executing recovery, execute CHECKPOINT failed", "", Refusal::RecoveryFailed),
    error("node recovery failed, unable to connect to %", "", Refusal::RecoveryFailed),
    error("node recovery failed, failed to send start recovery packet", "", Refusal::RecoveryFailed),
    error("node recovery failed, waiting connection closed in %", "", Refusal::RecoveryFailed),
    error("the password of recovery_user % is invalid format", "%", Refusal::RecoveryFailed),
    error("recovery is checking if postmaster is started", "%", Refusal::RecoveryFailed),
    error(IN_PROGRESS, "failover is in progress", Refusal::OperationInProgress),
    error(IN_PROGRESS, "failback is in progress", Refusal::OperationInProgress),
    error(IN_PROGRESS, "promote node operation is in progress", Refusal::OperationInProgress),
    error(IN_PROGRESS, "operation is in progress", Refusal::OperationInProgress),
    error("PCP: informing watchdog info failed", "watcdhog is not enabled", Refusal::WatchdogOff),
    error("PCP: informing watchdog info failed", "watchdog is not enabled", Refusal::WatchdogOff),
    error("PCP: error while processing % cluster request", "failed to pro%", Refusal::WatchdogDidNotPassOn),
    error("PCP: error while processing % request for cluster", "failed to pro%", Refusal::WatchdogDidNotPassOn),
    error("process log rotation request failed", "logging_collector is disabled", Refusal::LogCollectorOff),
    error("query cache is not enabled", "", Refusal::QueryCacheOff),
    error("informing process info failed", "invalid process ID : %", Refusal::UnknownProcess),
    fatal("PCP processing request", "unknown PCP packet type %", Refusal::UnknownRequest),
];

const IN_PROGRESS: &str = "failed to process PCP request at the moment";

/// Tells whether a text is what a pattern says; a `%` stands for anything.
fn fits(pattern: &str, text: &[u8]) -> bool {
    let mut parts = pattern.split('%').map(str::as_bytes);
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let found = rest.windows(part.len().max(1)).position(|window| window.starts_with(part));
        match found.and_then(|at| rest.get(at + part.len()..)) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::Error;

    fn refusal(body: &'static [u8]) -> Option<Refusal> {
        Refusal::of(&ServerMessage::decode(&Bytes::from_static(body)).unwrap())
    }

    #[test]
    fn recorded_refusals_are_recognised() {
        for &(refused, body) in RECORDED {
            assert_eq!(refusal(body), Some(refused), "{}", body.escape_ascii());
        }
    }

    /// What could not be provoked for a recording, as the sources spell it.
    #[test]
    fn refusals_that_were_never_seen_are_recognised() {
        fn said(severity: &str, message: &str, detail: Option<&str>) -> Option<Refusal> {
            Refusal::of(&ServerMessage::new(severity, message, detail))
        }
        for what in ["failover", "failback", "promote node operation"] {
            let detail = format!("{what} is in progress");
            let refused = said("ERROR", "failed to process PCP request at the moment", Some(&detail));
            assert_eq!(refused, Some(Refusal::OperationInProgress), "{what}");
            let said = ServerMessage::new("ERROR", "failed to process PCP request at the moment", Some(&detail));
            assert!(Error::refused(said).is_retryable());
        }
        for (severity, message, detail, refused) in [
            (
                "ERROR",
                "degenerate backend request for node_id: 2 from pid [4711] is canceled because failover is disallowed on the node",
                None,
                Refusal::FailoverDisallowed,
            ),
            (
                "FATAL",
                "process recovery request failed",
                Some("pgpool-II is already processing another recovery request."),
                Refusal::RecoveryInProgress,
            ),
            (
                "ERROR",
                "process recovery request failed",
                Some("recovery request is only allowed in replication and streaming replication modes."),
                Refusal::RecoveryModeUnsuited,
            ),
            (
                "ERROR",
                "process recovery request failed",
                Some("recovery request is accepted only in replication mode or stereaming replication mode."),
                Refusal::RecoveryModeUnsuited,
            ),
            (
                "ERROR",
                "executing recovery, execution of command failed at \"1st stage\"",
                Some("command:\"recovery_1st_stage\""),
                Refusal::RecoveryFailed,
            ),
            (
                "ERROR",
                "executing remote start failed with error: \"ERROR:  pgpool_remote_start failed\n\"",
                None,
                Refusal::RecoveryFailed,
            ),
            (
                "ERROR",
                "degenerate backend request for 1 node(s) from pid [990] is canceled by other pgpool",
                None,
                Refusal::CanceledByWatchdog,
            ),
            (
                "ERROR",
                "failback request for node_id: 2 from pid [990] is canceled  by other pgpool",
                None,
                Refusal::CanceledByWatchdog,
            ),
            (
                "ERROR",
                "PCP: error while processing reload config request for cluster",
                Some("failed to propogate reload config command through watchdog"),
                Refusal::WatchdogDidNotPassOn,
            ),
            (
                "ERROR",
                "PCP: error while processing shutdown cluster request",
                Some("failed to propagate shutdown command through watchdog"),
                Refusal::WatchdogDidNotPassOn,
            ),
        ] {
            assert_eq!(said(severity, message, detail), Some(refused), "{message}");
        }
    }

    #[test]
    fn other_words_and_other_severities_are_no_known_refusal() {
        for body in [
            &b"SERROR\0CXX000\0Mquery cache is not enabled yet\0\0"[..],
            b"SERROR\0CXX000\0Mthe query cache is not enabled\0\0",
            b"SERROR\0CXX000\0Mquery cache is not enabled\0Dreally\0\0",
            b"SFATAL\0CXX000\0Mquery cache is not enabled\0\0",
            b"SWARNING\0CXX000\0Mquery cache is not enabled\0\0",
            b"SERROR\0CXX000\0Minforming node info failed\0\0",
            b"SERROR\0CXX000\0Minvalid memory alloc request size 18446744073709551613\0\0",
            b"SFATAL\0CXX000\0Mauthentication failed for user \"x\"\0Dusername and/or password does not match\0\0",
        ] {
            assert_eq!(refusal(body), None, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a_pattern_fits_the_whole_text_only() {
        assert!(
            fits("", b"") && fits("%", b"") && fits("a%c", b"ac") && fits("a%c", b"abc") && fits("%b%", b"abc")
        );
        assert!(fits("a % b % c", b"a 1 b 2 c") && fits("%%", b"x"));
        assert!(!fits("", b"x") && !fits("a", b"ab") && !fits("a%c", b"abcd") && !fits("a%b%c", b"a-c"));
        assert!(!fits("ab%bc", b"abc"), "no byte is used twice");
    }

    /// Bodies of error frames that real servers sent: 3.5.0, 4.1.4, 4.2.0, 4.3.5, 4.5.12 and 4.7.3.
    #[rustfmt::skip]
    const RECORDED: &[(Refusal, &[u8])] = &[
        (Refusal::UnknownNode, b"SERROR\0CXX000\0Minforming node info failed\0Dinvalid node ID\0Fpcp_worker.c\0L835\0\0"),
        (Refusal::UnknownNode, b"SERROR\0CXX000\0Minforming node info failed\0Dinvalid node ID : 99\0Fpcp_worker.c\0L890\0\0"),
        (Refusal::UnknownNode, b"SERROR\0CXX000\0Minforming health check stats info failed\0Dinvalid node ID 99\0Fpcp_worker.c\0L940\0\0"),
        (Refusal::UnknownNode, b"SERROR\0CXX000\0Minforming health check stats info failed\0Dstats data for node ID 3 does not exist\0Fpcp_worker.c\0L1017\0\0"),
        (Refusal::UnknownNode, b"SERROR\0CXX000\0Mcould not process recovery request\0Dnode id 99 is not valid\0Fpcp_worker.c\0L1046\0\0"),
        (Refusal::UnknownNode, b"SERROR\0CXX000\0Mcould not process promote request\0Dnode id 3 is not valid\0Fpcp_worker.c\0L1387\0\0"),
        (Refusal::UnknownNode, b"SERROR\0CXX000\0Mprocess recovery request failed\0Dnode id 99 is not valid\0Fpcp_worker.c\0L975\0\0"),
        (Refusal::UnknownNode, b"SERROR\0CXX000\0Minvalid failback request, node id: 128 is out of range. node id must be between [0 and 128]\0Fpgpool_main.c\0L1239\0\0"),
        (Refusal::UnknownNode, b"SERROR\0CXX000\0Minvalid failback request, node id: -1 is out of range. node id must be between [0 and 128]\0Fpool_internal_comms.c\0L332\0\0"),
        (Refusal::NotValidForFailover, b"SERROR\0CXX000\0Minvalid degenerate backend request, node id : 2 status: [3] is not valid for failover\0Fpgpool_main.c\0L1088\0\0"),
        (Refusal::NotValidForFailover, b"SERROR\0CXX000\0Minvalid degenerate backend request, node id : 2 status: [3] is not valid for failover\0Fpool_internal_comms.c\0L125\0\0"),
        (Refusal::AlreadyPrimary, b"SFATAL\0CXX000\0Minvalid pgpool mode for process recovery request\0Dspecified node is already primary node, can't promote node id 0\0Fpcp_worker.c\0L1060\0\0"),
        (Refusal::AlreadyPrimary, b"SFATAL\0CXX000\0Minvalid promote request\0Dspecified node is already primary node, can't promote node id 0\0Fpcp_worker.c\0L1402\0\0"),
        (Refusal::NotStreamingReplication, b"SFATAL\0CXX000\0Minvalid pgpool mode for process recovery request\0Dnot in streaming replication mode, can't promote node id 1\0Fpcp_worker.c\0L1102\0\0"),
        (Refusal::NotStreamingReplication, b"SFATAL\0CXX000\0Minvalid pgpool mode for process promote request\0Dnot in streaming replication mode, can't promote node id 1\0Fpcp_worker.c\0L1394\0\0"),
        (Refusal::NodeAlive, b"SERROR\0CXX000\0Mnode recovery failed, node id: 2 is alive\0Frecovery.c\0L81\0\0"),
        (Refusal::NodeAlive, b"SERROR\0CXX000\0Mnode recovery failed, node id: 2 is alive\0Frecovery.c\0L85\0\0"),
        (Refusal::RecoveryOfPrimary, b"SERROR\0CXX000\0Mprocess recovery request failed\0Dprimary server cannot be recovered by online recovery.\0Fpcp_worker.c\0L987\0\0"),
        (Refusal::RecoveryOfPrimary, b"SERROR\0CXX000\0Mprocess recovery request failed\0Dprimary server cannot be recovered by online recovery.\0Fpcp_worker.c\0L1262\0\0"),
        (Refusal::RecoveryFunctionsMissing, b"SERROR\0CXX000\0Mexecuting remote start failed with error: \"ERROR:  function pgpool_remote_start(unknown, unknown) does not exist\nLINE 1: SELECT pgpool_remote_start('127.0.0.13', '/srv/pg/node2')\n               ^\nHINT:  No function matches the given name and argument typ\0\0Frecovery.c\0L324\0\0"),
        (Refusal::RecoveryFunctionsMissing, b"SERROR\0CXX000\0Mexecuting remote start failed with error: \"ERROR:  function pgpool_remote_start(unknown, unknown) does not exist\nLINE 1: SELECT pgpool_remote_start('127.0.0.13', '/srv/pg/node2')\n               ^\nHINT:  No function matches the given name and argument typ\0@Frecovery.c\0L348\0\0"),
        (Refusal::RecoveryFunctionsMissing, b"SERROR\0CXX000\0Mexecuting remote start failed with error: \"ERROR:  function pgpool_remote_start(unknown, unknown) does not exist\nLINE 1: SELECT pgpool_remote_start('127.0.0.13', '/srv/pg/node2')\n               ^\nHINT:  No function matches the given name and argument typ\0\0Frecovery.c\0L348\0\0"),
        (Refusal::WatchdogOff, b"SERROR\0CXX000\0MPCP: informing watchdog info failed\0Dwatcdhog is not enabled\0Fpcp_worker.c\0L766\0\0"),
        (Refusal::WatchdogOff, b"SERROR\0CXX000\0MPCP: informing watchdog info failed\0Dwatchdog is not enabled\0Fpcp_worker.c\0L841\0\0"),
        (Refusal::LogCollectorOff, b"SERROR\0CXX000\0Mprocess log rotation request failed\0Dlogging_collector is disabled\0Fpgpool_main.c\0L4249\0\0"),
        (Refusal::QueryCacheOff, b"SERROR\0CXX000\0Mquery cache is not enabled\0Fpcp_worker.c\0L1442\0\0"),
        (Refusal::UnknownProcess, b"SERROR\0CXX000\0Minforming process info failed\0Dinvalid process ID : 1\0Fpcp_worker.c\0L654\0\0"),
        (Refusal::UnknownProcess, b"SERROR\0CXX000\0Minforming process info failed\0Dinvalid process ID : 1\0Fpcp_worker.c\0L746\0\0"),
        (Refusal::UnknownRequest, b"SFATAL\0CXX000\0MPCP processing request\0Dunknown PCP packet type \"H\"\0Fpcp_worker.c\0L326\0\0"),
        (Refusal::UnknownRequest, b"SFATAL\0CXX000\0MPCP processing request\0Dunknown PCP packet type \"V\"\0Fpcp_worker.c\0L354\0\0"),
    ];
}
