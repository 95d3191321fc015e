//! What the command line's verbs call, each in a world that has something for it to do.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use pcp_cli::Exit;
use pcp_client::sandbox::{Age, FailoverCommand, Watchdog, World};
use pcp_client::{
    Caution, Change, Client, Deadline, Error, Evidence, Failure, Inspection, Node, NodeName, NodeOperation,
    Options, Order, PortOnly, Proof, Reload, Want, converge, converge_all, inspect, inspect_node,
    invalidate_query_cache, observe, read_back, read_pool_use, read_watchdog, recover, reload, rotate_log, survey,
    switch_over,
};
use pcp_proto::message::{
    DetachNode, NodeInfo, ReadNodeCount, ReadNodeInfo, ReadProcessCount, ReadProcessInfo, ReadWatchdogInfo, Scope,
};
use pcp_proto::{Credentials, NodeId};

use super::fault::Kind;
use super::net::{Net, Truth};
use super::pipe::Pipe;

/// One of the library's functions in a world of its own.
#[derive(Debug)]
pub struct Verb {
    /// What of the command line calls it.
    pub name: &'static str,
    /// The time that it is given.
    pub limit: Duration,
    /// How long it waits for an answer.
    pub(crate) patience: Duration,
    /// Whether one fault on one connection is no reason to fail.
    pub goes_on: bool,
    /// Whether its answer is a list that does not say how long it is, so that nobody can tell what is missing.
    pub(crate) lists: bool,
    pub(crate) age: Age,
    pub(crate) world: fn(Age) -> World,
    pub(crate) run: for<'a> fn(&'a Net, Deadline) -> Running<'a>,
    /// Whether what a success says is so.
    pub(crate) is_true: fn(&Net) -> bool,
}

impl Verb {
    /// Returns the age of the Pgpool that it meets.
    #[must_use]
    pub fn age(&self) -> Age {
        self.age
    }

    /// Tells whether a fault makes the server say what is not so, and nobody can know better.
    pub(crate) fn is_lied_to(&self, kind: Kind) -> bool {
        kind.is_lie() || self.lists && matches!(kind, Kind::Lose | Kind::Duplicate | Kind::Swap)
    }
}

pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Ended> + 'a>>;

/// How it ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    /// The error with all its causes.
    pub(crate) said: String,
    /// It says that nothing was changed, or that its request was not carried out.
    pub(crate) claims_nothing: bool,
    /// What was sent, where that is told.
    pub(crate) changes: Vec<Change>,
}

/// Returns all of them.
#[must_use]
pub fn verbs() -> Vec<Verb> {
    let mut verbs = Vec::new();
    for age in [Age::V4_7, Age::V4_3_1, Age::V4_1] {
        verbs.extend(changes(age));
    }
    verbs.extend(operations());
    verbs.extend(questions());
    verbs
}

fn changes(age: Age) -> Vec<Verb> {
    let of = |name, world: fn(Age) -> World, run: for<'a> fn(&'a Net, Deadline) -> Running<'a>, is_true| Verb {
        name,
        limit: Duration::from_secs(60),
        patience: PATIENCE,
        goes_on: true,
        lists: false,
        age,
        world,
        run,
        is_true,
    };
    vec![
        of(
            "detach",
            three,
            |net, until| goal(net, "10.0.0.3", Want::Detached, until),
            |net| net.shown() == "0=up/primary 1=up/standby 2=down/standby",
        ),
        of("attach s", one_down, |net, until| goal(net, "10.0.0.3", Want::Standby, until), healthy),
        // Nobody but Pgpool can say whether the node is a standby, so it is asked.
        of("attach s (asked)", checked, |net, until| goal_alone(net, "10.0.0.3", Want::Standby, until), healthy),
        of("attach", one_down, |net, until| goal(net, "2", Want::Attached, until), healthy),
        of(
            "attach p",
            promoted,
            |net, until| goal(net, "10.0.0.2", Want::Primary, until),
            |net| net.shown() == "0=down/standby 1=up/primary 2=up/standby",
        ),
        of(
            "promote",
            promoted_late,
            |net, until| goal(net, "10.0.0.2", Want::Primary, until),
            |net| net.shown() == "0=down/standby 1=up/primary 2=up/standby",
        ),
        of("follow", one_down, |net, until| goal(net, "2", Want::Follower(Proof::InRecovery), until), healthy),
        of("detach (of two Pgpools)", three, fleet, |net| {
            net.shown() == "0=up/primary 1=up/standby 2=down/standby"
        }),
        Verb {
            goes_on: false,
            ..of(
                "pcp_detach_node",
                three,
                |net, until| Box::pin(link(net, until)),
                |net| net.shown() == "0=up/primary 1=up/standby 2=down/standby",
            )
        },
    ]
}

