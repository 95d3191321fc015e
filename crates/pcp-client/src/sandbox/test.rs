//! A client for tests of the world: each request on a connection of its own.

use std::time::Duration;

use pcp_proto::message::{AttachNode, DetachNode, PromoteMode, PromoteNode, Reply as _, Request};
use pcp_proto::{Credentials, Frame, RequestKind, Salt, ServerMessage};

use super::{Answer, Reply, World};

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

    pub(super) fn attach(&mut self, node: usize) -> Result<(), ServerMessage> {
        self.ask(&AttachNode { node: node.try_into().unwrap() }).map(|_| ())
    }

    pub(super) fn detach(&mut self, node: usize) -> Result<(), ServerMessage> {
        self.ask(&DetachNode { node: node.try_into().unwrap() }).map(|_| ())
    }

    pub(super) fn promote(&mut self, node: usize) -> Result<(), ServerMessage> {
        self.ask(&PromoteNode { node: node.try_into().unwrap(), mode: PromoteMode::ViewOnly }).map(|_| ())
    }

    /// Connects, logs in, asks and closes; waits for an answer that comes later.
    pub(super) fn ask<R: Request>(&mut self, request: &R) -> Result<R::Reply, ServerMessage> {
        let reply = self.frame(&request.encode());
        let last = reply.frames.last().expect("an answer");
        match last.kind == R::REPLY {
            true => Ok(R::Reply::decode(&reply.frames).unwrap()),
            false => Err(ServerMessage::decode(&last.body).unwrap()),
        }
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
        let salt = Salt::decode(&reply.frames[0]).unwrap();
        let login = Credentials::new(World::USER, World::PASSWORD.as_bytes()).unwrap().login(salt);
        assert_eq!(&self.send(connection, &login).frames[0].body[..], b"AuthenticationOK\0");
        connection
    }

    pub(super) fn send(&mut self, connection: u64, frame: &Frame<RequestKind>) -> Reply {
        match self.world.request(self.now, connection, frame) {
            Answer::Now(reply) => reply,
            Answer::Later(time) => {
                self.now = time;
                self.world.resume(time, connection)
            }
        }
    }
}
