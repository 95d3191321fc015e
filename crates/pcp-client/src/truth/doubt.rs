//! When EFM's view may be acted on: never where an isolated host could see the same.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Agent, Database, EfmStatus, Member, MemberType, Truth, canonical};
use crate::converge::Want;
use crate::resolve::NodeName;

/// How far apart two views have to be that confirm each other.
const APART: Duration = Duration::from_secs(2);

/// Returns the truth of two views that confirm each other. `apart` is the time from the end of the first reading to
/// the beginning of the second, at least 2 s; `port` is that of the databases, see [`EfmStatus::truth`].
///
/// # Errors
///
/// Every reason not to act on them.
pub fn agreed(first: &EfmStatus, second: &EfmStatus, apart: Duration, port: Option<u16>) -> Result<Truth, Doubt> {
    let (before, now) = (first.truth(port)?, second.truth(port)?);
    if apart < APART {
        return Err(Doubt::TooSoon { apart });
    }
    if before.agrees_with(&now) { Ok(now) } else { Err(Doubt::Disagreement) }
}

/// Why a view of EFM is not acted on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Doubt {
    /// It shows no primary.
    #[error("EFM shows no primary")]
    NoPrimary,
    /// It shows several.
    #[error("EFM shows several primaries: {}", addresses.join(", "))]
    SeveralPrimaries {
        /// All of them.
        addresses: Vec<String>,
    },
    /// It shows a primary whose database is not up.
    #[error("EFM does not show the database of the primary {address} as UP")]
    PrimaryNotUp {
        /// The primary.
        address: String,
    },
    /// A promotion is going on.
    #[error("EFM is promoting {address}")]
    Promoting {
        /// The node that becomes the primary.
        address: String,
    },
    /// It knows of one member only, as an isolated host may.
    #[error("EFM knows of {address} only: an isolated host may see the same")]
    Alone {
        /// The member.
        address: String,
    },
    /// Half of the members or more are not there.
    #[error("EFM shows {present} of {configured} members: no majority; not there: {}", absent.join(", "))]
    NoMajority {
        /// How many are there.
        present: usize,
        /// How many are rows, missing or allowed.
        configured: usize,
        /// Those that are not there.
        absent: Vec<String>,
    },
    /// A member is there and missing at once.
    #[error("EFM shows {address} both as a member and as missing")]
    Contradiction {
        /// The member.
        address: String,
    },
    /// The two views were read too soon after each other.
    #[error("EFM was asked twice within {} ms: too soon to confirm anything", apart.as_millis())]
    TooSoon {
        /// The time between them.
        apart: Duration,
    },
    /// The two views differ.
    #[error("EFM's view is changing: asked twice, it showed two different clusters")]
    Disagreement,
}

impl EfmStatus {
    /// Returns what the nodes should be, `port` being that of their databases, as `db.port` in `efm.properties`.
    ///
    /// The primary and the standbys whose databases are up are attached; members whose databases are down, and those
    /// that are gone, are detached. Witnesses, and idle and other members of which no more is told, are left alone.
    ///
    /// One view proves nothing: see [`agreed`].
    ///
    /// # Errors
    ///
    /// Why nobody should act on this view.
    pub fn truth(&self, port: Option<u16>) -> Result<Truth, Doubt> {
        self.has_one_working_primary()?;
        self.has_majority()?;
        let named = |address: &str| NodeName::Address { host: address.to_owned(), port };
        let rows = self.members.iter().filter_map(|member| Some((named(&member.address), member.want()?)));
        let shown: BTreeSet<_> = self.members.iter().map(|member| canonical(&member.address)).collect();
        let gone = distinct(self.missing.iter())
            .into_iter()
            .filter(|missing| !shown.contains(missing))
            .map(|address| (named(&address), Want::Detached));
        Ok(Truth::new(rows.chain(gone).collect()))
    }

    /// Tells whether more than half of the members that EFM knows are there: those with a row, the missing and the
    /// allowed ones. The latter count because EFM before 5.0 may drop the row of a member that is gone.
    pub(crate) fn has_majority(&self) -> Result<(), Doubt> {
        let present = self.members.iter().filter(|member| member.is_present());
        let present: BTreeSet<_> = present.map(|member| canonical(&member.address)).collect();
        if let Some(address) = self.missing.iter().find(|missing| present.contains(&canonical(missing))) {
            return Err(Doubt::Contradiction { address: address.clone() });
        }
        let rows = self.members.iter().map(|member| &member.address);
        let configured = distinct(rows.chain(&self.missing).chain(&self.allowed));
        match &configured[..] {
            [address] => Err(Doubt::Alone { address: address.clone() }),
            _ if present.len() * 2 > configured.len() => Ok(()),
            _ => Err(Doubt::NoMajority {
                present: present.len(),
                configured: configured.len(),
                absent: configured.into_iter().filter(|address| !present.contains(address)).collect(),
            }),
        }
    }

