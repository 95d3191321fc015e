use pcp_client::sandbox::{Sandbox, World};

use super::{block_on, ended_by_signal, sandbox_drill};
use crate::args::SandboxServeArgs;
use crate::exit::Exit;
use crate::output;

pub(super) fn run(args: &SandboxServeArgs) -> Exit {
    block_on(async {
        let world: World = sandbox_drill::world(args.age);
        let sandbox = match Sandbox::start_on(world, args.listen).await {
            Ok(sandbox) => sandbox,
            Err(error) => {
                output::err_line(format_args!("pcpctl: cannot listen on {}: {error}", args.listen));
                return Exit::Config;
            }
        };
        output::line(format_args!(
            "A sandbox of Pgpool {} listens on {}; user pcpadmin, password secret. It ends with Ctrl-C or pcp_stop_pgpool.",
            args.age,
            sandbox.address()
        ));
        tokio::select! {
            _signal = ended_by_signal() => Exit::Done,
            () = sandbox.stopped() => Exit::Done,
        }
    })
}
