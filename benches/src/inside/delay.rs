//! A network with a round trip of a given length, for kernels without netem.
//!
//! In the network namespace in which this runs, 10.99.0.1 is the host and 10.99.0.2 is the same host seen over the slow network:
//! every packet comes back after half of the round trip with both addresses exchanged, which no checksum notices.

use std::io::{Read, Write};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// The addresses within an IPv4 header.
const ADDRESSES: std::ops::Range<usize> = 12..20;

/// Serves for ever; prints a line when the network is there.
pub(crate) fn serve(round_trip: Duration) -> Result<()> {
    let mut config = tun::Configuration::default();
    config.address((10, 99, 0, 1)).netmask((255, 255, 255, 0)).destination((10, 99, 0, 2)).up();
    let (mut reader, mut writer) = tun::create(&config)?.split();
    let (packets, arriving) = channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        for (due, packet) in arriving {
            sleep_until(due);
            // A packet may be lost.
            let _lost = writer.write_all(&packet);
        }
    });
    println!("ready");
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = reader.read(&mut buffer)?;
        let mut packet = buffer.get(..length).unwrap_or_default().to_vec();
        if let Some(addresses) = packet.get_mut(ADDRESSES) {
            addresses.rotate_left(4);
            packets.send((Instant::now() + round_trip / 2, packet))?;
        }
    }
}

/// Sleeps, but for the end of it: a sleep is over too late.
fn sleep_until(due: Instant) {
    const EARLY: Duration = Duration::from_micros(100);
    thread::sleep(due.saturating_duration_since(Instant::now()).saturating_sub(EARLY));
    while Instant::now() < due {
        std::hint::spin_loop();
    }
}