    fn has_one_working_primary(&self) -> Result<(), Doubt> {
        let of_type = |wanted: MemberType| self.members.iter().filter(move |member| member.member_type == wanted);
        let primaries: Vec<_> = of_type(MemberType::Primary).collect();
        let address = |member: &Member| member.address.clone();
        match primaries[..] {
            [] => return Err(Doubt::NoPrimary),
            [primary] if primary.database != Database::Up || !primary.is_present() => {
                return Err(Doubt::PrimaryNotUp { address: address(primary) });
            }
            [_] => {}
            _ => return Err(Doubt::SeveralPrimaries { addresses: primaries.into_iter().map(address).collect() }),
        }
        match of_type(MemberType::Promoting).next() {
            Some(member) => Err(Doubt::Promoting { address: address(member) }),
            None => Ok(()),
        }
    }
}

impl Member {
    /// Returns what its node should be; `None` leaves it alone.
    fn want(&self) -> Option<Want> {
        match (&self.member_type, &self.database) {
            (MemberType::Witness, _) => None,
            (MemberType::Down, _) => Some(Want::Detached),
            (MemberType::Primary | MemberType::Standby | MemberType::Idle, Database::Down) => Some(Want::Detached),
            // Its agent is gone, and what it said last is old.
            (MemberType::Primary | MemberType::Standby, _) if self.agent == Agent::Down => Some(Want::Detached),
            _ if self.agent == Agent::Unknown => None,
            (MemberType::Primary, Database::Up) => Some(Want::Primary),
            (MemberType::Standby, Database::Up) => Some(Want::Standby),
            _ => None,
        }
    }
}

