//! What runs beside the programs that are measured: it asks as the library does, or is the network between.

mod codec;
mod delay;
mod requests;

use std::env;
use std::time::Duration;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match &args[..] {
        ["connect", address, count] => requests::connect(address, count.parse()?),
        ["exchange", address, count] => requests::exchange(address, count.parse()?),
        ["pipeline", address, count] => requests::pipeline(address, count.parse()?),
        ["delay", round_trip] => {
            delay::serve(Duration::from_millis(round_trip.parse().context("a round trip in milliseconds")?))
        }
        ["codec", work, count] => codec::run(work, count.parse()?),
        _ => bail!("usage: inside connect|exchange|pipeline|delay|codec ARGUMENT.."),
    }
}
