use super::{Accepted, Body, Request, request};
use crate::{DecodeError, Frame, Release, ReplyKind, RequestKind};

/// Drops everything in the query cache. Since 4.6; an older server drops the connection.
///
/// An error where the cache is off. Success means that the children were told: each drops its part before its next
/// query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidateQueryCache;

impl Request for InvalidateQueryCache {
    const KIND: RequestKind = RequestKind::INVALIDATE_QUERY_CACHE;
    const REPLY: ReplyKind = ReplyKind::INVALIDATE_QUERY_CACHE;
    const NAME: &'static str = "invalidating the query cache";
    const SINCE: Release = Release::new(4, 6);
    type Reply = Accepted;

    fn encode(&self) -> Frame<RequestKind> {
        Body::empty().frame(Self::KIND)
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        request(frame, Self::KIND).map(|_| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reply;
    use super::super::test::{frames, golden};
    use super::*;

    #[test]
    fn golden_bytes() {
        golden(&InvalidateQueryCache, b"G\0\0\0\x04");
        let bytes = b"g\0\0\0\x14CommandComplete\0";
        assert_eq!(Accepted::decode(&frames(bytes)), Ok(Accepted));
        assert_eq!(Accepted.encode(InvalidateQueryCache::REPLY)[0].to_bytes(), &bytes[..]);
    }
}
