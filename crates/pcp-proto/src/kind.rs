//! Frame kinds: one open newtype per direction, because a letter means different things each way (`N` is a request
//! from a client and a notice from a server).

/// Declares an open newtype over the type byte of a frame.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $letter:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub u8);

        impl $name {
            $($(#[$item_doc])* pub const $item: Self = Self($letter);)*

            /// Returns the name of a known kind.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$item => Some(stringify!($item)),)*
                    _ => None,
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!(stringify!($name), "({:#04x})"), self.0),
                }
            }
        }

        /// Shows the letter, escaped where it cannot be printed.
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0.escape_ascii(), f)
            }
        }

        impl From<u8> for $name {
            fn from(letter: u8) -> Self {
                Self(letter)
            }
        }

        impl From<$name> for u8 {
            fn from(kind: $name) -> Self {
                kind.0
            }
        }

        impl crate::Kind for $name {}
    };
}

kinds! {
    /// The type byte of a frame sent by a client.
    RequestKind {
        /// Attach a node.
        ATTACH_NODE = b'C',
        /// Detach a node.
        DETACH_NODE = b'D',
        /// Detach a node once its sessions have ended.
        DETACH_NODE_GRACEFULLY = b'd',
        /// Say goodbye; the server answers nothing and closes.
        DISCONNECT = b'X',
        /// Drop everything in the query cache (4.6 and later).
        INVALIDATE_QUERY_CACHE = b'G',
        /// Log in with a user name and a digest.
        LOGIN = b'R',
        /// Make a node Pgpool's primary.
        PROMOTE_NODE = b'J',
        /// Make a node Pgpool's primary once the sessions have ended.
        PROMOTE_NODE_GRACEFULLY = b'j',
        /// Read health check statistics (4.2 and later).
        READ_HEALTH_CHECK_STATS = b'H',
        /// Read the number of nodes.
        READ_NODE_COUNT = b'L',
        /// Read what Pgpool knows of a node.
        READ_NODE_INFO = b'I',
        /// Read Pgpool's settings.
        READ_POOL_STATUS = b'B',
        /// Read the process ids of Pgpool's children.
        READ_PROCESS_COUNT = b'N',
        /// Read what Pgpool's children do.
        READ_PROCESS_INFO = b'P',
        /// Ask for the salt of a login.
        READ_SALT = b'M',
        /// Read the watchdog's view of its cluster.
        READ_WATCHDOG_INFO = b'W',
        /// Rebuild a node from the primary and attach it.
        RECOVER_NODE = b'O',
        /// Read `pgpool.conf` again (4.2 and later).
        RELOAD_CONFIG = b'Z',
        /// Begin a new log file (4.6 and later).
        ROTATE_LOG = b'V',
        /// Set a parameter of this connection.
        SET_PARAMETER = b'A',
        /// Stop every Pgpool of the watchdog's cluster (4.2 and later).
        STOP_CLUSTER = b't',
        /// Stop this Pgpool.
        STOP_PGPOOL = b'T',
    }
}

kinds! {
    /// The type byte of a frame sent by a server.
    ReplyKind {
        /// The answer to attach, and to recovery.
        ATTACH_NODE = b'c',
        /// The answer to detach and to promote, gracefully or not.
        DETACH_NODE = b'd',
        /// A refusal or a failure; ends the reply it takes the place of.
        ERROR = b'E',
        /// The answer to health check statistics.
        HEALTH_CHECK_STATS = b'h',
        /// The answer to the invalidation of the query cache.
        INVALIDATE_QUERY_CACHE = b'g',
        /// The login was accepted.
        LOGIN = b'r',
        /// The answer to node count.
        NODE_COUNT = b'l',
        /// The answer to node info.
        NODE_INFO = b'i',
        /// A notice; may come at any time, even before the salt.
        NOTICE = b'N',
        /// The answer to pool status.
        POOL_STATUS = b'b',
        /// The answer to process count.
        PROCESS_COUNT = b'n',
        /// The answer to process info.
        PROCESS_INFO = b'p',
        /// The answer to a reload of the settings.
        RELOAD_CONFIG = b'z',
        /// The answer to log rotation.
        ROTATE_LOG = b'v',
        /// The salt of a login.
        SALT = b'm',
        /// The answer to setting a parameter.
        SET_PARAMETER = b'a',
        /// The answer to both kinds of stop.
        STOP = b't',
        /// The answer to watchdog info.
        WATCHDOG_INFO = b'w',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_kinds_show_their_name_and_unknown_ones_their_byte() {
        assert_eq!(format!("{:?}", RequestKind::DETACH_NODE), "DETACH_NODE");
        assert_eq!(format!("{:?}", ReplyKind(0x07)), "ReplyKind(0x07)");
        assert_eq!(ReplyKind(b'i').to_string(), "i");
        assert_eq!(ReplyKind(0x07).to_string(), "\\x07");
    }
}
