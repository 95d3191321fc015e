//! Detaches a node, and ends with success only when Pgpool shows it down: `detach HOST[:PORT] USER NODE`, with the
//! password in PCP_PASSWORD.

use std::error::Error;
use std::time::Duration;

use pcp_client::{Connector, DEFAULT_PORT, Deadline, Endpoint, NodeName, Options, Order, Want, converge};
use pcp_proto::Credentials;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(user), Some(node)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: detach HOST[:PORT] USER NODE".into());
    };
    let pgpool =
        Connector { endpoint: Endpoint::parse(&address, DEFAULT_PORT)?, connect_timeout: Duration::from_secs(3) };
    let credentials = Credentials::new(user, std::env::var("PCP_PASSWORD")?.as_bytes())?;

    let node: NodeName = node.parse()?;
    let options = Options { deadline: Deadline::after(Duration::from_secs(30)), settle: Duration::ZERO };
    let report = converge(&pgpool, &credentials, &Order::new(&node, Want::Detached, options)).await;
    for change in &report.changes {
        println!("sent: {change}");
    }
    // Without a change it was down before: that is success, too.
    report.result?;
    println!("{node} is detached: Pgpool shows it down, read after {:?}", report.elapsed);
    Ok(())
}
