//! Online recovery: a node is rebuilt from the primary and attached.

use std::time::Duration;

use bytes::Bytes;
use pcp_proto::ReplyKind;
use pcp_proto::message::NodeStatus;

use super::answer::{Answer, Failure};
use super::request::number;
use super::work::Work;
use super::{Change, Mode, Node, World};

/// How long the worker waits for the node to be attached.
const FAILBACK: Duration = Duration::from_secs(5);

impl World {
    /// Serves a recovery.
    pub(super) fn recover_node(&mut self, now: Duration, connection: u64, body: &Bytes) -> Result<Answer, Failure> {
        const MESSAGE: &str = "process recovery request failed";
        self.check_nothing_is_in_progress()?;
        let id = number(body)?;
        let Some(known) = self.existing(id) else {
            return Err(Failure::error_with(MESSAGE, &format!("node id {id} is not valid")));
        };
        if self.settings.mode == Mode::Raw {
            let detail = match self.is_at_least(3, 7) {
                true => "recovery request is only allowed in replication and streaming replication modes.",
                false => "recovery request is accepted only in replication mode or stereaming replication mode.",
            };
            return Err(Failure::error_with(MESSAGE, detail));
        }
        let source = self.primary.or_else(|| self.nodes.iter().position(Node::is_attached));
        if source == Some(known) {
            return Err(Failure::error_with(MESSAGE, "primary server cannot be recovered by online recovery."));
        }
        if self.is_recovering() {
            let detail = "pgpool-II is already processing another recovery request.";
            return Err(Failure::fatal(MESSAGE, detail));
        }
        self.check_recovery(known)?;
        Ok(self.rebuild(now, connection, known, source))
    }

    fn check_recovery(&self, id: usize) -> Result<(), Failure> {
        let failure = |state: &str| Failure::error(&format!("node recovery failed, node id: {id} is {state}"));
        match self.nodes.get(id).map(|node| node.status) {
            Some(NodeStatus::Unused) if self.is_at_least(4, 0) => Err(failure("unused")),
            Some(status) if status.is_attached() => Err(failure("alive")),
            _ => Ok(()),
        }
    }

    fn rebuild(&mut self, now: Duration, connection: u64, id: usize, source: Option<usize>) -> Answer {
        let known = source.and_then(|source| self.nodes.get(source));
        let dialing = self.time_to_dial(known.into_iter());
        if !known.is_some_and(|node| node.postgres.answers()) {
            let title = if self.is_at_least(4, 2) { "main" } else { "master" };
            let source = source.map_or_else(|| "-1".to_owned(), |source| source.to_string());
            let message = format!("node recovery failed, unable to connect to {title} node: {source} ");
            return self.put_off(now + dialing, connection, Work::Fail(Failure::error(&message)));
        }
        match self.settings.recovery_time {
            Some(time) => self.put_off(now + time, connection, Work::Rebuild(id)),
            None => Answer::Now(self.no_functions(id).into()),
        }
    }

    /// What is said of a PostgreSQL that lacks `pgpool_recovery`.
    fn no_functions(&self, id: usize) -> Failure {
        let host = self.nodes.get(id).map_or("", |node| node.host.as_str());
        Failure::error(&format!(
            "executing remote start failed with error: \"ERROR:  function pgpool_remote_start(unknown, unknown) does \
             not exist\nLINE 1: SELECT pgpool_remote_start('{host}', '/var/lib/postgresql/data')\n               ^\n\
             HINT:  No function matches the given name and argument types. You might need to add explicit type \
             casts.\n\""
        ))
    }

    /// Attaches a node that was rebuilt.
    pub(super) fn rebuilt(&mut self, now: Duration, connection: u64, id: usize) -> Answer {
        self.start_postgres(id, true);
        let runs = self.main.runs;
        self.queue(now, Change::Attach(id));
        self.await_run(now, connection, runs, Some(now + FAILBACK), ReplyKind::ATTACH_NODE)
    }

    fn is_recovering(&self) -> bool {
        self.connections.values().any(|open| {
            matches!(open.work, Some(Work::Rebuild(_) | Work::Run { kind: ReplyKind::ATTACH_NODE, .. }))
        })
    }

    /// Refuses what servers do not begin while another operation waits behind the one that is carried out.
    pub(super) fn check_nothing_is_in_progress(&self) -> Result<(), Failure> {
        let Some(change) = self.main.waiting_behind() else { return Ok(()) };
        let detail = match change {
            Change::Attach(_) => "failback is in progress",
            Change::Detach(_) | Change::Switchover(_) => "failover is in progress",
            Change::Promote(_) => "promote node operation is in progress",
        };
        Err(Failure::error_with("failed to process PCP request at the moment", detail))
    }
}

#[cfg(test)]
mod tests {
    use pcp_proto::message::{RecoverNode, Request, StopMode, StopPgpool};