fn operations() -> Vec<Verb> {
    let of =
        |name, seconds, world: fn(Age) -> World, run: for<'a> fn(&'a Net, Deadline) -> Running<'a>, is_true| Verb {
            name,
            limit: Duration::from_secs(seconds),
            patience: PATIENCE,
            goes_on: false,
            lists: false,
            age: Age::V4_7,
            world,
            run,
            is_true,
        };
    vec![
        of("recover", 120, dead_standby, |net, until| Box::pin(operate(net, until, Operation::Recover)), healthy),
        of(
            "switchover",
            120,
            commanded,
            |net, until| Box::pin(operate(net, until, Operation::SwitchOver)),
            |net| net.shown() == "0=down/standby 1=up/primary 2=up/standby",
        ),
        of(
            "reload",
            8,
            three,
            |net, until| Box::pin(operate(net, until, Operation::Reload)),
            |net| net.was_asked_to_change(),
        ),
        of(
            "rotate-log",
            8,
            with_log,
            |net, until| Box::pin(operate(net, until, Operation::RotateLog)),
            |net| net.was_asked_to_change(),
        ),
        of(
            "invalidate-cache",
            8,
            with_log,
            |net, until| Box::pin(operate(net, until, Operation::Invalidate)),
            Net::was_asked_to_change,
        ),
    ]
}

fn questions() -> Vec<Verb> {
    let of = |name, world: fn(Age) -> World, run: for<'a> fn(&'a Net, Deadline) -> Running<'a>| Verb {
        name,
        limit: Duration::from_secs(8),
        patience: PATIENCE,
        goes_on: false,
        lists: false,
        age: Age::V4_7,
        world,
        run,
        is_true: |_| true,
    };
    vec![
        of("show nodes", three, |net, until| {
            Box::pin(async move {
                let seen = inspect(net, &credentials(), until).await;
                asked(seen, |Inspection { view, infos }| {
                    are_of(&view.nodes, infos.iter().map(|info| info.as_ref().ok()))
                })
            })
        }),
        of("show node", three, |net, until| {
            Box::pin(async move {
                asked(inspect_node(net, &credentials(), until, node(1)).await, |info| info.host == "10.0.0.2")
            })
        }),
        of("show health, exporter", three, |net, until| {
            Box::pin(async move {
                asked(survey(net, &credentials(), until).await, |survey| {
                    let infos = survey.nodes.iter().map(|node| node.info.as_ref()?.as_ref().ok());
                    are_of(&survey.view.nodes, infos)
                })
            })
        }),
        Verb {
            lists: true,
            ..of("show processes", small_pool, |net, until| {
                Box::pin(async move {
                    let count = read_on(net, until, async |client| {
                        let mut rows = client.rows(ReadProcessInfo::All);
                        let mut count = 0;
                        while let Some(row) = rows.next().await {
                            row?;
                            count += 1;
                        }
                        Ok(count)
                    });
                    asked(count.await, |count| *count == 6)
                })
            })
        },
        of("show watchdog", watched, |net, until| {
            Box::pin(async move {
                let cluster = async {
                    let client = Client::connect(net, &credentials(), until).await?;
                    Ok::<_, Error>(client.finish(ReadWatchdogInfo::All).await?.cluster()?)
                };
                asked(cluster.await, |cluster| cluster.members.len() == 2)
            })
        }),
        Verb {
            patience: Duration::from_secs(2),
            ..of("check watchdog", watched, |net, until| {
                Box::pin(async move {
                    asked(read_on(net, until, read_watchdog).await, |cluster| cluster.members.len() == 2)
                })
            })
        },
        of("check pool", small_pool, |net, until| {
            Box::pin(async move { asked(read_on(net, until, read_pool_use).await, |_| true) })
        }),
        of("a batch of questions", small_pool, |net, until| Box::pin(batch(net, until))),
    ]
}

/// A query's.
const PATIENCE: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_millis(300);

fn three(age: Age) -> World {
    let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
    world.configure(|settings| (settings.num_init_children, settings.max_pool) = (1, 1))
}

fn one_down(age: Age) -> World {
    let mut world = three(age);
    world.detach(Duration::ZERO, 2);
    world.advance(Duration::from_millis(100));
    world
}

