use pcp_client::rotate_log;

use super::told;
use crate::args::RotateLogArgs;
use crate::exit::Exit;
use crate::settings::Env;

pub(in crate::cmd) fn run(args: &RotateLogArgs, env: Env<'_>) -> Result<Exit, Exit> {
    let told = told::Told {
        verb: "rotate-log",
        scope: args.scope,
        accepted: "Pgpool accepted the rotation of its log; whether there is a new file shows only in its log directory",
    };
    told.run(&args.read, env, async |connect, credentials, deadline| {
        rotate_log(connect, credentials, args.scope.into(), deadline).await
    })
}
