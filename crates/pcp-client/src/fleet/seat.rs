//! Who of several Pgpools acts.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pcp_proto::message::WatchdogCluster;
use tokio::time::Instant;

/// The Pgpools of one order, and what each run has told of its own.
#[derive(Debug)]
pub(crate) struct Table(Mutex<Vec<Option<Place>>>);

/// What a run knows of its Pgpool.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Place {
    /// It cannot be reached.
    Silent,
    Found {
        membership: Membership,
        /// The address of the node that the order is about.
        backend: String,
        /// When it last showed that it searches a primary, unless it showed something else since.
        searching: Option<Instant>,
    },
}

/// What a Pgpool is in a watchdog cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Membership {
    /// Nothing: there is no watchdog, or nobody leads it.
    Alone,
    /// The leader of this name.
    Leader(String),
    /// A member that follows the leader of this name.
    Standby(String),
}

/// The place of one run at the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat<'a> {
    table: &'a Table,
    at: usize,
}

impl Table {
    pub(crate) fn new(seats: usize) -> Self {
        Self(Mutex::new(vec![None; seats]))
    }

    pub(crate) fn seat(&self, at: usize) -> Seat<'_> {
        Seat { table: self, at }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Vec<Option<Place>>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Seat<'_> {
    /// Tells whether there are other Pgpools.
    pub(crate) fn is_shared(self) -> bool {
        self.table.with(|places| places.len() > 1)
    }

    /// Tells the others that this Pgpool cannot be reached.
    pub(crate) fn post_silence(self) {
        self.post(Place::Silent);
    }

    /// Tells the others what this Pgpool is and which backend the node is there.
    pub(crate) fn post_found(self, membership: Membership, backend: String) {
        self.post(Place::Found { membership, backend, searching: None });
    }

    /// Tells the others whether this Pgpool shows that it searches a primary.
    pub(crate) fn post_search(self, shows: bool) {
        self.table.with(|places| {
            if let Some(Some(Place::Found { searching, .. })) = places.get_mut(self.at) {
                *searching = shows.then(Instant::now);
            }
        });
    }

    /// Returns how long ago the leader of this Pgpool's cluster showed that it searches a primary, unless it showed
    /// something else since. The others learn what it has carried out when the search has ended.
    pub(crate) fn leader_searched(self) -> Option<Duration> {
        self.table.with(|places| {
            let Some(Some(Place::Found { membership: Membership::Standby(leader), .. })) = places.get(self.at)
            else {
                return None;
            };
            let searching = places.iter().find_map(|place| match place {
                Some(Place::Found { membership: Membership::Leader(name), searching, .. }) if name == leader => {
                    *searching
                }
                _ => None,
            });
            searching.map(|then| then.elapsed())
        })
    }

    fn post(self, place: Place) {
        self.table.with(|places| {
            if let Some(own) = places.get_mut(self.at) {
                *own = Some(place);
            }
        });
    }

    /// Tells whether every other run has said what it found.
    pub(crate) fn are_others_known(self) -> bool {
        self.table.with(|places| places.iter().enumerate().all(|(at, place)| at == self.at || place.is_some()))
    }

    /// Returns a backend that the node is on another Pgpool and not here.
    pub(crate) fn other_backend(self) -> Option<String> {
        let backend = |place: &Option<Place>| match place {
            Some(Place::Found { backend, .. }) => Some(backend.clone()),
            _ => None,
        };
        self.table.with(|places| {
            let own = places.get(self.at).and_then(backend)?;
            places.iter().filter_map(backend).find(|other| !other.eq_ignore_ascii_case(&own))
        })
    }

    /// Tells whether changes are for this run to send: to a Pgpool without a watchdog, to the leader, and to the
    /// first member of a cluster whose leader is none of the Pgpools.
    pub(crate) fn acts(self) -> bool {
        self.table.with(|places| {
            let membership = |place: &Option<Place>| match place {
                Some(Place::Found { membership, .. }) => Some(membership.clone()),
                _ => None,
            };
            let Some(Membership::Standby(leader)) = places.get(self.at).and_then(membership) else { return true };
            let all_known = places.iter().all(Option::is_some);
            let leads = |other: &Membership| matches!(other, Membership::Leader(name) if *name == leader);
            let follows = |other: &Membership| matches!(other, Membership::Standby(name) if *name == leader);
            let is_led = places.iter().filter_map(membership).any(|other| leads(&other));
            let first = places.iter().position(|place| membership(place).is_some_and(|other| follows(&other)));
            all_known && !is_led && first == Some(self.at)
        })
    }
}

