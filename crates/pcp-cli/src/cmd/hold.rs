use std::time::SystemTime;

use super::block_on;
use super::marks::{Place, Report};
use crate::args::HoldArgs;
use crate::exit::Exit;
use crate::hold::{self, Holds, Mark};
use crate::settings::Env;
use crate::{log, output};

pub(super) fn run(args: &HoldArgs, env: Env<'_>) -> Exit {
    log::start_stderr(&args.marks.output);
    let now = SystemTime::now();
    let report = Report { command: "hold", output: &args.marks.output, now };
    let place = match Place::new(&args.marks, env) {
        Ok(place) => place,
        Err(error) => return report.failed(Exit::Config, &output::chain(&error)),
    };
    let Some(node) = &args.node else {
        return match Holds::load(&place.dir) {
            Ok(holds) => report.list(holds.all()),
            Err(error) => report.failed(Exit::Config, &output::chain(&error)),
        };
    };
    block_on(async {
        let found = match place.find(&node.0).await {
            Ok(found) => found,
            Err(error) => return report.failed(Exit::Node, &output::chain(&error)),
        };
        let until = args.limit.and_then(|limit| now.checked_add(limit));
        let mark = Mark { by: who(env), since: now, reason: args.reason.clone(), until };
        match Holds::place(&place.dir, found.name(), mark) {
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
