//! Several Pgpools.

mod seat;

use std::time::Duration;

use futures_util::future::join_all;
use pcp_proto::Credentials;
use tokio::time::Instant;

pub(crate) use self::seat::{Membership, Seat, Table};
use crate::converge::{Failure, Order, Report, converge_in_seat};
use crate::{Connect, Evidence};

/// Makes every Pgpool show the wanted state of a node, all at the same time, and returns a report for each in their
/// order.
///
/// The name is resolved on each, for ids may differ; an id has to mean the same backend on all. Of the members of a
/// watchdog cluster the leader carries the changes out, and the others have to show them; a member acts itself when
/// the leader is not among the Pgpools, or does nothing for 5 s. Whether the watchdog is on, and who leads, is read
/// from each.
///
/// A Pgpool that is dead does not delay the others. The call returns when the last one is through; one that could
/// not be reached is tried for 10 s more when the others are verified.
///
/// # Cancel safety
///
/// That of [`converge`](crate::converge).
pub async fn converge_all<'a, C, E>(
    pgpools: impl IntoIterator<Item = (&'a C, &'a Credentials)>,
    order: &Order<'_, E>,
) -> Vec<Report>
where
    C: Connect + 'a,
    E: Evidence,
{
    let started = Instant::now();
    let pgpools: Vec<_> = pgpools.into_iter().collect();
    let table = Table::new(pgpools.len());
    let run = |(at, &(connect, credentials))| converge_in_seat(connect, credentials, order, table.seat(at));
    let mut reports = join_all(pgpools.iter().enumerate().map(run)).await;
    let last = reports.iter().filter(|report| report.result.is_ok()).map(|report| report.elapsed).max();
    let again = reports.iter_mut().zip(&pgpools).enumerate().filter(|(_, (report, _))| was_given_up(report, last));
    join_all(again.map(async |(at, (report, &(connect, credentials)))| {
        *report = converge_in_seat(connect, credentials, order, table.seat(at)).await;
        report.elapsed = started.elapsed();
    }))
    .await;
    reports
}

/// Tells whether a Pgpool that could not be reached was given up before the last of the others was verified.
fn was_given_up(report: &Report, last: Option<Duration>) -> bool {
    matches!(report.result, Err(Failure::Unreachable(_))) && last.is_some_and(|last| report.elapsed < last)
}

/// How many of several Pgpools have to be verified.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Require {
    /// All of them: one that could not be verified may still route to the node, or write to the old primary.
    #[default]
    All,
    /// More than half of them.
    Quorum,
    /// One.
    Any,
}

impl Require {
    /// Tells whether `verified` of `all` are enough.
    pub fn is_met(self, verified: usize, all: usize) -> bool {
        match self {
            Self::All => verified == all,
            Self::Quorum => verified > all / 2,
            Self::Any => verified > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_are_enough() {
        let met = |require: Require| [0, 1, 2, 3, 4].map(|verified| require.is_met(verified, 4));
        assert_eq!(met(Require::All), [false, false, false, false, true]);
        assert_eq!(met(Require::Quorum), [false, false, false, true, true]);
        assert_eq!(met(Require::Any), [false, true, true, true, true]);
        assert_eq!([1, 2].map(|verified| Require::Quorum.is_met(verified, 3)), [false, true]);
    }
}
