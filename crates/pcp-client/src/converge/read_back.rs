//! Reading back what a change that somebody else sent has come to.

use pcp_proto::Credentials;
use tokio::time::Instant;
use tracing::debug;

use super::pauses::Pauses;
use super::{Failure, Options};
use crate::observe::{View, observe_again};
use crate::{Client, Connect, Error};

/// Reads the state in fresh connections until it is as wanted and was so for as long as it has to settle, and returns it.
/// Sends no change.
///
/// For a caller who sent a change of its own, and wants no other one sent for it as [`converge`](super::converge()) may.
/// `before` is the state in which it was sent; `awaited` says in a few words what is waited for. The first look comes
/// at once, the others after 2, 5, 10 … 250 ms. What passes while Pgpool is at work, such as a connection that is refused,
/// is no reason to give up.
///
/// # Errors
///
/// [`Failure::NotVerified`] when the deadline comes first, when the nodes are others than before, or when Pgpool cannot be
/// asked any more.
pub async fn read_back<C: Connect>(
    connect: &C,
    credentials: &Credentials,
    before: &View,
    awaited: &str,
    is_met: impl Fn(&View) -> bool,
    options: Options,
) -> Result<View, Failure> {
    let not_verified = |source| Failure::NotVerified { awaited: awaited.to_owned(), source };
    let mut pauses = Pauses::default();
    let mut met_since = None;
    let mut last_error = None;
    let mut has_looked = false;
    loop {
        if !pauses.pause_within(options.deadline).await {
            return Err(not_verified(last_error));
        }
        let asked = Instant::now();
        let looked = look(connect, credentials, before, options).await;
        if looked.is_ok() {
            (has_looked, last_error) = (true, None);
        }
        match looked {
            Ok(Some(view)) if is_met(&view) => {
                if asked.duration_since(*met_since.get_or_insert(asked)) >= options.settle {
                    return Ok(view);
                }
            }
            Ok(Some(_)) => met_since = None,
            Ok(None) => {
                return Err(Failure::NotVerified {
                    awaited: format!("{awaited}, and Pgpool has other nodes now"),
                    source: None,
                });
            }
            // A look that the deadline cuts off says nothing of what the one before it saw.
            Err(error) if error.is_retryable() => {
                debug!(%error, "could not look");
                if !(has_looked && options.deadline.has_passed()) {
                    last_error = Some(error);
                }
            }
            Err(error) => return Err(not_verified(Some(error))),
        }
    }
}

async fn look<C: Connect>(
    connect: &C,
    credentials: &Credentials,
    before: &View,
    options: Options,
) -> Result<Option<View>, Error> {
    let mut client = Client::connect(connect, credentials, options.deadline).await?;
    let view = observe_again(&mut client, before).await;
    client.close().await;
    view
}
