use super::hook::{self, Hook};
use crate::args::AttachArgs;
use crate::exit::Exit;
use crate::settings::Env;

pub(super) fn run(args: &AttachArgs, env: Env<'_>) -> Exit {
    hook::run(
        Hook {
            verb: "attach",
            node: &args.node.0,
            want: args.node_type.want(),
            failed: None,
            default_limit: hook::ATTACH_LIMIT,
        },
        &args.hook,
        env,
    )
}
