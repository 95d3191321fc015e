//! Finding out what Pgpool does not know.

use std::time::Duration;

use pcp_proto::message::{NodeInfos, ReadNodeInfo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout_at;
use tracing::{debug, info};

use super::drive::Run;
use super::{Answer, Question};
use crate::observe::{Node, View, observe_again};
use crate::{Client, Connect, Evidence, Recovery};

/// How long a Pgpool that asks PostgreSQL is waited for.
const PGPOOL_LIMIT: Duration = Duration::from_secs(3);

impl<C: Connect, E: Evidence> Run<'_, C, E> {
    /// Takes note of what is known without asking anybody, and tells whether anything is.
    pub(super) fn knows_at_once(&mut self, question: Question, view: &View) -> bool {
        match self.known_at_once(question, view) {
            Some(recovery) if !self.is_for_pgpool(question, view) => {
                self.memory.learn(question, Answer::Recovery(recovery), self.elapsed());
                true
            }
            _ => false,
        }
    }

    /// Tells whether nobody but Pgpool can answer.
    pub(super) fn is_for_pgpool(&self, question: Question, view: &View) -> bool {
        pgpool_can_tell(view) && matches!(self.known_at_once(question, view), Some(Recovery::Unknown { .. }))
    }

    fn known_at_once(&self, question: Question, view: &View) -> Option<Recovery> {
        let Question::Recovery(id) = question else { return None };
        view.node(id).and_then(|node| self.order.evidence.recovery_at_once(node))
    }

    /// Has Pgpool find out on the connection on which `view` was read, takes note, and returns the state behind the answer,
    /// which may have taken its time; `None` where the connection tells no more.
    pub(super) async fn ask_here(
        &mut self,
        client: &mut Client<C::Stream>,
        question: Question,
        view: &View,
    ) -> Option<View> {
        let node = view.node(question.node())?;
        let unknown = self.known_at_once(question, view)?;
        let until = self.deadline().at_most(PGPOOL_LIMIT).instant();
        let told = timeout_at(until, ask_pgpool(client, node)).await;
        let answer = Answer::Recovery(told.as_ref().ok().cloned().flatten().unwrap_or(unknown));
        info!(?question, ?answer, "asked Pgpool about the node");
        self.memory.learn(question, answer, self.elapsed());
        let later = match told {
            Ok(_) => observe_again(client, view).await,
            // Whatever is asked now waits for that answer too.
            Err(_) => Ok(None),
        };
        self.note_last_connection(client.asked().to_vec());
        later.inspect_err(|error| debug!(%error, "cannot read the state again")).ok().flatten()
    }

    /// Finds out, over connections of its own, and takes note, unless the deadline comes first.
    pub(super) async fn find_out(&mut self, question: Question, view: &View) {
        let deadline = self.deadline().instant();
        if timeout_at(deadline, self.find_out_at_leisure(question, view)).await.is_err() {
            debug!(?question, "no time is left for an answer");
        }
    }

    async fn find_out_at_leisure(&mut self, question: Question, view: &View) {
        let Some(node) = view.node(question.node()) else { return };
        let answer = match question {
            Question::Answers(_) => Answer::Answers(self.order.evidence.answers(node).await),
            Question::Recovery(_) => {
                let recovery = match self.order.evidence.recovery(node).await {
                    unknown @ Recovery::Unknown { .. } if pgpool_can_tell(view) => {
                        self.ask_over_a_connection(node, view).await.unwrap_or(unknown)
                    }
                    known => known,
                };
                Answer::Recovery(recovery)
            }
        };
        info!(?question, ?answer, "asked about the node");
        self.memory.learn(question, answer, self.elapsed());
    }

    async fn ask_over_a_connection(&mut self, node: &Node, view: &View) -> Option<Recovery> {
        let deadline = self.deadline().at_most(PGPOOL_LIMIT);
        let mut client = Client::connect(self.connect, self.credentials, deadline).await.ok()?;
        client.assume_server_age(view.server.age);
        let recovery = ask_pgpool(&mut client, node).await;
        self.note_connection(client.asked().to_vec());
        client.close().await;
        recovery
    }
}

/// Lets Pgpool ask a node whether it is in recovery.
async fn ask_pgpool<S>(client: &mut Client<S>, node: &Node) -> Option<Recovery>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let infos = client.send(ReadNodeInfo::Node(node.id)).await;
    let NodeInfos { nodes, .. } = infos.inspect_err(|error| debug!(%error, "Pgpool cannot tell")).ok()?;
    // Behind one address there may be several Pgpools.
    let info = nodes.first().filter(|info| info.host == node.host && info.port == node.port)?;
    match info.pg_role.as_ref()?.as_str()? {
        "standby" => Some(Recovery::InRecovery),
        "primary" => Some(Recovery::NotInRecovery),
        _ => None,
    }
}

/// Tells whether Pgpool asks PostgreSQL itself: since 4.3, with health checks on.
fn pgpool_can_tell(view: &View) -> bool {
    view.server.node_info_dials_backends
}