    use super::super::test::Drill;
    use super::super::{Age, Settings};
    use super::*;

    fn drill(age: Age, change: impl FnOnce(&mut Settings)) -> Drill {
        let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432);
        let mut drill = Drill::new(world.node("10.0.0.3", 5432).configure(change));
        drill.world.kill_postgres(2);
        drill.detach(2).unwrap();
        drill.wait(2.0);
        drill
    }

    fn recover(drill: &mut Drill, node: usize) -> Result<(), String> {
        drill.ask(&RecoverNode { node: node.try_into().unwrap() }).map(drop)
    }

    #[test]
    fn a_recovered_node_lives_as_a_standby_and_is_attached_when_the_answer_comes() {
        for age in Age::ALL {
            let mut drill = drill(age, |settings| settings.recovery_time = Some(Duration::from_secs(20)));
            drill.world.promote_postgres(2);
            let before = drill.now;
            recover(&mut drill, 2).unwrap();
            assert_eq!((drill.now - before).as_secs(), 20, "{age}");
            assert_eq!(drill.shown(), "0=up/primary 1=up/standby 2=up/standby", "{age}");
            let postgres = drill.world.nodes()[2].postgres;
            assert!(postgres.alive && postgres.in_recovery);
            assert!(recover(&mut drill, 2).unwrap_err().ends_with("node recovery failed, node id: 2 is alive"));
        }
    }

    #[test]
    fn recovery_is_refused_with_the_words_of_real_servers() {
        let failed = "ERROR: process recovery request failed";
        for age in Age::ALL {
            let mut up = drill(age, |_| {});
            let refusal = recover(&mut up, 99).unwrap_err();
            assert_eq!(refusal, format!("{failed} (node id 99 is not valid)"), "{age}");
            let refusal = recover(&mut up, 0).unwrap_err();
            assert_eq!(refusal, format!("{failed} (primary server cannot be recovered by online recovery.)"));
            assert_eq!(recover(&mut up, 1).unwrap_err(), "ERROR: node recovery failed, node id: 1 is alive");
            up.world.kill_postgres(0);
            let title = if age < Age::V4_2 { "master" } else { "main" };
            let refusal = format!("ERROR: node recovery failed, unable to connect to {title} node: 0 ");
            assert_eq!(recover(&mut up, 2).unwrap_err(), refusal);

            let mut raw = drill(age, |settings| settings.mode = Mode::Raw);
            let refusal = recover(&mut raw, 2).unwrap_err();
            let words = if age == Age::V3_5 { "accepted only in" } else { "only allowed in" };
            assert!(
                refusal.starts_with(&format!("{failed} (recovery request is {words} replication")),
                "{refusal}"
            );

            let mut bare = drill(age, |settings| settings.recovery_time = None);
            let refusal = recover(&mut bare, 2).unwrap_err();
            assert!(refusal.contains("function pgpool_remote_start(unknown, unknown) does not exist"), "{refusal}");
            assert!(!refusal.contains("casts"), "the message is cut: {refusal}");
        }
    }

    #[test]
    fn a_second_recovery_is_fatal_while_the_first_one_runs() {
        let mut drill = drill(Age::V4_7, |_| {});
        let first = drill.log_in();
        let frame = RecoverNode { node: "2".parse().unwrap() }.encode();
        assert_eq!(
            drill.world.request(drill.now, first, &frame),
            Answer::Later(drill.now + Duration::from_secs(5))
        );
        let refusal = recover(&mut drill, 2).unwrap_err();
        let detail = "pgpool-II is already processing another recovery request.";
        assert_eq!(refusal, format!("FATAL: process recovery request failed ({detail})"));
    }

    #[test]
    fn recovery_and_stop_are_refused_while_an_operation_waits_behind_another() {
        type Ask = fn(&mut Drill) -> Result<(), String>;
        let table: [(Ask, &str); 3] = [
            (|drill| drill.detach(1), "failover is in progress"),
            (|drill| drill.attach(1), "failback is in progress"),
            (|drill| drill.promote(1), "promote node operation is in progress"),
        ];
        for (ask, detail) in table {
            let mut drill = drill(Age::V4_7, |_| {});
            drill.world.kill_postgres(0);
            drill.detach(0).unwrap();
            assert!(!recover(&mut drill.clone(), 2).unwrap_err().contains("in progress"), "it has not begun");
            drill.wait(0.5);
            assert!(!recover(&mut drill, 2).unwrap_err().contains("in progress"), "nothing waits behind it");
            ask(&mut drill).unwrap();
            let refusal = format!("ERROR: failed to process PCP request at the moment ({detail})");
            assert_eq!(recover(&mut drill, 2).unwrap_err(), refusal);
            assert_eq!(drill.ask(&StopPgpool { mode: StopMode::Fast }).unwrap_err(), refusal);
        }
    }
}
