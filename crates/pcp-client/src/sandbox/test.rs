//! Clients for tests: one of the world, one of the server.

use std::io;
use std::time::Duration;

use pcp_proto::message::{
    AttachNode, Batch, DetachNode, Outgoing, PromoteMode, PromoteNode, ReadNodeCount, Reply as _, Request,
};
use pcp_proto::{Credentials, Event, Frame, RequestKind, Salt, ServerMessage, Session};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

use super::{Answer, Reply, Sandbox, World};

/// More than anything but a stall takes.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// A world and the time in it.
#[derive(Clone, Debug)]
pub(super) struct Drill {
    pub(super) world: World,
    pub(super) now: Duration,
}

impl Drill {
    pub(super) fn new(world: World) -> Self {
        Self { world, now: Duration::ZERO }
    }

    pub(super) fn wait(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
        self.world.advance(self.now);
    }

    pub(super) fn shown(&self) -> String {
        self.world.show_pool_nodes()
    }

    pub(super) fn attach(&mut self, node: usize) -> Result<(), String> {
        self.ask(&AttachNode { node: node.try_into().unwrap() }).map(|_| ())
    }

    pub(super) fn detach(&mut self, node: usize) -> Result<(), String> {
        self.ask(&DetachNode { node: node.try_into().unwrap() }).map(|_| ())
    }

    pub(super) fn promote(&mut self, node: usize) -> Result<(), String> {
        self.ask(&PromoteNode { node: node.try_into().unwrap(), mode: PromoteMode::ViewOnly }).map(|_| ())
    }

    /// Connects, logs in, asks and closes; waits for an answer that comes later.
    pub(super) fn ask<R: Request>(&mut self, request: &R) -> Result<R::Reply, String> {
        read::<R>(&self.frame(&request.encode()))
    }

    /// The same with a frame.
    pub(super) fn frame(&mut self, frame: &Frame<RequestKind>) -> Reply {
        let connection = self.log_in();
        let reply = self.send(connection, frame);
        self.world.disconnect(self.now, connection);
        reply
    }

    /// Opens a connection and logs in.
    pub(super) fn log_in(&mut self) -> u64 {
        let connection = self.world.connect(self.now);
        let reply = self.send(connection, &Frame::new(RequestKind::READ_SALT, &b""[..]));
        let salt = reply.frames.iter().find_map(|frame| Salt::decode(frame).ok()).unwrap();
        let login = Credentials::new(World::USER, World::PASSWORD.as_bytes()).unwrap().login(salt);
        let reply = self.send(connection, &login);
        assert!(reply.frames.iter().any(|frame| frame.body == "AuthenticationOK\0"));
        connection
    }

    pub(super) fn send(&mut self, connection: u64, frame: &Frame<RequestKind>) -> Reply {
        self.send_for(Duration::MAX, connection, frame).expect("an answer")
    }

    /// Asks, and waits for an answer until the time is over.
    pub(super) fn ask_for<R: Request>(&mut self, limit: Duration, request: &R) -> Option<Result<R::Reply, String>> {
        self.reply_within(limit, &request.encode()).map(|reply| read::<R>(&reply))
    }

    /// The same with a frame.
    pub(super) fn reply_within(&mut self, limit: Duration, frame: &Frame<RequestKind>) -> Option<Reply> {
        let connection = self.log_in();
        let reply = self.send_for(limit, connection, frame);
        self.world.disconnect(self.now, connection);
        reply
    }

    fn send_for(&mut self, limit: Duration, connection: u64, frame: &Frame<RequestKind>) -> Option<Reply> {
        let end = self.now.saturating_add(limit);
        let mut answer = self.world.request(self.now, connection, frame);
        loop {
            match answer {
                Answer::Now(reply) => return Some(reply),
                Answer::Later(time) if time > end => return None,
                Answer::Later(time) => {
                    self.now = time;
                    answer = self.world.resume(time, connection);
                }
            }
        }
    }
}

/// Reads a reply or a refusal.
fn read<R: Request>(reply: &Reply) -> Result<R::Reply, String> {
    let last = reply.frames.last().expect("an answer");
    match last.kind == R::REPLY {
        true => Ok(R::Reply::decode(&reply.frames).unwrap()),
        false => Err(ServerMessage::decode(&last.body).unwrap().to_string()),
    }
}

/// Asks how many nodes there are.
pub(super) fn count() -> Vec<Outgoing> {
    Batch::encode(&ReadNodeCount)
}

/// Asks for a detach.
pub(super) fn detach(node: usize) -> Vec<Outgoing> {
    Batch::encode(&DetachNode { node: node.try_into().unwrap() })
}

/// Opens a duplex that a sandbox serves.
pub(super) fn connect(sandbox: &Sandbox) -> DuplexStream {
    let (client, server) = tokio::io::duplex(4096);
    sandbox.serve_stream(server);
    client
}

/// Logs in, asks everything and says goodbye; returns what came until the end and how that was.
pub(super) async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    requests: Vec<Outgoing>,
) -> (Vec<Event>, io::Result<()>) {
    let mut session = Session::new(Credentials::new(World::USER, World::PASSWORD.as_bytes()).unwrap());
    for request in requests {
        session.request(request);
    }
    session.goodbye();
    let mut events = Vec::new();
    let end = loop {
        let output = session.output().to_vec();
        if let Err(error) = stream.write_all(&output).await {
            break Err(error);
        }
        session.advance_output(output.len());
        match stream.read_buf(session.input()).await {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
        loop {
            match session.poll() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Err(io::Error::other(error))),
            }
        }
    };
    (events, end)
}

/// The same on a duplex, within a minute.
pub(super) async fn ask(sandbox: &Sandbox, requests: Vec<Outgoing>) -> Option<(usize, Result<(), io::ErrorKind>)> {
    let (events, end) = timeout(MINUTE, talk(connect(sandbox), requests)).await.ok()?;
    Some((events.len(), end.map_err(|error| error.kind())))
}
