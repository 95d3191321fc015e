//! Plays a failover against a sandbox, as a test of one's own program would: nothing else is needed.

use std::error::Error;
use std::time::Duration;

use pcp_client::sandbox::{Age, Sandbox, World};
use pcp_client::{Connector, Deadline, Endpoint, Options, Order, Want, converge};
use pcp_proto::Credentials;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let world = World::new(Age::V4_3_1).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
    let sandbox = Sandbox::start(world).await?;
    let pgpool = Connector {
        endpoint: Endpoint::parse(&sandbox.address().to_string(), 9898)?,
        connect_timeout: Duration::from_secs(3),
    };
    let credentials = Credentials::new(World::USER, World::PASSWORD.as_bytes())?;
    let options = Options { deadline: Deadline::after(Duration::from_secs(60)), settle: Duration::ZERO };
    println!("at first:          {}", sandbox.with(|world| world.show_pool_nodes()));

    // The truth changes behind Pgpool's back: the primary dies, and a standby is promoted.
    sandbox.with(|world| {
        world.kill_postgres(0);
        world.promote_postgres(1);
    });
    for (node, want) in [("10.0.0.1", Want::Detached), ("10.0.0.2", Want::Primary)] {
        let node = node.parse()?;
        converge(&pgpool, &credentials, &Order::new(&node, want, options)).await.result?;
        println!("{node} {want}: {}", sandbox.with(|world| world.show_pool_nodes()));
    }
    let shown = sandbox.with(|world| world.show_pool_nodes());
    if shown != "0=down/standby 1=up/primary 2=up/standby" {
        return Err(format!("the failover ended with {shown}").into());
    }
    Ok(())
}
