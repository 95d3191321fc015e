//! What `--help` and `--version` print.

use std::fmt::Write;

use super::form::Form;
use super::tool::Tool;

/// Returns the tool's help, as the tool of that release prints it.
pub(super) fn help(tool: Tool, form: Form) -> String {
    let name = tool.name();
    let operand = match tool {
        Tool::WatchdogInfo => "[watchdog-id]",
        Tool::ProcInfo => "[process-id]",
        _ if tool.needs_node(form) => "[node-id]",
        _ => "",
    };
    let mut text = format!("{name} - {}\nUsage:\n{name} [OPTION...] {operand}\nOptions:\n", tool.description(form));
    for (option, meaning) in options(tool, form) {
        // Infallible: it is a String.
        let _written = writeln!(text, "  {option:<21}  {meaning}");
    }
    text.push('\n');
    text
}

/// Returns the tool's version; it is the imitated release's, which is what scripts look for.
pub(super) fn version(tool: Tool, form: Form) -> String {
    format!("{} (pgpool-II) {form}\n", tool.name())
}

/// Lists the options with their meanings; without an option, a further line of the last meaning.
fn options(tool: Tool, form: Form) -> Vec<(&'static str, &'static str)> {
    let mut options = vec![
        ("-U, --username=NAME", "username for PCP authentication"),
        ("-h, --host=HOSTNAME", "pgpool-II host"),
        ("-p, --port=PORT", "PCP port number"),
        ("-w, --no-password", "never prompt for password"),
        ("-W, --password", "force password prompt (should happen automatically)"),
    ];
    if tool.needs_node(form) || tool == Tool::NodeInfo {
        options.push(("-n, --node-id=NODEID", "ID of a backend node"));
    }
    if tool == Tool::NodeInfo && form.is_at_least(4, 3) {
        options.push(("-a, --all", "display all backend nodes information"));
    }
    if tool == Tool::StopPgpool {
        options.push(("-m, --mode=MODE", "MODE can be \"smart\", \"fast\", or \"immediate\""));
    }
    if tool.has_scope(form) {
        options.extend([
            ("-s, --scope=SCOPE", "SCOPE can be \"cluster\", or \"local\""),
            ("", "cluster scope do operations on all Pgpool-II nodes"),
            ("", "part of the watchdog cluster"),
        ]);
    }
    match tool {
        // It says so of a detach as well.
        Tool::PromoteNode | Tool::DetachNode if form.is_at_least(4, 3) => {
            options.push(("-g, --gracefully", "promote gracefully (optional)"));
        }
        Tool::PromoteNode | Tool::DetachNode => {
            options.push(("-g, --gracefully", "promote gracefully(optional)"));
        }
        Tool::WatchdogInfo => options.extend([
            ("-n, --watchdog-id=ID", "ID of a other pgpool to get information for"),
            ("", "ID 0 for the local watchdog"),
            ("", "If omitted then get information of all watchdog nodes"),
        ]),
        Tool::ProcInfo => options.extend([
            ("-P, --process-id=PID", "PID of the child process to get information for (optional)"),
            ("-a, --all", "display all child processes and their available connection slots"),
        ]),
        _ => {}
    }
    if tool == Tool::PromoteNode && form.is_at_least(4, 3) {
        options.push(("-s, --switchover", "switchover primary to specified node (optional)"));
    }
    options.extend([
        ("-d, --debug", "enable debug message (optional)"),
        ("-v, --verbose", "output verbose messages"),
        ("-?, --help", "print this help"),
    ]);
    options
}