impl Membership {
    /// Reads it off what a Pgpool tells of its watchdog: itself first.
    pub(crate) fn of(cluster: &WatchdogCluster) -> Self {
        const UNSET: &str = "Not_Set";
        let leader = cluster.leader_node_name.as_deref().filter(|name| !name.is_empty() && *name != UNSET);
        let (Some(leader), Some(own)) = (leader, cluster.members.first()) else { return Self::Alone };
        if own.is_leader() { Self::Leader(leader.to_owned()) } else { Self::Standby(leader.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader() -> Membership {
        Membership::Leader("a".to_owned())
    }

    fn standby(of: &str) -> Membership {
        Membership::Standby(of.to_owned())
    }

    /// Who acts; `None` is a Pgpool that was not heard of yet, and an empty backend one that cannot be reached.
    fn acting(places: &[Option<(Membership, &str)>]) -> Vec<bool> {
        let table = Table::new(places.len());
        for (at, place) in places.iter().enumerate() {
            match place {
                None => {}
                Some((_, "")) => table.seat(at).post_silence(),
                Some((membership, backend)) => {
                    table.seat(at).post_found(membership.clone(), (*backend).to_owned());
                }
            }
        }
        (0..places.len()).map(|at| table.seat(at).acts()).collect()
    }

    #[test]
    fn the_leader_acts_and_without_it_the_first_member() {
        let pg = "pg:5432";
        assert_eq!(acting(&[Some((standby("a"), pg)), Some((leader(), pg))]), [false, true]);
        let members = [Some((standby("a"), pg)), Some((standby("a"), pg)), Some((standby("b"), pg))];
        assert_eq!(acting(&members), [true, false, true], "two clusters without their leaders");
        assert_eq!(acting(&[Some((leader(), "")), Some((standby("a"), pg))]), [true, true], "the leader is dead");
        assert_eq!(acting(&[None, Some((standby("a"), pg))]), [true, false], "it may be the leader");
        let alone = Membership::Alone;
        assert_eq!(acting(&[Some((alone.clone(), pg)), None, Some((alone, pg))]), [true; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_knows_whether_its_leader_searches() {
        let table = Table::new(4);
        let searched = || [0, 1, 2, 3].map(|at| table.seat(at).leader_searched().map(|ago| ago.as_secs()));
        table.seat(0).post_search(true);
        assert_eq!(searched(), [None; 4], "nothing was found yet");
        for (at, membership) in [(0, leader()), (1, standby("a")), (2, standby("b")), (3, Membership::Alone)] {
            table.seat(at).post_found(membership, "pg:5432".to_owned());
        }
        assert_eq!(searched(), [None; 4]);
        table.seat(0).post_search(true);
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(searched(), [None, Some(7), None, None]);
        table.seat(0).post_search(false);
        assert_eq!(searched(), [None; 4]);
    }

    #[test]
    fn an_id_that_means_two_backends_is_noticed() {
        assert!(Table::new(1).seat(0).are_others_known());
        let table = Table::new(3);
        assert!(!table.seat(0).are_others_known());
        table.seat(0).post_found(Membership::Alone, "pg1:5432".to_owned());
        table.seat(1).post_found(Membership::Alone, "PG1:5432".to_owned());
        table.seat(2).post_silence();
        assert!(table.seat(0).are_others_known());
        assert_eq!(table.seat(0).other_backend(), None);
        table.seat(1).post_found(Membership::Alone, "pg2:5432".to_owned());
        assert_eq!(table.seat(0).other_backend().as_deref(), Some("pg2:5432"));
        assert_eq!(table.seat(2).other_backend(), None);
    }

    #[test]
    fn a_member_is_what_it_tells_of_itself_first() {
        let of =
            |json: &str| Membership::of(&pcp_proto::message::WatchdogInfo { json: json.into() }.cluster().unwrap());
        let member = |leader: &str, state: u8| {
            format!(
                r#"{{"LeaderNodeName":"{leader}","WatchdogNodes":[{{"ID":1,"State":{state}}},{{"ID":0,"State":4}}]}}"#
            )
        };
        assert_eq!(of(&member("a", 4)), leader());
        assert_eq!(of(&member("a", 7)), standby("a"));
        assert_eq!(of(&member("Not_Set", 7)), Membership::Alone);
        assert_eq!(of(&member("", 7)), Membership::Alone);
        assert_eq!(of("{}"), Membership::Alone);
    }
}
