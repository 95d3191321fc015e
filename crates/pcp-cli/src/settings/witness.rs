//! Who can tell whether a node is in recovery.

use pcp_client::{Evidence, Login, Node, PortOnly, Postgres, Recovery};

/// Who can tell whether a node is in recovery. None of it is needed for most of what a hook does, so what is wrong with
/// it is no reason to do nothing.
#[derive(Clone, Debug)]
pub(crate) enum Witness {
    /// Nobody: nothing is configured.
    Nobody,
    /// PostgreSQL itself.
    Postgres(Postgres),
    /// PostgreSQL itself, if the settings were right.
    Unusable(String),
}

impl Witness {
    /// Takes PostgreSQL at its word, by this login.
    pub(super) fn by_login(login: Login) -> Self {
        Self::Postgres(Postgres { login })
    }
}

impl Evidence for Witness {
    async fn answers(&self, node: &Node) -> bool {
        PortOnly.answers(node).await
    }

    async fn recovery(&self, node: &Node) -> Recovery {
        match self {
            Self::Nobody => PortOnly.recovery(node).await,
            Self::Postgres(postgres) => postgres.recovery(node).await,
            Self::Unusable(reason) => Recovery::Unknown { reason: reason.clone() },
        }
    }

    fn recovery_at_once(&self, node: &Node) -> Option<Recovery> {
        match self {
            Self::Nobody => PortOnly.recovery_at_once(node),
            Self::Postgres(postgres) => postgres.recovery_at_once(node),
            Self::Unusable(reason) => Some(Recovery::Unknown { reason: reason.clone() }),
        }
    }
}
