use super::{Accepted, Body, Request, Scope};
use crate::{DecodeError, Frame, Release, ReplyKind, RequestKind};

/// Reads `pgpool.conf` and `pool_hba.conf` again. Since 4.2; an older server drops the connection.
///
/// Success means that the main process was signalled: what it made of the files stands in its log only, and
/// settings that need a restart stay as they are. With [`Scope::Cluster`], an error where the watchdog could not
/// pass it on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReloadConfig {
    /// Which Pgpools do it.
    pub scope: Scope,
}

impl Request for ReloadConfig {
    const KIND: RequestKind = RequestKind::RELOAD_CONFIG;
    const REPLY: ReplyKind = ReplyKind::RELOAD_CONFIG;
    const NAME: &'static str = "reloading the configuration";
    const SINCE: Release = Release::new(4, 2);
    type Reply = Accepted;

    fn encode(&self) -> Frame<RequestKind> {
        Body::empty().raw(&[self.scope.letter()]).frame(Self::KIND)
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        Ok(Self { scope: Scope::decode(frame, Self::KIND)? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reply;
    use super::super::test::{frames, golden};
    use super::*;

    #[test]
    fn golden_bytes() {
        golden(&ReloadConfig { scope: Scope::Local }, b"Z\0\0\0\x05l");
        golden(&ReloadConfig { scope: Scope::Cluster }, b"Z\0\0\0\x05c");
        let bytes = b"z\0\0\0\x14CommandComplete\0";
        assert_eq!(Accepted::decode(&frames(bytes)), Ok(Accepted));
        assert_eq!(Accepted.encode(ReloadConfig::REPLY)[0].to_bytes(), &bytes[..]);
    }
}
