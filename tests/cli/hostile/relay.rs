//! A Pgpool that puts hostile text into whatever it says: a sandbox behind a relay that replaces words in its replies.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;
use bytes::BytesMut;
use pcp_proto::{Frame, FrameDecoder, ReplyKind};

/// Words, and what comes in their place.
pub(super) type Words = Vec<(&'static str, String)>;

/// Relays connections to `server` while the test runs; returns where it listens.
pub(super) fn start(server: SocketAddr, words: Words) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let words = words.clone();
            thread::spawn(move || {
                // Whoever goes away takes the other one along.
                let _gone = relay(client, server, &words);
            });
        }
    });
    Ok(address)
}

fn relay(mut client: TcpStream, server: SocketAddr, words: &Words) -> Result<()> {
    let mut server = TcpStream::connect(server)?;
    let (mut requests, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _gone = std::io::copy(&mut requests, &mut to_server);
        let _closed = to_server.shutdown(Shutdown::Write);
    });
    let mut decoder = FrameDecoder::<ReplyKind>::new();
    let mut received = BytesMut::new();
    let mut chunk = [0; 4096];
    loop {
        let count = server.read(&mut chunk)?;
        if count == 0 {
            client.shutdown(Shutdown::Both)?;
            return Ok(());
        }
        received.extend_from_slice(chunk.get(..count).unwrap_or_default());
        while let Some(frame) = decoder.decode(&mut received)? {
            client.write_all(&Frame::new(frame.kind, replaced(&frame.body, words)).to_bytes())?;
        }
    }
}

/// Replaces each word that is a field of its own, or a part of a message.
fn replaced(body: &[u8], words: &Words) -> Vec<u8> {
    let mut body = body.to_vec();
    for (word, text) in words {
        let mut place = 0;
        while let Some(found) = body.get(place..).and_then(|rest| find(rest, word.as_bytes())) {
            let start = place + found;
            body.splice(start..start + word.len(), text.bytes());
            place = start + text.len();
        }
    }
    body
}

fn find(body: &[u8], word: &[u8]) -> Option<usize> {
    body.windows(word.len()).position(|part| part == word)
}
