//! Lists the nodes of a Pgpool: `list_nodes HOST[:PORT] USER`, with the password in PCP_PASSWORD.
//!
//! The whole of it is asked over one connection, and Pgpool connects to no node for it.

use std::error::Error;
use std::time::Duration;

use pcp_client::{Client, Connector, DEFAULT_PORT, Deadline, Endpoint, observe};
use pcp_proto::Credentials;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(user)) = (args.next(), args.next()) else {
        return Err("usage: list_nodes HOST[:PORT] USER".into());
    };
    let pgpool =
        Connector { endpoint: Endpoint::parse(&address, DEFAULT_PORT)?, connect_timeout: Duration::from_secs(3) };
    let credentials = Credentials::new(user, std::env::var("PCP_PASSWORD")?.as_bytes())?;

    let deadline = Deadline::after(Duration::from_secs(8));
    let mut client = Client::connect(&pgpool, &credentials, deadline).await?;
    let view = observe(&mut client).await?;
    client.close().await;

    println!("Pgpool {}", view.server.age);
    for node in &view.nodes {
        println!("node {node} is {}", node.state());
    }
    Ok(())
}
