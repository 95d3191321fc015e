//! Every message, found by its letter.

use pcp_proto::message::*;
use pcp_proto::{DecodeError, Frame, ReplyKind, RequestKind, ServerAge};

/// A request of ours.
pub(crate) struct Message {
    pub(crate) outgoing: Outgoing,
}

/// How to read a reply.
pub(crate) type ReadReply = fn(&[Frame<ReplyKind>]) -> Result<ReplyRead, DecodeError>;

/// A reply that was read.
pub(crate) struct ReplyRead {
    /// Written again.
    pub(crate) again: Vec<Frame<ReplyKind>>,
    /// How many rows there are when read one by one, and as a whole.
    pub(crate) rows: [usize; 2],
    /// What it tells of the server's age.
    pub(crate) age: Option<ServerAge>,
}

/// What a test wants to know of a reply beside its bytes.
trait Told: Reply {
    fn rows(&self, _frames: &[Frame<ReplyKind>]) -> Result<[usize; 2], DecodeError> {
        Ok([0, 0])
    }

    fn age(&self) -> Option<ServerAge> {
        None
    }
}

impl Told for Accepted {}
impl Told for HealthCheckStats {}
impl Told for NodeCount {}
impl Told for ProcessCount {}
impl Told for WatchdogInfo {
    /// Read its JSON too.
    fn rows(&self, _: &[Frame<ReplyKind>]) -> Result<[usize; 2], DecodeError> {
        let members = self.cluster()?.members.len();
        Ok([members, members])
    }
}
impl Told for NodeInfos {
    fn rows(&self, frames: &[Frame<ReplyKind>]) -> Result<[usize; 2], DecodeError> {
        Ok([count::<Self>(frames)?, self.nodes.len()])
    }

    fn age(&self) -> Option<ServerAge> {
        Some(self.age())
    }
}
impl Told for PoolStatus {
    fn rows(&self, frames: &[Frame<ReplyKind>]) -> Result<[usize; 2], DecodeError> {
        self.nodes()?;
        Ok([count::<Self>(frames)?, self.parameters.len()])
    }

    fn age(&self) -> Option<ServerAge> {
        Some(ServerAge::of(self))
    }
}
impl Told for ProcessInfos {
    fn rows(&self, frames: &[Frame<ReplyKind>]) -> Result<[usize; 2], DecodeError> {
        Ok([count::<Self>(frames)?, self.processes.len()])
    }

    fn age(&self) -> Option<ServerAge> {
        Some(self.age())
    }
}

fn count<R: Rows>(frames: &[Frame<ReplyKind>]) -> Result<usize, DecodeError> {
    let mut count = 0;
    for frame in frames {
        count += usize::from(R::row(frame)?.is_some());
    }
    Ok(count)
}

impl Message {
    pub(crate) fn of<R: Request>(request: &R) -> Self {
        Self { outgoing: Batch::encode(request).remove(0) }
    }
}

fn read<R: Request<Reply: Told>>(frames: &[Frame<ReplyKind>]) -> Result<ReplyRead, DecodeError> {
    let reply = R::Reply::decode(frames)?;
    Ok(ReplyRead { again: reply.encode(R::REPLY), rows: reply.rows(frames)?, age: reply.age() })
}

macro_rules! messages {
    ($($request:ident)+) => {
        /// Read a recorded request: `None` where no message has its letter.
        pub(crate) fn message(frame: &Frame<RequestKind>) -> Option<Result<Message, DecodeError>> {
            $(if frame.kind == <$request as Request>::KIND {
                return Some(<$request as Request>::decode(frame).map(|request| Message::of(&request)));
            })+
            None
        }

        /// Return what answers a request with this letter, and how to read that.
        pub(crate) fn reply(kind: RequestKind) -> Option<(ReplyKind, ReadReply)> {
            $(if kind == <$request as Request>::KIND {
                return Some((<$request as Request>::REPLY, read::<$request>));
            })+
            None
        }
    };
}

messages! {
    AttachNode DetachNode DetachNodeGracefully InvalidateQueryCache PromoteNode PromoteNodeGracefully ReadHealthCheckStats
    ReadNodeCount ReadNodeInfo ReadPoolStatus ReadProcessCount ReadProcessInfo ReadWatchdogInfo RecoverNode ReloadConfig
    RotateLog SetClientMinMessages StopCluster StopPgpool
}