/// Health checks are on.
fn checked(age: Age) -> World {
    one_down(age).configure(|settings| settings.health_check_period = Duration::from_secs(3600))
}

/// Node 1 was promoted, and Pgpool does not know it.
fn promoted(age: Age) -> World {
    let mut world = three(age);
    world.kill_postgres(0);
    world.promote_postgres(1);
    world
}

/// Node 1 was promoted after Pgpool gave up its search.
fn promoted_late(age: Age) -> World {
    let mut world = three(age);
    world.kill_postgres(0);
    world.detach(Duration::ZERO, 0);
    world.advance(Duration::from_secs(20));
    world.promote_postgres(1);
    world
}

fn dead_standby(age: Age) -> World {
    let mut world = one_down(age);
    world.kill_postgres(2);
    world
}

fn commanded(age: Age) -> World {
    three(age).configure(|settings| {
        settings.failover_command = FailoverCommand::Promotes;
        settings.sr_check_period = Duration::ZERO;
    })
}

fn with_log(age: Age) -> World {
    three(age).configure(|settings| (settings.logging_collector, settings.memory_cache_enabled) = (true, true))
}

fn small_pool(age: Age) -> World {
    three(age).configure(|settings| (settings.num_init_children, settings.max_pool) = (2, 1))
}

fn watched(age: Age) -> World {
    three(age).configure(|settings| settings.watchdog = Some(Watchdog::of(&["10.0.0.8", "10.0.0.9"])))
}

fn healthy(net: &Net) -> bool {
    net.shown() == "0=up/primary 1=up/standby 2=up/standby"
}

#[expect(clippy::expect_used, reason = "constants")]
fn credentials() -> Credentials {
    Credentials::new(World::USER, World::PASSWORD.as_bytes()).expect("they are short")
}

#[expect(clippy::expect_used, reason = "constants")]
fn node(id: usize) -> NodeId {
    id.try_into().expect("it is small")
}

#[expect(clippy::expect_used, reason = "constants")]
fn named(name: &str) -> NodeName {
    name.parse().expect("it is a name")
}

/// One of the engine's goals.
fn goal<'a>(net: &'a Net, name: &'static str, want: Want, deadline: Deadline) -> Running<'a> {
    Box::pin(async move { reach(net, name, want, deadline, &Truth(&net.sandbox)).await })
}

/// The same for a caller who cannot ask PostgreSQL.
fn goal_alone<'a>(net: &'a Net, name: &'static str, want: Want, deadline: Deadline) -> Running<'a> {
    Box::pin(reach(net, name, want, deadline, &PortOnly))
}

async fn reach<E: Evidence>(net: &Net, name: &str, want: Want, deadline: Deadline, evidence: &E) -> Ended {
    let name = named(name);
    let order = Order::new(&name, want, Options { deadline, settle: SETTLE }).with_evidence(evidence);
    let report = converge(net, &credentials(), &order).await;
    Ended { changes: report.changes, ..ended(report.result) }
}

/// One Pgpool beside another one, to which nothing happens.
fn fleet(net: &Net, deadline: Deadline) -> Running<'_> {
    Box::pin(async move {
        let other = Net::new(three(Age::V4_7), None);
        let (name, evidence) = (named("10.0.0.3"), Truth(&net.sandbox));
        let order =
            Order::new(&name, Want::Detached, Options { deadline, settle: SETTLE }).with_evidence(&evidence);
        let credentials = credentials();
        let reports = converge_all([(net, &credentials), (&other, &credentials)], &order).await;
        let mut reports = reports.into_iter();
        let (Some(report), Some(beside)) = (reports.next(), reports.next()) else {
            return lie("there are not two reports");
        };
        if beside.result.is_err() || other.shown() != "0=up/primary 1=up/standby 2=down/standby" {
            return lie(&format!("the other Pgpool: {:?}, {}", beside.result, other.shown()));
        }
        Ended { changes: report.changes, ..ended(report.result) }
    })
}

/// As a link does it: looks, sends, and looks until the state is there.
async fn link(net: &Net, deadline: Deadline) -> Ended {
    let mut client = match Client::connect(net, &credentials(), deadline).await {
        Ok(client) => client,
        Err(error) => return refused(&error),
    };
    let before = match observe(&mut client).await {
        Ok(view) => view,
        Err(error) => return refused(&error),
    };
    if let Err(error) = client.finish(DetachNode { node: node(2) }).await {
        let exit = if error.outcome_unknown() { Exit::NotVerified } else { Exit::from(&error) };
        return Ended {
            exit,
            claims_nothing: !error.outcome_unknown() && exit != Exit::Refused,
            ..refused(&error)
        };
    }
    let is_met = |view: &pcp_client::View| view.node(node(2)).is_some_and(Node::is_down);
    let options = Options { deadline, settle: Duration::ZERO };
    let read = read_back(net, &credentials(), &before, "node 2 to be down", is_met, options).await;
    ended(read.map(drop))
}

