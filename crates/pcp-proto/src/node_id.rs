//! The number of a backend.

use std::fmt;
use std::str::FromStr;

/// The number of a backend in Pgpool's configuration: the N of `backend_hostnameN`, 0 to 127.
///
/// Pgpool answers `CommandComplete` to attach and detach of any id up to 127, whether there is such a node or not,
/// and then runs a failover of nothing. So an id alone proves nothing: compare it with what the server lists.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId(u8);

impl NodeId {
    /// The largest id that any Pgpool can have.
    pub const MAX: Self = Self(127);

    /// Returns the number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<NodeId> for usize {
    fn from(id: NodeId) -> Self {
        Self::from(id.0)
    }
}

impl TryFrom<usize> for NodeId {
    type Error = NodeIdError;

    fn try_from(id: usize) -> Result<Self, NodeIdError> {
        match u8::try_from(id) {
            Ok(id) if id <= Self::MAX.0 => Ok(Self(id)),
            _ => Err(NodeIdError),
        }
    }
}

/// Reads decimal digits only: no sign, no blanks, nothing behind them.
impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NodeIdError);
        }
        text.parse::<usize>().map_err(|_| NodeIdError)?.try_into()
    }
}

/// A number or text that is no node id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a node id is a number from 0 to 127")]
pub struct NodeIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_strictly() {
        assert_eq!("0".parse(), Ok(NodeId(0)));
        assert_eq!("127".parse(), Ok(NodeId(127)));
        for text in ["", "-1", "+1", " 1", "1 ", "1a", "abc", "128", "99999999999999999999999"] {
            assert_eq!(text.parse::<NodeId>(), Err(NodeIdError), "{text:?}");
        }
    }
}
