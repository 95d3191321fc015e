use pcp_client::{Client, observe, resolve};
use serde::Serialize;

use super::read::{self, Answer, Unread};
use crate::args::IsPrimaryArgs;
use crate::exit::Exit;
use crate::output;
use crate::page::{Page, Shown};
use crate::settings::{Env, Layer};

pub(super) fn run(args: &IsPrimaryArgs, env: Env<'_>) -> Exit {
    let mut flags = Layer::from_flags(&args.read.connection);
    flags.backend_port = args.backend_port;
    read::run_with(flags, &args.read, env, async |pgpool| {
        let mut client = Client::connect(&pgpool.connect, pgpool.credentials, pgpool.settings.deadline).await?;
        let view = observe(&mut client).await?;
        client.close().await;
        let name = pgpool.settings.node(args.node.0.clone());
        let node = resolve(&name, &view.nodes)
            .await
            .map_err(|error| Unread { exit: Exit::Node, reason: output::chain(&error) })?;
        if !view.has_primary_role() {
            let reason = "this Pgpool does not tell who is the primary".to_owned();
            return Err(Unread { exit: Exit::NotVerified, reason });
        }
        Ok(IsPrimary {
            primary: node.is_primary() && node.is_attached(),
            node_id: node.id.get(),
            state: node.state(),
            shown: node.to_string(),
        })
    })
}

#[derive(Serialize)]
struct IsPrimary {
    primary: bool,
    node_id: u8,
    state: String,
    #[serde(skip)]
    shown: String,
}

impl Answer for IsPrimary {
    fn text(&self, _page: Page) -> Shown {
        let word = if self.primary { "yes" } else { "no" };
        Shown::new(format_args!("{word}: node {} is {}", self.shown, self.state))
    }

    fn exit(&self) -> Exit {
        if self.primary { Exit::Done } else { Exit::No }
    }
}
