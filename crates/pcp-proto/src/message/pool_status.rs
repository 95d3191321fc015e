use std::collections::HashMap;

use super::{ARRAY_SIZE, Body, COMPLETE, NodeStatus, PADDING, Query, Reply, Request, Rows, request, row, rows};
use crate::{DecodeError, Fields, Frame, NodeId, ReplyKind, RequestKind, Text};

/// The word of a row.
const ROW: &str = "ProcessConfig";

/// Asks for Pgpool's settings and the state of its nodes. Since 3.5.
///
/// Answered from memory, and never refused: no node is connected to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadPoolStatus;

impl Request for ReadPoolStatus {
    const KIND: RequestKind = RequestKind::READ_POOL_STATUS;
    const REPLY: ReplyKind = ReplyKind::POOL_STATUS;
    const NAME: &'static str = "reading pool status";
    type Reply = PoolStatus;

    fn encode(&self) -> Frame<RequestKind> {
        Frame::new(Self::KIND, PADDING)
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        request(frame, Self::KIND).map(|_| Self)
    }
}

impl Query for ReadPoolStatus {}

/// The answer to [`ReadPoolStatus`]: 140 to 180 parameters and some more for every node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PoolStatus {
    /// The parameters in the server's order.
    pub parameters: Vec<Parameter>,
}

/// A setting, or a state shown like one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Parameter {
    /// Its name in `pgpool.conf`.
    pub name: Text,
    /// Its value.
    pub value: Text,
    /// What the server says of it.
    pub description: Text,
}

/// A node as pool status lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfiguredNode {
    /// The N of its parameters.
    pub id: NodeId,
    /// `backend_hostnameN`.
    pub host: Text,
    /// `backend_portN`.
    pub port: u16,
    /// `backend_statusN`; quarantine shows as down. `None` for a word that this version does not know.
    pub status: Option<NodeStatus>,
    /// `backend_flagN`, such as `ALLOW_TO_FAILOVER`.
    pub flag: Text,
}

impl PoolStatus {
    /// Returns the value of a parameter.
    pub fn value(&self, name: &str) -> Option<&Text> {
        self.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| &parameter.value)
    }

    /// Returns the value of a numeric parameter; switches are 0 and 1.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.value(name)?.as_str()?.parse().ok()
    }

    /// Returns the nodes in the order of their ids. Ids may have gaps. Of a name that comes twice the first value
    /// counts, as in [`value`](Self::value).
    ///
    /// # Errors
    ///
    /// A port that is none, or a host without a port.
    pub fn nodes(&self) -> Result<Vec<ConfiguredNode>, DecodeError> {
        // One pass, however many parameters there are.
        let of_nodes =
            self.parameters.iter().filter(|parameter| parameter.name.as_bytes().starts_with(b"backend_"));
        let values: HashMap<_, _> =
            of_nodes.rev().map(|parameter| (parameter.name.as_bytes(), &parameter.value)).collect();
        let ids = (0..=NodeId::MAX.into()).filter_map(|id: usize| NodeId::try_from(id).ok());
        ids.filter_map(|id| {
            node(id, &|name| values.get(format!("{name}{id}").as_bytes()).map(|&value| value.clone()))
        })
        .collect()
    }
}

/// Gathers what is said of a node; `None` where no host is.
fn node(id: NodeId, value: &dyn Fn(&str) -> Option<Text>) -> Option<Result<ConfiguredNode, DecodeError>> {
    let host = value("backend_hostname")?;
    let port = || {
        let port = value("backend_port").ok_or(DecodeError::MissingField { field: "backend_port" })?;
        port.as_str().and_then(|text| text.parse().ok()).ok_or(DecodeError::InvalidField {
            field: "backend_port",
            value: port,
            expected: "a port",
        })
    };
    Some(port().map(|port| ConfiguredNode {
        id,
        host,
        port,
        status: value("backend_status").as_ref().and_then(NodeStatus::from_word),
        flag: value("backend_flag").unwrap_or_default(),
    }))
}

impl Reply for PoolStatus {
    fn decode(frames: &[Frame<ReplyKind>]) -> Result<Self, DecodeError> {
        let (mut count, rows) = rows(frames, ROW)?;
        let mut parameters = Vec::with_capacity(frames.len());
        for row in rows {
            parameters.push(Parameter::decode(row?)?);
        }
        // Right in every Pgpool since 3.5. A parameter that is missing can be a node.
        let announced = u32::from_be_bytes(count.array("number of rows")?);
        count.finish()?;
        match usize::try_from(announced) {
            Ok(announced) if announced == parameters.len() => Ok(Self { parameters }),
            _ => Err(DecodeError::WrongCount { announced, rows: parameters.len() }),
        }
    }