/// Returns each address once, spelled in one way.
fn distinct<'a>(addresses: impl Iterator<Item = &'a String>) -> Vec<String> {
    addresses.map(|address| canonical(address)).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::efm::tests::EFM_3_6;
    use super::*;

    const FAR: Duration = Duration::from_secs(2);

    /// A status of members `address type db`, with missing and allowed addresses.
    fn status(members: &str, missing: &str, allowed: &str) -> EfmStatus {
        let words =
            |text: &str| text.split_whitespace().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(",");
        let rows: Vec<_> = members
            .split(", ")
            .filter(|member| !member.is_empty())
            .map(|member| match member.split_whitespace().collect::<Vec<_>>()[..] {
                [address, kind, db] => format!("\"{address}\":{{\"type\":\"{kind}\",\"db\":\"{db}\"}}"),
                [address, kind, db, agent] => {
                    format!("\"{address}\":{{\"type\":\"{kind}\",\"db\":\"{db}\",\"agent\":\"{agent}\"}}")
                }
                _ => panic!("{member}"),
            })
            .collect();
        let json = format!(
            "{{\"nodes\":{{{}}},\"missingnodes\":[{}],\"allowednodes\":[{}]}}",
            rows.join(","),
            words(missing),
            words(allowed)
        );
        EfmStatus::parse(json.as_bytes()).unwrap()
    }

    fn goals(status: &EfmStatus) -> Result<Vec<String>, String> {
        let truth = status.truth(Some(5444)).map_err(|doubt| doubt.to_string())?;
        Ok(truth.goals().iter().map(|(name, want)| format!("{name} {want}")).collect())
    }

    #[test]
    fn a_healthy_cluster_is_what_it_says() {
        let status = EfmStatus::parse(EFM_3_6.as_bytes()).unwrap();
        let expected = ["172.16.144.177:5444 attached as the primary", "172.16.144.180:5444 attached as a standby"];
        assert_eq!(goals(&status), Ok(expected.map(str::to_owned).into()));
    }

    #[test]
    fn every_member_has_its_state_or_is_left_alone() {
        for (member, missing, expected) in [
            ("c Standby UP", "", Some("c:5444 attached as a standby")),
            ("c Standby DOWN", "", Some("c:5444 detached")),
            ("c Standby UNKNOWN", "", None),
            ("c Standby UP UP", "", Some("c:5444 attached as a standby")),
            ("c Standby UP DOWN", "", Some("c:5444 detached")),
            ("c Standby UP LOST", "", None),
            ("c Idle UP", "", None),
            ("c Idle UNKNOWN", "", None),
            ("c Idle DOWN", "", Some("c:5444 detached")),
            ("c Witness N/A", "", None),
            ("c Witness DOWN DOWN", "", None),
            ("c Observer UP", "", None),
            ("c DOWN N/A", "", Some("c:5444 detached")),
            ("c DOWN N/A", "C.", Some("c:5444 detached")),
            ("x Witness N/A", "c c", Some("c:5444 detached")),
        ] {
            let status = status(&format!("a Primary UP, b Witness N/A, d Witness N/A, {member}"), missing, "");
            let mut goals = goals(&status).unwrap();
            goals.retain(|goal| goal != "a:5444 attached as the primary");
            assert_eq!(goals, expected.into_iter().map(str::to_owned).collect::<Vec<_>>(), "{member}");
        }
    }

    /// The views of hosts that are cut off, and others that nobody should act on.
    #[test]
    fn an_isolated_hosts_view_is_not_acted_on() {
        for (members, missing, allowed, doubt) in [
            // The old primary, cut off.
            ("a Primary UP", "b c", "", "1 of 3 members: no majority; not there: b, c"),
            ("a Primary UP", "", "a b c", "1 of 3 members: no majority; not there: b, c"),
            ("a Primary UP, b DOWN N/A, c DOWN N/A", "", "", "1 of 3 members: no majority; not there: b, c"),
            ("a Primary UP, b Standby UP DOWN, c Witness N/A DOWN", "", "", "1 of 3 members"),
            ("a Primary UP", "", "", "EFM knows of a only"),
            ("a Primary UP", "", "A.", "EFM knows of a only"),
            ("a Idle UP", "b c", "", "no primary"),
            // With one other, in a cluster of four or five.
            ("a Primary UP, b Standby UP", "c d", "", "2 of 4 members"),
            ("a Primary UP, b Witness N/A", "", "a b c d e", "2 of 5 members"),
            // One of two.
            ("a Primary UP", "b", "", "1 of 2 members"),
            // A standby, cut off, or before its promotion.
            ("b Standby UP", "a c", "", "no primary"),
            ("b Standby UP, c Witness N/A", "a", "", "no primary"),
            ("b Promoting UP, c Witness N/A", "a", "", "no primary"),
            ("a Primary UP, b Promoting UP, c Witness N/A", "", "", "promoting b"),
            // Two halves that meet again.
            ("a Primary UP, b Primary UP, c Witness N/A", "", "", "several primaries: a, b"),
            ("a Primary UP DOWN, b Primary UP, c Witness N/A", "", "", "several primaries: a, b"),
            // The primary's database does not work, or nobody knows.
            ("a Primary DOWN, b Standby UP, c Witness N/A", "", "", "primary a as UP"),
            ("a Primary UNKNOWN, b Standby UP, c Witness N/A", "", "", "primary a as UP"),
            ("a Primary UP DOWN, b Standby UP, c Witness N/A", "", "", "primary a as UP"),
            // Nonsense.
            ("a Primary UP, b Standby UP, c Witness N/A", "::1 B", "", "B both as a member and as missing"),
            ("", "a", "", "no primary"),
            ("", "", "", "no primary"),
        ] {
            let status = status(members, missing, allowed);
            let told = goals(&status).unwrap_err();
            assert!(told.contains(doubt), "{members}; {missing}; {allowed}: {told}");
            let healthy = EfmStatus::parse(EFM_3_6.as_bytes()).unwrap();
            assert!(agreed(&status, &status, FAR, None).is_err(), "{members}");
            assert!(agreed(&healthy, &status, FAR, None).is_err(), "{members}");
            assert!(agreed(&status, &healthy, FAR, None).is_err(), "{members}");
        }
    }

    #[test]
    fn two_views_confirm_each_other_only_from_afar() {
        let before = status("a Primary UP, b Standby UP, c Witness N/A", "", "");
        let same = status("c Witness N/A, B. Standby UP, a Primary UP", "", "a b c");
        let truth = agreed(&before, &same, FAR, None).unwrap();
        assert!(truth.agrees_with(&before.truth(None).unwrap()));
        let soon = Duration::from_millis(1999);
        assert_eq!(agreed(&before, &same, soon, None), Err(Doubt::TooSoon { apart: soon }));
        for other in [
            "b Primary UP, a Standby UP, c Witness N/A",
            "a Primary UP, b Standby DOWN, c Witness N/A",
            "a Primary UP, b Standby UNKNOWN, c Witness N/A",
            "a Primary UP, b Standby UP, d Standby UP",
        ] {
            assert_eq!(agreed(&before, &status(other, "", ""), FAR, None), Err(Doubt::Disagreement), "{other}");
        }
    }
}
