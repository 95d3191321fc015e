use super::{letter, request};
use crate::{DecodeError, Frame, RequestKind};

/// Which Pgpools carry out a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// The one that is asked.
    Local,
    /// Every member of its watchdog cluster; where it has none, the one that is asked.
    Cluster,
}

impl Scope {
    pub(super) fn letter(self) -> u8 {
        match self {
            Self::Local => b'l',
            Self::Cluster => b'c',
        }
    }

    /// Reads a request that holds a scope and nothing else.
    pub(super) fn decode(frame: &Frame<RequestKind>, kind: RequestKind) -> Result<Self, DecodeError> {
        letter(request(frame, kind)?, "scope", "\"l\" or \"c\"", &[(b'l', Self::Local), (b'c', Self::Cluster)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ReloadConfig, Request};
    use super::*;

    #[test]
    fn only_the_two_letters_are_read() {
        for bad in [&b""[..], b"x", b"lc", b"l\0"] {
            let frame = Frame::new(RequestKind::RELOAD_CONFIG, bad);
            assert!(ReloadConfig::decode(&frame).is_err(), "{}", bad.escape_ascii());
        }
        assert!(ReloadConfig::decode(&Frame::new(RequestKind::ROTATE_LOG, &b"l"[..])).is_err());
    }
}
