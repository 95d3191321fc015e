use pcp_client::invalidate_query_cache;

use super::told;
use crate::args::{InvalidateCacheArgs, ScopeArg};
use crate::exit::Exit;
use crate::settings::Env;

pub(in crate::cmd) fn run(args: &InvalidateCacheArgs, env: Env<'_>) -> Result<Exit, Exit> {
    let told = told::Told {
        verb: "invalidate-cache",
        scope: ScopeArg::Local,
        accepted: "Pgpool accepted the invalidation of its query cache; each of its children drops its part before its \
                   next query",
    };
    told.run(&args.read, env, async |connect, credentials, deadline| {
        invalidate_query_cache(connect, credentials, deadline).await
    })
}
