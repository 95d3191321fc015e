//! Exit codes.

use pcp_client::{ErrorKind, Failure, Require};

/// How a command ended; the same everywhere.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Exit {
    /// The wanted state is verified, or the answer is yes.
    Done = 0,
    /// The answer is no.
    No = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// The configuration or the password file is unusable.
    Config = 3,
    /// Pgpool cannot be reached, and nothing was changed.
    Unreachable = 4,
    /// The login was refused.
    Authentication = 5,
    /// The name means no node, or several.
    Node = 6,
    /// Pgpool refused, or we did.
    Refused = 7,
    /// The state could not be verified before the deadline, or the outcome is unknown.
    NotVerified = 8,
    /// Done in part: on some Pgpools only.
    Partial = 10,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// Returns the number.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// Combines what several Pgpools led to. Where enough of them are verified, what became of the others does not
    /// count.
    pub(crate) fn of_several(exits: &[Self], require: Require) -> Self {
        let is_verified = |exit: &&Self| matches!(exit, Self::Done | Self::Partial);
        let verified = exits.iter().filter(is_verified).count();
        let enough = require.is_met(verified, exits.len());
        Self::combine(exits.iter().filter(|exit| !enough || is_verified(exit)).copied())
    }

    /// Combines what several Pgpools led to: partial if anything succeeded, else the highest.
    pub fn combine(exits: impl IntoIterator<Item = Self>) -> Self {
        let mut exits: Vec<_> = exits.into_iter().collect();
        exits.sort_unstable();
        match (exits.first(), exits.last()) {
            (Some(Self::Done), Some(Self::Done)) | (None, _) | (_, None) => Self::Done,
            (Some(Self::Done), Some(_)) => Self::Partial,
            (Some(_), Some(&highest)) => highest,
        }
    }
}

impl From<&Failure> for Exit {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Unreachable(_) => Self::Unreachable,
            Failure::Authentication(_) => Self::Authentication,
            Failure::Node(_) => Self::Node,
            Failure::Refused { .. } => Self::Refused,
            _ => Self::NotVerified,
        }
    }
}

/// The exit of a command that only reads.
impl From<&pcp_client::Error> for Exit {
    fn from(error: &pcp_client::Error) -> Self {
        match error.kind() {
            ErrorKind::Authentication => Self::Authentication,
            ErrorKind::Refused | ErrorKind::Unsupported => Self::Refused,
            _ => Self::Unreachable,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pcp_client::sandbox::{Age, Fault, Sandbox, World};
    use pcp_client::{Client, Deadline, Error, Limits};
    use pcp_proto::message::ReadHealthCheckStats;
    use pcp_proto::{Credentials, NodeId};

    use super::*;

    /// The error of a request for a node that is not there.
    async fn error(password: &[u8], fault: Fault) -> Error {
        let sandbox = Sandbox::unbound(World::new(Age::V4_7).node("10.0.0.1", 5432));
        sandbox.fault(fault);
        let (ours, theirs) = tokio::io::duplex(4096);
        sandbox.serve_stream(theirs);
        let limits = Limits::new(Deadline::after(Duration::from_secs(60)));
        let mut client = Client::new(ours, Credentials::new("pcpadmin", password).unwrap(), limits);
        client.send(ReadHealthCheckStats { node: NodeId::MAX }).await.unwrap_err()
    }

    #[tokio::test]
    async fn every_error_and_failure_has_its_exit() {
        let refused = error(b"secret", Fault::Nothing).await;
        let login_refused = error(b"wrong", Fault::Nothing).await;
        let disconnected = error(b"secret", Fault::CloseBeforeSalt).await;
        for (error, exit) in
            [(&refused, Exit::Refused), (&login_refused, Exit::Authentication), (&disconnected, Exit::Unreachable)]
        {
            assert_eq!(Exit::from(error), exit, "{error}");
        }
        let node = pcp_client::resolve(&"1".parse().unwrap(), &[]).await.unwrap_err();
        for (failure, exit) in [
            (Failure::Unreachable(disconnected), Exit::Unreachable),
            (Failure::Authentication(login_refused), Exit::Authentication),
            (Failure::Node(node), Exit::Node),
            (Failure::Refused { reason: String::new(), source: Some(refused) }, Exit::Refused),
            (Failure::NotVerified { awaited: String::new(), source: None }, Exit::NotVerified),
        ] {
            assert_eq!(Exit::from(&failure), exit, "{failure}");
        }
    }

    #[test]
    fn codes_are_those_that_scripts_know() {
        use Exit::*;
        let exits = [Done, No, Usage, Config, Unreachable, Authentication, Node, Refused, NotVerified, Partial];
        assert_eq!(exits.map(Exit::code), [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]);
        assert_eq!([Interrupted, Terminated].map(Exit::code), [130, 143]);
    }

    #[test]
    fn several_exits_become_one() {
        assert_eq!(Exit::combine([Exit::Done, Exit::Done]), Exit::Done);
        assert_eq!(Exit::combine([Exit::Done, Exit::Unreachable]), Exit::Partial);
        assert_eq!(Exit::combine([Exit::Authentication, Exit::Unreachable]), Exit::Authentication);
        assert_eq!(Exit::combine([Exit::Unreachable, Exit::Done]), Exit::Partial);
        assert_eq!(Exit::combine([Exit::Partial, Exit::Unreachable]), Exit::Partial);
        assert_eq!(Exit::combine([]), Exit::Done);
        let of = Exit::of_several;
        assert_eq!(of(&[Exit::Partial, Exit::Unreachable], Require::Any), Exit::Partial);
        assert_eq!(of(&[Exit::Done, Exit::Unreachable, Exit::Done], Require::Quorum), Exit::Done);
        assert_eq!(of(&[Exit::Done, Exit::Unreachable, Exit::Node], Require::Quorum), Exit::Partial);
        assert_eq!(of(&[Exit::Done, Exit::Unreachable], Require::All), Exit::Partial);
    }
}
