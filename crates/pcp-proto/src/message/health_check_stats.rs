use super::{Body, COMPLETE, NodeRole, NodeStatus, Query, Reply, Request, complete, node_id_body, only_node_id};
use crate::{DecodeError, Frame, NodeId, Release, ReplyKind, RequestKind, Text};

/// Asks for the health check statistics of a node. Since 4.2; an older server drops the connection.
///
/// Answered from memory: no node is connected to, and the node's status and role come with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadHealthCheckStats {
    /// The node; an error where there is none.
    pub node: NodeId,
}

impl Request for ReadHealthCheckStats {
    const KIND: RequestKind = RequestKind::READ_HEALTH_CHECK_STATS;
    const REPLY: ReplyKind = ReplyKind::HEALTH_CHECK_STATS;
    const NAME: &'static str = "reading health check statistics";
    const SINCE: Release = Release::new(4, 2);
    type Reply = HealthCheckStats;

    fn encode(&self) -> Frame<RequestKind> {
        Frame::new(Self::KIND, node_id_body(self.node))
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        Ok(Self { node: only_node_id(frame, Self::KIND)? })
    }
}

impl Query for ReadHealthCheckStats {}

/// Declares the reply, its decoder and its encoder from one list of fields in the order of the wire.
macro_rules! stats {
    ($($(#[$doc:meta])* $field:ident: $type:ident,)*) => {
        /// The answer to [`ReadHealthCheckStats`]. Counters count since Pgpool's start; times are local to the
        /// server and may be empty.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct HealthCheckStats {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Reply for HealthCheckStats {
            fn decode(frames: &[Frame<ReplyKind>]) -> Result<Self, DecodeError> {
                let mut fields = complete(frames)?;
                let stats = Self { $($field: stats!(@decode $type, fields, stringify!($field)),)* };
                fields.finish()?;
                Ok(stats)
            }

            fn encode(&self, kind: ReplyKind) -> Vec<Frame<ReplyKind>> {
                let mut body = Body::new(COMPLETE);
                $(body = stats!(@encode $type, body, &self.$field);)*
                vec![body.frame(kind)]
            }
        }
    };
    (@decode Text, $fields:ident, $name:expr) => { $fields.text($name)? };
    (@decode $type:ident, $fields:ident, $name:expr) => { $fields.number($name)? };
    (@encode Text, $body:ident, $value:expr) => { $body.text($value.as_bytes()) };
    (@encode f64, $body:ident, $value:expr) => { $body.text(average(*$value).as_bytes()) };
    (@encode $type:ident, $body:ident, $value:expr) => { $body.shown($value) };
}

stats! {
    /// The node's id.
    node_id: u8,
    /// `backend_hostnameN`.
    hostname: Text,
    /// `backend_portN`.
    port: u16,
    /// A word; see [`node_status`](Self::node_status).
    status: Text,
    /// A word; see [`node_role`](Self::node_role).
    role: Text,
    /// When the status changed last.
    last_status_change: Text,
    /// Health checks made.
    total_count: u64,
    /// Those that succeeded.
    success_count: u64,
    /// Those that failed.
    fail_count: u64,
    /// Those that were skipped because the node was down.
    skip_count: u64,
    /// Retries.
    retry_count: u64,
    /// Retries per check.
    average_retry_count: f64,
    /// The most retries of one check.
    max_retry_count: u64,
    /// The longest check, in milliseconds.
    max_duration: u64,
    /// The shortest check, in milliseconds.
    min_duration: u64,
    /// The mean duration of a check, in milliseconds.
    average_duration: f64,
    /// The last check.
    last_health_check: Text,
    /// The last that succeeded.
    last_successful_health_check: Text,
    /// The last that was skipped.
    last_skip_health_check: Text,
    /// The last that failed.
    last_failed_health_check: Text,
}

/// Writes an average as C does: before the first check the server divides zero by zero.
fn average(value: f64) -> String {
    if value.is_nan() { "-nan".to_owned() } else { format!("{value:.6}") }
}

impl HealthCheckStats {
    /// Returns the node's status; quarantine shows as down. `None` for a word that this version does not know.
    pub fn node_status(&self) -> Option<NodeStatus> {
        NodeStatus::from_word(&self.status)
    }

    /// Returns what Pgpool takes the node for. `None` for a word that this version does not know.
    pub fn node_role(&self) -> Option<NodeRole> {
        NodeRole::from_word(&self.role)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::{golden, reply};
    use super::*;

    const KIND: ReplyKind = ReplyKind::HEALTH_CHECK_STATS;

    /// What 4.3.5 sent for node 2 with health checks on.
    const BODY: &[u8] = b"CommandComplete\x002\x00127.0.0.13\x0014312\0waiting\0standby\x002026-11-21 23:56:49\x005\x004\x000\x000\x004\x000.800000\x000\x007\x002\x003.200000\x002026-11-21 23:56:57\x002026-11-21 23:56:55\0\0\0";

    #[test]
    fn golden_bytes() {
        golden(&ReadHealthCheckStats { node: "2".parse().unwrap() }, b"H\0\0\0\x062\0");
        let frames = reply(KIND, &[BODY]);
        let stats = HealthCheckStats::decode(&frames).unwrap();
        assert_eq!((stats.node_id, stats.port, stats.total_count, stats.success_count), (2, 14312, 5, 4));
        assert_eq!(stats.node_status(), Some(NodeStatus::Waiting));
        assert_eq!(stats.node_role(), Some(NodeRole::Standby));
        assert_eq!(stats.last_successful_health_check, "2026-11-21 23:56:55");
        assert_eq!(stats.encode(KIND), frames);
    }

    #[test]
    fn averages_that_are_not_numbers_survive() {
        let body = String::from_utf8(BODY.to_vec()).unwrap().replace("0.800000", "-nan");
        let frames = [Frame::new(KIND, body.into_bytes())];
        let stats = HealthCheckStats::decode(&frames).unwrap();
        assert!(stats.average_retry_count.is_nan());
        assert_eq!(stats.encode(KIND), frames);
    }
}
