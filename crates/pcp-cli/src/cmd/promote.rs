use pcp_client::Want;

use super::hook::{self, Hook};
use crate::args::PromoteArgs;
use crate::exit::Exit;
use crate::settings::Env;
use crate::verdict::Matter;

pub(super) fn run(args: &PromoteArgs, env: Env<'_>) -> Exit {
    hook::run(
        Hook::new(
            Matter { verb: "promote", node: &args.node.0, want: Want::Primary, failed: args.failed.0.as_ref() },
            hook::ATTACH_LIMIT,
        ),
        &args.hook,
        env,
    )
}
