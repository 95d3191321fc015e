//! The address map: EFM's addresses of nodes, and what Pgpool calls them.

use std::fmt;
use std::net::IpAddr;

use pcp_client::NodeName;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// Leads from an address that a caller uses to the node that Pgpool knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressMap {
    /// Those of the profile before those of the top level.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    host: String,
    port: Option<u16>,
    node: NodeName,
}

impl AddressMap {
    /// Returns the node that a name stands for; the name itself where the map does not have it. An entry with the
    /// name's port goes before one without.
    ///
    /// A port that a caller names is never lost: an entry without one is passed over where it leads to another port.
    pub(crate) fn apply(&self, name: NodeName) -> NodeName {
        let NodeName::Address { host, port } = &name else { return name };
        let with_port = self.entries.iter().filter(|entry| entry.port.is_some() && entry.port == *port);
        let without_port = self.entries.iter().filter(|entry| entry.port.is_none());
        let mapped = with_port.chain(without_port).find(|entry| is_same_host(&entry.host, host));
        let Some(entry) = mapped else { return name };
        match (&entry.node, entry.port.or(*port)) {
            (node, None) => node.clone(),
            (node, Some(_)) if entry.port.is_some() => node.clone(),
            (NodeName::Address { port: mapped, .. }, port) if mapped.is_none() || *mapped == port => {
                entry.node.clone().with_default_port(port)
            }
            _ => name,
        }
    }

    /// Lists the addresses that there are entries for.
    pub(super) fn names(&self) -> impl Iterator<Item = NodeName> {
        self.entries.iter().map(|entry| NodeName::Address { host: entry.host.clone(), port: entry.port })
    }

    /// Puts these entries before others.
    pub(super) fn over(mut self, base: Self) -> Self {
        self.entries.extend(base.entries);
        self
    }
}

/// Tells whether two hosts are the same text, but for case and a final dot, or the same IP address.
fn is_same_host(a: &str, b: &str) -> bool {
    let bare = |host: &str| host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let address = |host: &str| host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    bare(a) == bare(b) || (address(a).is_some() && address(a) == address(b))
}

impl<'de> Deserialize<'de> for AddressMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = AddressMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of addresses")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AddressMap, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(address) = map.next_key::<Address>()? {
            let Target(node) = map.next_value()?;
            let Address { host, port } = address;
            if entries.iter().any(|entry| entry.port == port && is_same_host(&entry.host, &host)) {
                return Err(de::Error::custom(format_args!("{host} is in [nodes] twice")));
            }
            entries.push(Entry { host, port, node });
        }
        Ok(AddressMap { entries })
    }
}

/// A key: an address, with or without a port.
struct Address {
    host: String,
    port: Option<u16>,
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse().map_err(de::Error::custom)? {
            NodeName::Address { host, port } => Ok(Self { host, port }),
            NodeName::Id(_) => {
                // What "10.0.0.3 = ..." begins with.
                let advice = "an address with dots goes in quotes: \"10.0.0.3\" = \"pg3:5432\"";
                Err(de::Error::custom(format_args!("{text} in [nodes] is no address; {advice}")))
            }
        }
    }
}

/// A value: a node, as text or as the number that is its id.
struct Target(NodeName);

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetText)
    }
}

struct TargetText;

impl<'de> Visitor<'de> for TargetText {
    type Value = Target;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node: \"HOST\", \"HOST:PORT\" or its id")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Target, E> {
        text.trim().parse().map(Target).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, id: i64) -> Result<Target, E> {
        self.visit_str(&id.to_string())
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Target, A::Error> {
        Err(de::Error::custom("an address with dots goes in quotes: \"pg3.example\" = \"pg3:5432\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> AddressMap {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_address_leads_to_a_node_whatever_its_spelling() {
        let map = map("\"10.0.0.3\" = \"pg3.internal:5432\"\n\"PG4.\" = 3\n\"fd00::5\" = \"pg5\"");
        for (name, node) in [
            ("10.0.0.3", "pg3.internal:5432"),
            ("::ffff:10.0.0.3", "pg3.internal:5432"),
            ("10.0.0.3:5432", "pg3.internal:5432"),
            ("pg4", "3"),
            ("Pg4.", "3"),
            ("fd00:0:0::5", "pg5"),
            ("[fd00::5]:5433", "pg5:5433"),
            ("10.0.0.30", "10.0.0.30"),
            ("0.0.0.3", "0.0.0.3"),
            ("3", "3"),
        ] {
            assert_eq!(map.apply(name.parse().unwrap()).to_string(), node, "{name}");
        }
    }

    #[test]
    fn a_port_that_is_named_is_never_lost() {
        let map = map("\"10.0.0.3:5444\" = 1\n\"10.0.0.3\" = \"pg3:5432\"\n\"pg4\" = 2");
        for (name, node) in [
            ("10.0.0.3:5444", "1"),
            ("10.0.0.3", "pg3:5432"),
            ("10.0.0.3:5445", "10.0.0.3:5445"),
            ("pg4:5432", "pg4:5432"),
        ] {
            assert_eq!(map.apply(name.parse().unwrap()).to_string(), node, "{name}");
        }
    }

    #[test]
    fn entries_that_make_no_sense_are_refused_with_advice() {
        for (text, complaint) in [
            ("10.0.0.3 = \"pg3\"", "an address with dots goes in quotes"),
            ("pg3.example = \"pg3\"", "an address with dots goes in quotes"),
            ("\"10.0.0.3\" = 1\n\"::ffff:10.0.0.3\" = 2", "::ffff:10.0.0.3 is in [nodes] twice"),
            ("pg3 = 128", "a node id is a number from 0 to 127"),
            ("pg3 = \"a b\"", "\"a b\" names no node"),
            ("pg3 = true", "a node: \"HOST\", \"HOST:PORT\" or its id"),
        ] {
            let error = toml::from_str::<AddressMap>(text).unwrap_err();
            assert!(error.message().contains(complaint), "{text}: {error}");
        }
    }
}
