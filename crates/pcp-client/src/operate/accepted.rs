//! What Pgpool takes and nobody can read back.

use pcp_proto::Credentials;
use pcp_proto::message::{Accepted, InvalidateQueryCache, PoolStatus, Request, RotateLog, Scope};

use super::site::{Decision, Sent, Site, check_watchdog};
use crate::observe::View;
use crate::{Connect, Deadline, Failure};

/// Has Pgpool, or every member of its watchdog's cluster, begin a new log file. Since 4.6.
///
/// Success means that Pgpool took the request: whether there is a new file, only the directory tells.
///
/// # Errors
///
/// Those of the connection; [`Failure::Refused`] where Pgpool is too old or does not collect its log, or where a
/// cluster is meant and there is none.
///
/// # Cancel safety
///
/// Dropping the future closes the connection; Pgpool may carry the request out all the same.
pub async fn rotate_log<C: Connect>(
    connect: &C,
    credentials: &Credentials,
    scope: Scope,
    deadline: Deadline,
) -> Result<(), Failure> {
    ask(&Site::new(connect, credentials, deadline), RotateLog { scope }, scope).await
}

/// Has Pgpool drop everything in its query cache. Since 4.6.
///
/// Success means that the children were told: each drops its part before its next query, and nothing shows it.
///
/// # Errors
///
/// Those of the connection; [`Failure::Refused`] where Pgpool is too old or has no query cache.
///
/// # Cancel safety
///
/// That of [`rotate_log`].
pub async fn invalidate_query_cache<C: Connect>(
    connect: &C,
    credentials: &Credentials,
    deadline: Deadline,
) -> Result<(), Failure> {
    ask(&Site::new(connect, credentials, deadline), InvalidateQueryCache, Scope::Local).await
}

async fn ask<C: Connect, R>(site: &Site<'_, C>, request: R, scope: Scope) -> Result<(), Failure>
where
    R: Request<Reply = Accepted> + Copy,
{
    let decide = |view: &View, _: &PoolStatus| {
        if scope == Scope::Cluster {
            check_watchdog(view)?;
        }
        Ok(Decision::Send(request))
    };
    match site.carry_out(decide).await? {
        (Sent::Unknown(error), ..) => {
            Err(Failure::NotVerified { awaited: "Pgpool's answer".to_owned(), source: Some(error) })
        }
        _ => Ok(()),
    }
}
