//! Several requests in one write.

use super::{Query, Reply, Request};
use crate::{DecodeError, Frame, ReplyKind, RequestKind, Requirement};

/// A request's frame, the type of the frames that answer it, and what it needs of the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// The request.
    pub frame: Frame<RequestKind>,
    /// What its reply's frames are.
    pub reply: ReplyKind,
    /// What the server's age must allow; see [`ServerAge::check`](crate::ServerAge::check).
    pub requirement: Requirement,
}

/// One request, or several that are sent together and answered in order: a `Vec` of requests, or a tuple of
/// batches.
///
/// Each request has a `Result` of its own: a refusal of one does not hide the answers to the others.
pub trait Batch {
    /// A `Result` for each request, in the shape of the batch.
    type Output<E>;

    /// Makes the frames.
    fn encode(&self) -> Vec<Outgoing>;

    /// Reads the replies, given as frames in the order of the requests. Asks `replies` exactly once for each
    /// request.
    fn decode<E: From<DecodeError>>(
        &self,
        replies: &mut impl FnMut() -> Result<Vec<Frame<ReplyKind>>, E>,
    ) -> Self::Output<E>;
}

/// A batch that only reads.
pub trait QueryBatch: Batch {}

impl<R: Request> Batch for R {
    type Output<E> = Result<R::Reply, E>;

    fn encode(&self) -> Vec<Outgoing> {
        vec![Outgoing { frame: Request::encode(self), reply: R::REPLY, requirement: self.requirement() }]
    }

    fn decode<E: From<DecodeError>>(
        &self,
        replies: &mut impl FnMut() -> Result<Vec<Frame<ReplyKind>>, E>,
    ) -> Self::Output<E> {
        Ok(R::Reply::decode(&replies()?)?)
    }
}

impl<R: Query> QueryBatch for R {}

impl<R: Request> Batch for Vec<R> {
    type Output<E> = Vec<Result<R::Reply, E>>;

    fn encode(&self) -> Vec<Outgoing> {
        self.iter().flat_map(Batch::encode).collect()
    }

    fn decode<E: From<DecodeError>>(
        &self,
        replies: &mut impl FnMut() -> Result<Vec<Frame<ReplyKind>>, E>,
    ) -> Self::Output<E> {
        self.iter().map(|request| Batch::decode(request, replies)).collect()
    }
}

impl<R: Query> QueryBatch for Vec<R> {}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Batch),+> Batch for ($($name,)+) {
            type Output<Error> = ($($name::Output<Error>,)+);

            #[allow(non_snake_case)]
            fn encode(&self) -> Vec<Outgoing> {
                let ($($name,)+) = self;
                let mut outgoing = Vec::new();
                $(outgoing.extend($name.encode());)+
                outgoing
            }

            #[allow(non_snake_case)]
            fn decode<Error: From<DecodeError>>(
                &self,
                replies: &mut impl FnMut() -> Result<Vec<Frame<ReplyKind>>, Error>,
            ) -> Self::Output<Error> {
                let ($($name,)+) = self;
                ($($name.decode(replies),)+)
            }
        }

        impl<$($name: QueryBatch),+> QueryBatch for ($($name,)+) {}
    };
}

tuples!(A B);
tuples!(A B C);
tuples!(A B C D);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;
    use crate::message::{ReadNodeCount, ReadNodeInfo};

    #[test]
    fn what_is_asked_together_is_asked_in_its_order() {
        let nodes = [ReadNodeInfo::Node(NodeId::MAX), ReadNodeInfo::All];
        let batch = (ReadNodeCount, nodes.to_vec());
        let frames: Vec<_> = batch.encode().into_iter().map(|outgoing| outgoing.frame).collect();
        let [first, last] = nodes.map(|node| Request::encode(&node));
        assert_eq!(frames, [Request::encode(&ReadNodeCount), first, last]);
    }
}
