//! What `efm cluster-status-json` prints, from EFM 3.2 to 5.

use super::canonical;
use super::loose_json::{Problem, Value, read_object};
use crate::resolve::NodeName;

/// A cluster as one EFM agent sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EfmStatus {
    /// Every member that has a row, in the order printed. From EFM 5.0 those that are gone have one too.
    pub members: Vec<Member>,
    /// `missingnodes`: members that should be there and are not.
    pub missing: Vec<String>,
    /// `allowednodes`: addresses that may join, whether they are there or not.
    pub allowed: Vec<String>,
}

/// A row of the status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// A host name or an IP literal. EFM tells no port.
    pub address: String,
    /// `type`.
    pub member_type: MemberType,
    /// `db`.
    pub database: Database,
    /// `agent`.
    pub agent: Agent,
}

/// What EFM says of a member's agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Agent {
    /// It is up: EFM says so, or shows a row without a word of it, as it does from EFM 4 on.
    Up,
    /// It is down.
    Down,
    /// Another word.
    Unknown,
}

/// What a member is to EFM.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MemberType {
    /// The primary: `Primary`, up to EFM 3 `Master`.
    Primary,
    /// A standby.
    Standby,
    /// A member without a database.
    Witness,
    /// A member whose agent does not watch its database.
    Idle,
    /// A standby that becomes the primary.
    Promoting,
    /// A member whose agent is gone (EFM 5.0 and later).
    Down,
    /// A type that this version does not know.
    Other(String),
}

/// What EFM says of a member's database.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Database {
    /// It is up.
    Up,
    /// It is down.
    Down,
    /// `UNKNOWN`, `N/A`, another word, or none.
    NotTold,
}

impl EfmStatus {
    /// Reads the output of `efm cluster-status-json`. Text around the object is ignored, and so are fields that are
    /// not needed. Missing commas and strings that swallowed their colon, as the documentation shows them for EFM 4
    /// and 5, are understood.
    ///
    /// # Errors
    ///
    /// [`EfmStatusError`], which names the place. An address that stands twice is an error, for the rows may differ.
    pub fn parse(output: &[u8]) -> Result<Self, EfmStatusError> {
        let object = read_object(&String::from_utf8_lossy(output))?;
        let Some(nodes) = field(&object, "nodes")? else {
            return Err(EfmStatusError::Field { field: "nodes", expected: "there" });
        };
        let Value::Object(rows) = nodes else {
            return Err(EfmStatusError::Field { field: "nodes", expected: "an object" });
        };
        let members =
            rows.iter().map(|(address, row)| Member::read(address, row)).collect::<Result<Vec<_>, _>>()?;
        let status = Self {
            missing: addresses(&object, "missingnodes")?,
            allowed: addresses(&object, "allowednodes")?,
            members,
        };
        match status.repeated() {
            Some(address) => Err(EfmStatusError::Repeated { address: address.to_owned() }),
            None => Ok(status),
        }
    }

    fn repeated(&self) -> Option<&str> {
        let mut seen = std::collections::BTreeSet::new();
        let mut addresses = self.members.iter().map(|member| member.address.as_str());
        addresses.find(|address| !seen.insert(canonical(address)))
    }
}

impl Member {
    fn read(address: &str, row: &Value) -> Result<Self, EfmStatusError> {
        let Value::Object(row) = row else {
            return Err(EfmStatusError::Field { field: "nodes", expected: "an object of objects" });
        };
        let word = |name| Ok::<_, EfmStatusError>(field(row, name)?.and_then(Value::as_text).unwrap_or_default());
        Ok(Self {
            address: checked_address(address)?,
            member_type: MemberType::read(word("type")?),
            database: Database::read(word("db")?),
            agent: Agent::read(word("agent")?),
        })
    }

    /// Tells whether its agent takes part in the cluster.
    pub fn is_present(&self) -> bool {
        self.agent == Agent::Up && self.member_type != MemberType::Down
    }
}

impl MemberType {
    fn read(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "primary" | "master" => Self::Primary,
            "standby" => Self::Standby,
            "witness" => Self::Witness,
            "idle" => Self::Idle,
            "promoting" => Self::Promoting,
            "down" => Self::Down,
            _ => Self::Other(word.to_owned()),
        }
    }
}

impl Agent {
    fn read(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "UP" | "" => Self::Up,
            "DOWN" => Self::Down,
            _ => Self::Unknown,
        }
    }
}

impl Database {
    fn read(word: &str) -> Self {
        match word.to_ascii_uppercase().as_str() {
            "UP" => Self::Up,
            "DOWN" => Self::Down,
            _ => Self::NotTold,
        }
    }
}

/// Why an output tells no status.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EfmStatusError {
    /// It cannot be read.
    #[error("EFM's status cannot be read at line {line}, column {column}: {reason}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// A field is not as it should be.
    #[error("in EFM's status \"{field}\" is not {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// What stands for an address is none.
    #[error("in EFM's status \"{text}\" is no address")]
    Address {
        /// The text.
        text: String,
    },
    /// A field or an address stands there twice.
    #[error("EFM's status names {address} twice")]
    Repeated {
        /// The field or the address.
        address: String,
    },
}