    fn encode(&self, kind: ReplyKind) -> Vec<Frame<ReplyKind>> {
        // The one count that is binary.
        let count = u32::try_from(self.parameters.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut frames = vec![Body::new(ARRAY_SIZE).raw(&count).frame(kind)];
        frames.extend(self.parameters.iter().map(|Parameter { name, value, description }| {
            Body::new(ROW).text(name.as_bytes()).text(value.as_bytes()).text(description.as_bytes()).frame(kind)
        }));
        frames.push(Body::new(COMPLETE).frame(kind));
        frames
    }
}

impl Rows for PoolStatus {
    type Row = Parameter;

    fn row(frame: &Frame<ReplyKind>) -> Result<Option<Parameter>, DecodeError> {
        row(frame, ROW)?.map(Parameter::decode).transpose()
    }
}

impl Parameter {
    fn decode(mut fields: Fields) -> Result<Self, DecodeError> {
        let (name, value, description) = (fields.text("name")?, fields.text("value")?, fields.text("description")?);
        fields.finish()?;
        Ok(Self { name, value, description })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::{golden, reply};
    use super::*;

    const KIND: ReplyKind = ReplyKind::POOL_STATUS;

    /// Rows of 4.7.3, and the status code that 3.5.0 sends.
    const BODIES: &[&[u8]] = &[
        b"ArraySize\0\0\0\0\x09",
        b"ProcessConfig\0backend_clustering_mode\x001\0clustering mode\0",
        b"ProcessConfig\0search_primary_node_timeout\x003\0max time in seconds to search for primary node after failover\0",
        b"ProcessConfig\0backend_hostname10\0pg10\0backend #10 hostname\0",
        b"ProcessConfig\0backend_port10\x005433\0backend #10 port number\0",
        b"ProcessConfig\0backend_status10\x002\0status of backend #10\0",
        b"ProcessConfig\0backend_hostname2\x00127.0.0.13\0backend #2 hostname\0",
        b"ProcessConfig\0backend_port2\x0014712\0backend #2 port number\0",
        b"ProcessConfig\0backend_status2\0waiting\0status of backend #2\0",
        b"ProcessConfig\0backend_flag2\0ALLOW_TO_FAILOVER\0backend #2 flag\0",
        b"CommandComplete\0",
    ];

    #[test]
    fn golden_bytes() {
        golden(&ReadPoolStatus, b"B\0\0\0\x05\0");
        let frames = reply(KIND, BODIES);
        let status = PoolStatus::decode(&frames).unwrap();
        assert_eq!(status.encode(KIND), frames);
        let rows: Vec<_> = frames.iter().filter_map(|frame| PoolStatus::row(frame).unwrap()).collect();
        assert_eq!(rows, status.parameters);
    }

    #[test]
    fn nodes_are_gathered_in_the_order_of_their_ids() {
        let status = PoolStatus::decode(&reply(KIND, BODIES)).unwrap();
        assert_eq!(status.number("search_primary_node_timeout"), Some(3));
        let nodes = status.nodes().unwrap();
        let shown: Vec<_> = nodes.iter().map(|node| (node.id.get(), node.port, node.status)).collect();
        assert_eq!(shown, [(2, 14712, Some(NodeStatus::Waiting)), (10, 5433, Some(NodeStatus::Up))]);
        assert_eq!(nodes[0].flag, "ALLOW_TO_FAILOVER");
    }

    #[test]
    fn a_node_that_comes_twice_is_one_node() {
        let mut bodies = BODIES.to_vec();
        let last = bodies.pop().unwrap();
        bodies[0] = b"ArraySize\0\0\0\0\x0b";
        bodies.extend([
            &b"ProcessConfig\0backend_hostname2\x00127.0.0.14\0\0"[..],
            b"ProcessConfig\0backend_hostname02\x00127.0.0.15\0\0",
            last,
        ]);
        let nodes = PoolStatus::decode(&reply(KIND, &bodies)).unwrap().nodes().unwrap();
        let shown: Vec<_> = nodes.iter().map(|node| (node.id.get(), node.host.to_string())).collect();
        assert_eq!(shown, [(2, "127.0.0.13".to_owned()), (10, "pg10".to_owned())]);
    }

    #[test]
    fn a_row_that_is_lost_or_comes_twice_is_noticed() {
        let rows = BODIES.iter().enumerate().filter(|(_, body)| body.starts_with(b"ProcessConfig"));
        for (row, body) in rows {
            let (mut lost, mut twice) = (BODIES.to_vec(), BODIES.to_vec());
            lost.remove(row);
            twice.insert(row, body);
            for (bodies, rows) in [(lost, 8), (twice, 10)] {
                let decoded = PoolStatus::decode(&reply(KIND, &bodies));
                assert_eq!(decoded, Err(DecodeError::WrongCount { announced: 9, rows }));
            }
        }
    }

    #[test]
    fn a_host_without_a_port_is_an_error() {
        let mut bodies = BODIES.to_vec();
        bodies[0] = b"ArraySize\0\0\0\0\x08";
        bodies.remove(7);
        let status = PoolStatus::decode(&reply(KIND, &bodies)).unwrap();
        assert_eq!(status.nodes(), Err(DecodeError::MissingField { field: "backend_port" }));
    }
}
