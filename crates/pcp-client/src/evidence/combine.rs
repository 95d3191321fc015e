//! Several sources as one.

use super::{Evidence, Recovery, port};
use crate::Node;

/// Asks the first, and the second where the first cannot tell. Whether a node answers at all, the first says.
#[derive(Clone, Copy, Debug)]
pub struct FirstThatKnows<A, B>(pub A, pub B);

impl<A: Evidence, B: Evidence> Evidence for FirstThatKnows<A, B> {
    async fn answers(&self, node: &Node) -> bool {
        self.0.answers(node).await
    }

    /// Takes the time of both where the first cannot tell. Where neither can, both say why.
    async fn recovery(&self, node: &Node) -> Recovery {
        match self.0.recovery(node).await {
            Recovery::Unknown { reason } => self.1.recovery(node).await.or_because(&reason),
            known => known,
        }
    }

    fn recovery_at_once(&self, node: &Node) -> Option<Recovery> {
        match self.0.recovery_at_once(node)? {
            Recovery::Unknown { reason } => Some(self.1.recovery_at_once(node)?.or_because(&reason)),
            known => Some(known),
        }
    }
}

/// A source that is not there knows nothing, and only asks the port.
impl<E: Evidence> Evidence for Option<E> {
    async fn answers(&self, node: &Node) -> bool {
        match self {
            Some(evidence) => evidence.answers(node).await,
            None => port::answers(node).await,
        }
    }

    async fn recovery(&self, node: &Node) -> Recovery {
        match self {
            Some(evidence) => evidence.recovery(node).await,
            None => Recovery::unknown(""),
        }
    }

    fn recovery_at_once(&self, node: &Node) -> Option<Recovery> {
        match self {
            Some(evidence) => evidence.recovery_at_once(node),
            None => Some(Recovery::unknown("")),
        }
    }
}

impl Recovery {
    /// Adds the reason of the source asked before.
    fn or_because(self, before: &str) -> Self {
        match self {
            Self::Unknown { reason } if before.is_empty() => Self::Unknown { reason },
            Self::Unknown { reason } if reason.is_empty() => Self::unknown(before),
            Self::Unknown { reason } => Self::unknown(format_args!("{before}; {reason}")),
            known => known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PortOnly;
    use super::super::tests::node;
    use super::*;

    /// Always says the same.
    #[derive(Clone)]
    struct Says(bool, Recovery);

    impl Evidence for Says {
        async fn answers(&self, _: &Node) -> bool {
            self.0
        }

        async fn recovery(&self, _: &Node) -> Recovery {
            self.1.clone()
        }
    }

    #[tokio::test]
    async fn the_first_that_knows_decides() {
        use Recovery::{InRecovery, NotInRecovery};
        let node = node("pg1", 5432);
        let why = |reason: &str| Recovery::unknown(reason);
        for (first, second, expected) in [
            (InRecovery, NotInRecovery, InRecovery),
            (NotInRecovery, InRecovery, NotInRecovery),
            (why("a"), NotInRecovery, NotInRecovery),
            (why("a"), why("b"), why("a; b")),
            (why(""), why("b"), why("b")),
            (why("a"), why(""), why("a")),
        ] {
            let both = FirstThatKnows(Says(true, first), Says(false, second));
            assert_eq!(both.recovery(&node).await, expected);
            assert!(both.answers(&node).await);
        }
    }

    #[tokio::test]
    async fn a_source_may_be_missing() {
        let node = node("pg1", 5432);
        let some = Some(Says(true, Recovery::InRecovery));
        assert_eq!((some.answers(&node).await, some.recovery(&node).await), (true, Recovery::InRecovery));
        assert_eq!(some.recovery_at_once(&node), None, "it has to be asked");
        assert_eq!(
            FirstThatKnows(None::<Says>, PortOnly).recovery_at_once(&node),
            PortOnly.recovery_at_once(&node)
        );
        assert_eq!(FirstThatKnows(PortOnly, some.clone()).recovery_at_once(&node), None);
        let none = FirstThatKnows(None::<Says>, Says(false, Recovery::unknown("b")));
        assert_eq!(none.recovery(&node).await, Recovery::unknown("b"));
        // Nothing is there.
        let nowhere = super::super::tests::node("/nonexistent", 5432);
        assert!(!none.answers(&nowhere).await);
    }
}
