use super::hook::{self, Hook};
use crate::args::AttachArgs;
use crate::exit::Exit;
use crate::settings::Env;
use crate::verdict::Matter;

pub(super) fn run(args: &AttachArgs, env: Env<'_>) -> Exit {
    hook::run(
        Hook::new(
            Matter { verb: "attach", node: &args.node.0, want: args.node_type.want(), failed: None },
            hook::ATTACH_LIMIT,
        ),
        &args.hook,
        env,
    )
}
