//! Sending a change.

use pcp_proto::message::{Accepted, AttachNode, DetachNode, PromoteMode, PromoteNode};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::{info, warn};

use super::drive::{Look, Run};
use super::{Change, Failure, Reason};
use crate::observe::View;
use crate::{Client, Connect, Error, ErrorKind, Evidence, Refusal};

/// How often Pgpool may refuse a change before the run gives up. Some refusals pass, and texts do not tell which.
const MAX_REFUSALS: u32 = 3;

impl<C: Connect, E: Evidence> Run<'_, C, E> {
    /// Sends a change on the connection on which `view` was read.
    pub(super) async fn act(
        &mut self,
        mut client: Client<C::Stream>,
        view: &View,
        change: Change,
        reason: Reason,
    ) -> Result<Look, Failure> {
        self.note_asked([change.request_kind()]);
        self.awaited = format!("Pgpool to carry out: {change}");
        // Before it is sent: a run that is stopped while it waits for the reply has to know.
        self.memory.record(change, reason, view, self.elapsed());
        self.changes.push(change);
        // What may be half done from now on wants time to be undone.
        client.end_by(self.deadline());
        let Err(error) = send(client, change).await else {
            info!(%change, ?reason, "accepted");
            self.refusals = 0;
            return Ok(Look::Moved);
        };
        warn!(%change, ?reason, %error, "no answer, or a refusal");
        self.last_error = Some(error.clone());
        if error.outcome_unknown() {
            return Ok(Look::Waiting);
        }
        self.memory.forget_last_change();
        self.changes.pop();
        if error.kind() == ErrorKind::Refused {
            self.refusals += 1;
            let passes = matches!(
                error.refusal(),
                Some(Refusal::OperationInProgress | Refusal::CanceledByWatchdog | Refusal::NotValidForFailover)
            );
            if self.refusals >= MAX_REFUSALS && !passes {
                return Err(Failure::Refused { reason: format!("Pgpool refused: {change}"), source: Some(error) });
            }
        }
        Ok(Look::Waiting)
    }
}

async fn send<S>(client: Client<S>, change: Change) -> Result<Accepted, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match change {
        Change::Attach(node) => client.finish(AttachNode { node }).await,
        Change::Detach(node) => client.finish(DetachNode { node }).await,
        Change::Promote(node) => client.finish(PromoteNode { node, mode: PromoteMode::ViewOnly }).await,
    }
}
