//! What `SHOW POOL_NODES` says: Pgpool's view of the cluster by a way that is not PCP.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// A row of `SHOW POOL_NODES`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PoolNode {
    /// The node's id.
    pub id: usize,
    /// `backend_hostnameN`.
    pub hostname: String,
    /// `backend_portN`.
    pub port: u16,
    /// `waiting`, `up`, `down`, `unused`, `quarantine`.
    pub status: String,
    /// `primary` or `standby`.
    pub role: String,
    /// Every column that this version has, by its name.
    pub columns: BTreeMap<String, String>,
}

impl PoolNode {
    /// Tell whether Pgpool would use it: it is `up`, or `waiting` for its first session.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        matches!(&*self.status, "up" | "waiting")
    }

    /// Return "id status role", for comparison in one piece.
    #[must_use]
    pub fn summary(&self) -> String {
        let attached = if self.is_attached() { "attached" } else { &self.status };
        format!("{} {attached} {}", self.id, self.role)
    }
}

/// Separates the columns in [`parse`]'s input: a character that no value contains.
pub(crate) const SEPARATOR: char = '\u{1f}';

/// Parses psql's unaligned output with a header.
pub(crate) fn parse(text: &str) -> Result<Vec<PoolNode>> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().context("SHOW POOL_NODES printed nothing")?.split(SEPARATOR).collect();
    lines
        .map(|line| {
            let columns: BTreeMap<String, String> =
                names.iter().map(|name| (*name).to_owned()).zip(line.split(SEPARATOR).map(str::to_owned)).collect();
            let column = |name: &str| {
                columns.get(name).map(String::as_str).with_context(|| format!("no column {name} in {names:?}"))
            };
            Ok(PoolNode {
                id: column("node_id")?.parse().context("node_id is no number")?,
                hostname: column("hostname")?.to_owned(),
                port: column("port")?.parse().context("port is no number")?,
                status: column("status")?.to_owned(),
                role: column("role")?.to_owned(),
                columns,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name() {
        let text = "role|node_id|hostname|port|later|status\nprimary|0|10.0.0.1|5433|x|waiting\n";
        let nodes = parse(&text.replace('|', &SEPARATOR.to_string())).unwrap();
        assert_eq!(nodes.len(), 1);
        assert_eq!(nodes[0].summary(), "0 attached primary");
        assert_eq!(nodes[0].columns["later"], "x");
    }

    #[test]
    fn a_missing_column_is_named() {
        let text = format!("node_id{SEPARATOR}role\n0{SEPARATOR}primary\n");
        assert!(parse(&text).unwrap_err().to_string().contains("no column hostname"));
    }
}
