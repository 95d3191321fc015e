use pcp_client::Want;

use super::hook::{self, Hook};
use crate::args::DetachArgs;
use crate::exit::Exit;
use crate::settings::Env;
use crate::verdict::Matter;

pub(super) fn run(args: &DetachArgs, env: Env<'_>) -> Exit {
    hook::run(
        Hook::new(
            Matter { verb: "detach", node: &args.node.0, want: Want::Detached, failed: None },
            hook::DETACH_LIMIT,
        ),
        &args.hook,
        env,
    )
}