/// Reads something on a connection of its own.
async fn read_on<T>(
    net: &Net,
    deadline: Deadline,
    read: impl AsyncFnOnce(&mut Client<Pipe>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut client = Client::connect(net, &credentials(), deadline).await?;
    let answer = read(&mut client).await?;
    client.close().await;
    Ok(answer)
}

/// Every question at once, and the answers are those to their questions.
async fn batch(net: &Net, deadline: Deadline) -> Ended {
    let mut client = match Client::connect(net, &credentials(), deadline).await {
        Ok(client) => client,
        Err(error) => return refused(&error),
    };
    let infos = [0, 1, 2].map(|id| ReadNodeInfo::Node(node(id)));
    let (count, processes, infos) = client.send((ReadNodeCount, ReadProcessCount, infos.to_vec())).await;
    let again = client.send(ReadNodeCount).await;
    client.close().await;
    let read = || {
        let infos = infos.into_iter().collect::<Result<Vec<_>, _>>()?;
        let _others = (count?, processes?, again?);
        Ok(infos)
    };
    asked(read(), |infos| {
        infos
            .iter()
            .zip(["10.0.0.1", "10.0.0.2", "10.0.0.3"])
            .all(|(info, host)| info.nodes.iter().all(|node| node.host == host))
    })
}

/// Tells whether these are the three nodes, and each info that of its node.
fn are_of<'a>(nodes: &[Node], infos: impl Iterator<Item = Option<&'a NodeInfo>>) -> bool {
    nodes.len() == 3 && nodes.iter().zip(infos).all(|(node, info)| info.is_none_or(|info| info.host == node.host))
}

/// What has a node, or Pgpool itself, do something.
enum Operation {
    Recover,
    SwitchOver,
    Reload,
    RotateLog,
    Invalidate,
}

async fn operate(net: &Net, deadline: Deadline, operation: Operation) -> Ended {
    let options = Options { deadline, settle: SETTLE };
    let evidence = Truth(&net.sandbox);
    let name = named(if matches!(operation, Operation::Recover) { "10.0.0.3" } else { "10.0.0.2" });
    let order = NodeOperation { node: &name, options, caution: Caution::Kept, evidence: &evidence };
    let credentials = credentials();
    match operation {
        Operation::Recover => ended(recover(net, &credentials, &order).await.result),
        Operation::SwitchOver => ended(switch_over(net, &credentials, &order).await.result),
        Operation::Reload => {
            let options = Options { deadline, settle: Duration::ZERO };
            let order = Reload { scope: Scope::Local, expect: &[], options };
            ended(reload(net, &credentials, &order).await.result)
        }
        Operation::RotateLog => ended(rotate_log(net, &credentials, Scope::Local, deadline).await),
        Operation::Invalidate => ended(invalidate_query_cache(net, &credentials, deadline).await),
    }
}

fn ended(result: Result<(), Failure>) -> Ended {
    match &result {
        Ok(()) => done(),
        Err(failure) => Ended {
            exit: failure.into(),
            said: chain(failure),
            claims_nothing: matches!(
                failure,
                Failure::Unreachable(_) | Failure::Authentication(_) | Failure::Node(_)
            ),
            changes: Vec::new(),
        },
    }
}

/// The end of a question, with a look at whether its answer is the one to it.
fn asked<T: std::fmt::Debug>(answer: Result<T, Error>, fits: impl FnOnce(&T) -> bool) -> Ended {
    match answer {
        Ok(answer) if fits(&answer) => done(),
        Ok(answer) => lie(&format!("it answered {answer:?}")),
        Err(error) => refused(&error),
    }
}

fn refused(error: &Error) -> Ended {
    Ended { exit: error.into(), said: chain(error), claims_nothing: true, changes: Vec::new() }
}

fn done() -> Ended {
    Ended { exit: Exit::Done, said: String::new(), claims_nothing: false, changes: Vec::new() }
}

/// A success that is none.
fn lie(what: &str) -> Ended {
    Ended { exit: Exit::Done, said: what.to_owned(), claims_nothing: false, changes: Vec::new() }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    anyhow::Chain::new(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
