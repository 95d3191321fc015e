use std::time::SystemTime;

use super::block_on;
use super::marks::{Found, Place, Report};
use crate::args::ReleaseArgs;
use crate::exit::Exit;
use crate::hold::{Hold, HoldError, Holds};
use crate::settings::Env;
use crate::{log, output};

pub(super) fn run(args: &ReleaseArgs, env: Env<'_>) -> Exit {
    log::start_stderr(&args.marks.output);
    let now = SystemTime::now();
    let report = Report { command: "release", output: &args.marks.output, now };
    let place = match Place::new(&args.marks, env) {
        Ok(place) => place,
        Err(error) => return report.failed(Exit::Config, &output::chain(&error)),
    };
    let dir = &place.dir;
    block_on(async {
        let found = match place.find(&args.node.0).await {
            Ok(found) => found,
            Err(error) => return report.failed(Exit::Node, &output::chain(&error)),
        };
        let released = match release(dir, &found).await {
            Ok(released) => released,
            Err(error) => return report.failed(Exit::Config, &output::chain(&error)),
        };
        // It may be held under another name as well, or by a mark whose name is none.
        let left = match (&found, Holds::load(dir)) {
            (_, Err(error)) => return report.failed(Exit::Config, &output::chain(&error)),
            (Found::Node { node, .. }, Ok(holds)) => holds.on(node, now).await.map(ToString::to_string),
            (Found::AsTyped { .. }, Ok(holds)) => {
                holds.all().iter().find(|hold| hold.node.is_none()).map(ToString::to_string)
            }
        };
        let name = found.name();
        match (left, &released[..]) {
            (Some(left), _) => report.failed(Exit::NotVerified, &format!("{name} is still {left}")),
            (None, []) => report.done(&format!("{name} is not held on this host"), &[found.note()], &released),
            (None, _) => report.done(&format!("{name} is released on this host"), &[found.note()], &released),
        }
    })
}

/// Takes away every mark on the node and returns them.
async fn release(dir: &std::path::Path, found: &Found) -> Result<Vec<Hold>, HoldError> {
    let mut released = Vec::new();
    for hold in Holds::load(dir)?.all() {
        let is_meant = match found {
            _ if hold.node.is_none() => false,
            Found::Node { node, .. } => hold.is_on(node).await,
            Found::AsTyped { name, .. } => hold.is_named(name).await,
        };
        if is_meant {
            hold.remove()?;
            released.push(hold.clone());
        }
    }
    Ok(released)
}
