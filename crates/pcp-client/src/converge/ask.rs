//! Finding out what Pgpool does not know.

use std::time::Duration;

use pcp_proto::NodeId;
use pcp_proto::message::{NodeInfos, ReadNodeInfo};
use tokio::time::timeout_at;
use tracing::{debug, info};

use super::drive::Run;
use super::{Answer, Question};
use crate::observe::View;
use crate::{Client, Connect, Evidence, Recovery};

/// How long a Pgpool that asks PostgreSQL is waited for.
const PGPOOL_LIMIT: Duration = Duration::from_secs(3);

impl<C: Connect, E: Evidence> Run<'_, C, E> {
    /// Takes note of what is known without asking anybody, and tells whether anything is.
    pub(super) fn knows_at_once(&mut self, question: Question, view: &View) -> bool {
        let Question::Recovery(id) = question else { return false };
        let known = view.node(id).and_then(|node| self.order.evidence.recovery_at_once(node));
        match known {
            Some(Recovery::Unknown { .. }) if pgpool_can_tell(view) => false,
            Some(recovery) => {
                self.memory.learn(question, Answer::Recovery(recovery), self.elapsed());
                true
            }
            None => false,
        }
    }

    /// Finds out, over connections of its own, and takes note, unless the deadline comes first.
    pub(super) async fn find_out(&mut self, question: Question, view: &View) {
        let deadline = self.deadline().instant();
        if timeout_at(deadline, self.find_out_at_leisure(question, view)).await.is_err() {
            debug!(?question, "no time is left for an answer");
        }
    }

    async fn find_out_at_leisure(&mut self, question: Question, view: &View) {
        let (Question::Answers(id) | Question::Recovery(id)) = question;
        let Some(node) = view.node(id) else { return };
        let answer = match question {
            Question::Answers(_) => Answer::Answers(self.order.evidence.answers(node).await),
            Question::Recovery(_) => {
                let recovery = match self.order.evidence.recovery(node).await {
                    unknown @ Recovery::Unknown { .. } if pgpool_can_tell(view) => {
                        self.ask_pgpool(id, view).await.unwrap_or(unknown)
                    }
                    known => known,
                };
                Answer::Recovery(recovery)
            }
        };
        info!(?question, ?answer, "asked about the node");
        self.memory.learn(question, answer, self.elapsed());
    }

    /// Lets Pgpool ask a node whether it is in recovery.
    async fn ask_pgpool(&mut self, id: NodeId, view: &View) -> Option<Recovery> {
        let deadline = self.deadline().at_most(PGPOOL_LIMIT);
        let mut client = Client::connect(self.connect, self.credentials, deadline).await.ok()?;
        client.assume_server_age(view.server.age);
        let infos = client.send(ReadNodeInfo::Node(id)).await;
        self.note_connection(client.asked().to_vec());
        let NodeInfos { nodes, .. } = infos.inspect_err(|error| debug!(%error, "Pgpool cannot tell")).ok()?;
        client.close().await;
        let role = nodes.first()?.pg_role.as_ref()?;
        match role.as_str()? {
            "standby" => Some(Recovery::InRecovery),
            "primary" => Some(Recovery::NotInRecovery),
            _ => None,
        }
    }
}

/// Tells whether Pgpool asks PostgreSQL itself: since 4.3, with health checks on.
fn pgpool_can_tell(view: &View) -> bool {
    view.server.node_info_dials_backends
}
