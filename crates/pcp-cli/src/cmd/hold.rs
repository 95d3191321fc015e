use std::time::SystemTime;

use super::marks::{Report, find};
use super::{block_on, start_log};
use crate::args::HoldArgs;
use crate::exit::Exit;
use crate::hold::{self, Holds, Mark};
use crate::output;
use crate::settings::Env;

pub(super) fn run(args: &HoldArgs, env: Env<'_>) -> Exit {
    start_log(&args.marks.output);
    let dir = hold::state_dir(args.marks.state_dir.as_deref(), env);
    let now = SystemTime::now();
    let report = Report { command: "hold", output: &args.marks.output, now };
    let Some(node) = &args.node else {
        return match Holds::load(&dir) {
            Ok(holds) => report.list(holds.all()),
            Err(error) => report.failed(Exit::Config, &output::chain(&error)),
        };
    };
    block_on(async {
        let found = match find(&node.0, &args.marks, env).await {
            Ok(found) => found,
            Err(error) => return report.failed(Exit::Node, &output::chain(&error)),
        };
        let until = args.limit.and_then(|limit| now.checked_add(limit));
        let mark = Mark { by: who(env), since: now, reason: args.reason.clone(), until };
        match Holds::place(&dir, found.name(), mark) {
            Ok(hold) => {
                let until = until.map_or_else(String::new, |until| format!(" until {}", hold::time(until)));
                let verdict = format!("{} is held on this host{until}", hold.shown_node());
                report.done(&verdict, &[found.note()], &[hold])
            }
            Err(error) => report.failed(Exit::Config, &output::chain(&error)),
        }
    })
}

/// Names the user who runs this, and not the one whom sudo made of them.
fn who(env: Env<'_>) -> String {
    let set = |name| env(name).filter(|user| !user.is_empty());
    match ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(set) {
        Some(user) => user.to_string_lossy().into_owned(),
        None => format!("user {}", rustix::process::getuid().as_raw()),
    }
}
