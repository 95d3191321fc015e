//! What a link is to print and how it is to exit where a tool was recorded: the same as the tool, and the code of
//! `docs/exit-codes.md`. Here and in `docs/compat.md` are the only differences.

use pcp_tests::Output;
use pcp_tests::captures::{Capture, Side};

use super::captures::Mode;
use super::replay::{NodeState, nodes_of};

#[derive(Debug)]
pub(super) struct Expected {
    code: i32,
    stdout: String,
    stderr: String,
    /// Whether it waits for something that does not come.
    pub(super) waits: bool,
}

impl Expected {
    /// Tells whether it came out so; of a text of our own only the beginning is compared.
    pub(super) fn holds(&self, output: &Output) -> bool {
        let stderr = match self.stderr.strip_suffix('…') {
            Some(start) => output.stderr.starts_with(start),
            None => output.stderr == self.stderr,
        };
        output.code == Some(self.code) && output.stdout == self.stdout && stderr
    }
}

pub(super) fn expected(capture: &Capture, mode: Mode) -> Expected {
    let mut expected = Expected {
        code: code(capture),
        stdout: capture.stdout.clone(),
        stderr: capture.stderr.clone(),
        waits: false,
    };
    if capture.case.starts_with("help/") || capture.case.starts_with("version/") {
        // The records have both in one; the tools print it on standard error.
        std::mem::swap(&mut expected.stdout, &mut expected.stderr);
    }
    differ(capture, &mut expected);
    match mode {
        Mode::Default => verify(capture, &mut expected),
        Mode::Legacy => expected.code = legacy(capture),
    }
    expected
}

/// The code that is documented for what the server said.
fn code(capture: &Capture) -> i32 {
    match capture.outcome.as_deref() {
        _ if capture.case.starts_with("help/") || capture.case.starts_with("version/") => 0,
        None if capture.case == "connect_refused" => 4,
        None => 2,
        Some(outcome) if outcome.starts_with("E:") => 5,
        Some(outcome) if outcome.contains("E:") => 7,
        Some(_) => 0,
    }
}

/// The code of the tool; 0 or 1 where it knew no end.
fn legacy(capture: &Capture) -> i32 {
    match capture.case.as_str() {
        // The tool took it for a number.
        "node_info_abc" => 1,
        // Without a password there is no login.
        "auth_password_from_stdin_W" | "auth_user_with_empty_password" => 1,
        _ => capture.exit.unwrap_or(0),
    }
}

/// The deliberate differences that have nothing to do with reading a change back.
fn differ(capture: &Capture, expected: &mut Expected) {
    match (capture.case.as_str(), capture.version.as_str()) {
        // Arguments that are misread.
        ("node_info_abc", _) => {
            expected.code = 2;
            expected.stdout.clear();
            expected.stderr = "pcp_node_info: Invalid node-id \"abc\", must be between 0 and 128\n".to_owned();
        }
        // Passwords come from no pipe, and none is no empty one.
        ("auth_empty_password" | "auth_user_with_empty_password", _) => {
            expected.code = 3;
            expected.stdout.clear();
            expected.stderr = "ERROR: no password for user …".to_owned();
        }
        ("auth_password_from_stdin_W", _) => {
            expected.code = 3;
            expected.stdout.clear();
            expected.stderr = "ERROR: the password cannot be read from a terminal: …".to_owned();
        }
        // The server takes no such name, so it is not asked.
        ("auth_user_128_chars", _) => expected.code = 3,
        // What 4.3.0 and 4.3.1 call otherwise than 4.3.2 cannot be told from their answers.
        ("wd_watchdog_info_v" | "wd_watchdog_info_w1_shutdown", "4.3.0") => {
            expected.stdout = expected.stdout.replace("VIP up on local node ", "Local node escalation");
        }
        // Servers that never answer.
        ("detach_g_2", "3.7.0") => {
            expected.code = 8;
            expected.stderr = "ERROR: …".to_owned();
            expected.waits = true;
        }
        ("wd_watchdog_info_w0", "3.5.0") => {
            expected.code = 4;
            expected.stderr = "ERROR: …".to_owned();
            expected.waits = true;
        }
        _ => {}
    }
}

/// What comes of a change that is read back: success is said only of a state that was seen.
fn verify(capture: &Capture, expected: &mut Expected) {
    let tool = &*capture.argv[0];
    let is_change = ["pcp_attach_node", "pcp_detach_node", "pcp_promote_node"].contains(&tool);
    if !is_change || expected.waits || capture.bytes(Side::Server).is_empty() {
        return;
    }
    let node: usize = capture.argv.last().and_then(|id| id.parse().ok()).unwrap();
    let nodes = capture.nodes[2].as_deref().and_then(nodes_of).unwrap_or_else(NodeState::three);
    let state = nodes.get(node);
    let is_there = match (tool, state) {
        (_, None) => false,
        ("pcp_attach_node", Some(state)) => state.is_up(),
        ("pcp_detach_node", Some(state)) => state.is_down(),
        (_, Some(state)) => state.is_up() && (state.is_primary || capture.version == "3.5.0"),
    };
    match (expected.code, state) {
        (_, None) if tool != "pcp_promote_node" => {
            expected.code = 6;
            expected.stdout.clear();
            expected.stderr = format!("ERROR: there is no node {node}: this Pgpool has 3, counted from 0\n");
        }
        (7, _) if tool == "pcp_detach_node" && is_there => expected.code = 0,
        (0, _) if !is_there => {
            expected.code = 8;
            expected.stdout.clear();
            expected.stderr = "ERROR: Pgpool took the request, but it is not verified in time: …".to_owned();
            expected.waits = true;
        }
        _ => {}
    }
}
