//! What the command lines of Pgpool's tools mean.

use std::collections::HashMap;

use pcp_proto::message::*;
use pcp_proto::{NodeId, Release, RequestKind};
use pcp_tests::captures::{Capture, Side};

use crate::messages::Message;
use crate::replay::frames;
use crate::{ours, text};

/// What a command line, or another client, asks.
pub(crate) enum Meaning {
    /// To send these.
    Requests(Vec<Message>),
    /// Nothing: the command line is refused.
    Refused,
}

/// Say what a capture's client was told to ask.
///
/// Another client than the tools was told so in bytes, which our messages must read and write again.
pub(crate) fn meaning(capture: &Capture) -> Result<Meaning, String> {
    let Some((tool, arguments)) = capture.argv.split_first() else {
        let frames = frames::<RequestKind>(&capture.bytes(Side::Client))?;
        let requests = frames.iter().filter(|frame| !is_session(frame.kind));
        return requests.map(ours).collect::<Result<_, _>>().map(Meaning::Requests);
    };
    let options = Options::read(tool, arguments)?;
    let release = capture.release().map_err(text)?;
    Ok(match one(tool, &options, release)? {
        Some(message) => Meaning::Requests(vec![message]),
        None => Meaning::Refused,
    })
}

/// Whether the session sends it by itself.
pub(crate) fn is_session(kind: RequestKind) -> bool {
    matches!(kind, RequestKind::READ_SALT | RequestKind::LOGIN | RequestKind::DISCONNECT)
}

fn one(tool: &str, options: &Options<'_>, release: Release) -> Result<Option<Message>, String> {
    let mode = if options.has("-s") { PromoteMode::Switchover } else { PromoteMode::ViewOnly };
    let node = |make: fn(NodeId, PromoteMode) -> Message| -> Result<Option<Message>, String> {
        let id = options.value("-n").or(options.operand).filter(|&id| id != "-1");
        // Not a number counts as 0.
        let id = id.map(|id| if id.starts_with(|c: char| c.is_ascii_digit()) { id } else { "0" });
        id.map(|id| Ok(make(id.parse().map_err(text)?, mode))).transpose()
    };
    let scope = || match options.value("-s") {
        None | Some("local") => Scope::Local,
        _ => Scope::Cluster,
    };
    Ok(match tool {
        "pcp_attach_node" => node(|node, _| Message::of(&AttachNode { node }))?,
        "pcp_detach_node" if options.has("-g") => node(|node, _| Message::of(&DetachNodeGracefully { node }))?,
        "pcp_detach_node" => node(|node, _| Message::of(&DetachNode { node }))?,
        "pcp_promote_node" if options.has("-g") => {
            node(|node, mode| Message::of(&PromoteNodeGracefully { node, mode }))?
        }
        "pcp_promote_node" => node(|node, mode| Message::of(&PromoteNode { node, mode }))?,
        "pcp_recovery_node" => node(|node, _| Message::of(&RecoverNode { node }))?,
        "pcp_health_check_stats" => node(|node, _| Message::of(&ReadHealthCheckStats { node }))?,
        "pcp_node_info" => {
            let is_all = options.has("-a") || (options.value("-n").is_none() && options.operand.is_none());
            match is_all && release >= Release::new(4, 3) {
                true => Some(Message::of(&ReadNodeInfo::All)),
                false => node(|node, _| Message::of(&ReadNodeInfo::Node(node)))?,
            }
        }
        "pcp_node_count" => Some(Message::of(&ReadNodeCount)),
        "pcp_pool_status" => Some(Message::of(&ReadPoolStatus)),
        "pcp_proc_count" => Some(Message::of(&ReadProcessCount)),
        "pcp_proc_info" => Some(Message::of(&match options.value("-P").or(options.operand) {
            None => ReadProcessInfo::All,
            Some(pid) => ReadProcessInfo::Process(pid.parse().map_err(text)?),
        })),
        "pcp_watchdog_info" => Some(Message::of(&match options.value("-n").or(options.operand) {
            None => ReadWatchdogInfo::All,
            Some(index) => ReadWatchdogInfo::Member(index.parse().map_err(text)?),
        })),
        "pcp_invalidate_query_cache" => Some(Message::of(&InvalidateQueryCache)),
        "pcp_log_rotate" => Some(Message::of(&RotateLog { scope: scope() })),
        "pcp_reload_config" => Some(Message::of(&ReloadConfig { scope: scope() })),
        "pcp_stop_pgpool" => {
            let mode = match options.value("-m") {
                None | Some("s") => Some(StopMode::Smart),
                Some("f") => Some(StopMode::Fast),
                Some("i") => Some(StopMode::Immediate),
                _ => None,
            };
            mode.map(|mode| match scope() {
                Scope::Local => Message::of(&StopPgpool { mode }),
                Scope::Cluster => Message::of(&StopCluster { mode }),
            })
        }
        _ => return Err(format!("{tool} is no tool")),
    })
}

/// A command line as getopt reads it.
struct Options<'a> {
    options: HashMap<&'a str, &'a str>,
    operand: Option<&'a str>,
}

impl<'a> Options<'a> {
    fn read(tool: &str, arguments: &'a [String]) -> Result<Self, String> {
        let mut read = Self { options: HashMap::new(), operand: None };
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            let takes_value = match argument {
                "-h" | "-p" | "-U" | "-n" | "-P" | "-m" => true,
                "-s" => tool != "pcp_promote_node",
                "-w" | "-W" | "-a" | "-d" | "-g" | "-v" => false,
                option if option.starts_with('-') => return Err(format!("{option} of {tool}")),
                operand => {
                    read.operand = Some(operand);
                    continue;
                }
            };
            let value = if takes_value { arguments.next().ok_or("no value")? } else { "" };
            read.options.insert(argument, value);
        }
        Ok(read)
    }

    fn has(&self, option: &str) -> bool {
        self.options.contains_key(option)
    }

    fn value(&self, option: &str) -> Option<&'a str> {
        self.options.get(option).copied()
    }
}