impl From<Problem> for EfmStatusError {
    fn from(Problem { line, column, reason }: Problem) -> Self {
        Self::Syntax { line, column, reason }
    }
}

/// Returns a field that must not stand there twice.
fn field<'a>(object: &'a [(String, Value)], name: &'static str) -> Result<Option<&'a Value>, EfmStatusError> {
    let mut values = object.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(EfmStatusError::Repeated { address: name.to_owned() }),
    }
}

fn addresses(object: &[(String, Value)], name: &'static str) -> Result<Vec<String>, EfmStatusError> {
    let not = |expected| EfmStatusError::Field { field: name, expected };
    match field(object, name)? {
        None => Ok(Vec::new()),
        Some(Value::List(values)) => values
            .iter()
            .map(|value| checked_address(value.as_text().ok_or_else(|| not("a list of addresses"))?))
            .collect(),
        Some(_) => Err(not("a list")),
    }
}

fn checked_address(text: &str) -> Result<String, EfmStatusError> {
    match text.parse() {
        Ok(NodeName::Address { host, port: None }) => Ok(host),
        _ => Err(EfmStatusError::Address { text: text.to_owned() }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// As EFM's documentation prints it for 3.6: valid JSON.
    pub(crate) const EFM_3_6: &str = include_str!("../../../../fuzz/corpus/efm_status/efm_3_6.bin");
    /// As a cluster of EFM 3 printed it: on one line.
    const EFM_3_ONE_LINE: &str = include_str!("../../../../fuzz/corpus/efm_status/efm_3_one_line.bin");
    /// As the documentation prints it for 4 and 5: without some quotes and commas.
    const EFM_4: &str = include_str!("../../../../fuzz/corpus/efm_status/efm_4_documented.bin");
    const EFM_5: &str = include_str!("../../../../fuzz/corpus/efm_status/efm_5_documented.bin");

    fn shown(text: &str) -> Vec<String> {
        let status = EfmStatus::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let member = |member: &Member| {
            format!("{} {:?} {:?} {:?}", member.address, member.member_type, member.database, member.agent)
        };
        status.members.iter().map(member).collect()
    }

    #[test]
    fn what_every_version_prints_is_read() {
        for text in [EFM_3_6, EFM_4, EFM_5] {
            assert_eq!(
                shown(text),
                [
                    "172.16.144.176 Witness NotTold Up",
                    "172.16.144.177 Primary Up Up",
                    "172.16.144.180 Standby Up Up"
                ]
            );
            let status = EfmStatus::parse(text.as_bytes()).unwrap();
            assert_eq!((status.allowed.len(), status.missing.len()), (4, 0));
        }
        assert_eq!(
            shown(EFM_3_ONE_LINE),
            [
                "10.4.0.1 Standby Up Up",
                "10.4.0.12 Primary Up Up",
                "10.4.0.121 Witness NotTold Up",
                "10.4.0.122 Witness NotTold Up"
            ]
        );
    }

    #[test]
    fn words_are_read_in_any_case_and_unknown_ones_kept() {
        let text = r#"{"nodes":{
            "a": {"type":"PRIMARY","db":"up","agent":"DOWN"},
            "b": {"type":"idle","db":"UNKNOWN","agent":"up"},
            "c": {"type":"Promoting","db":"DOWN"},
            "d": {"type":"DOWN","db":"N/A"},
            "e": {"type":"Observer"},
            "f": {"agent":"LOST"}
        },"missingnodes":["g"]}"#;
        assert_eq!(
            shown(text),
            [
                "a Primary Up Down",
                "b Idle NotTold Up",
                "c Promoting Down Up",
                "d Down NotTold Up",
                "e Other(\"Observer\") NotTold Up",
                "f Other(\"\") NotTold Unknown"
            ]
        );
        let status = EfmStatus::parse(text.as_bytes()).unwrap();
        let present: Vec<_> = status.members.iter().map(Member::is_present).collect();
        assert_eq!((present, status.missing), (vec![false, true, true, false, true, false], vec!["g".to_owned()]));
    }

    #[test]
    fn what_is_no_status_is_refused_by_name() {
        for (text, expected) in [
            ("efm: command not found", "at line 1, column 23: there is no {"),
            ("{}", "\"nodes\" is not there"),
            (r#"{"nodes":[]}"#, "\"nodes\" is not an object"),
            (r#"{"nodes":{"a":"UP"}}"#, "\"nodes\" is not an object of objects"),
            (r#"{"nodes":{"":{}}}"#, "\"\" is no address"),
            (r#"{"nodes":{"2":{}}}"#, "\"2\" is no address"),
            (r#"{"nodes":{"a:5432":{}}}"#, "\"a:5432\" is no address"),
            (r#"{"nodes":{"a":{},"A.":{}}}"#, "names A. twice"),
            (r#"{"nodes":{},"nodes":{}}"#, "names nodes twice"),
            (r#"{"nodes":{"a":{"db":"UP","db":"DOWN"}}}"#, "names db twice"),
            (r#"{"nodes":{},"missingnodes":"a"}"#, "\"missingnodes\" is not a list"),
            (r#"{"nodes":{},"allowednodes":[{}]}"#, "\"allowednodes\" is not a list of addresses"),
        ] {
            let error = EfmStatus::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
