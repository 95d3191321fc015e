//! Every request of the protocol, as real servers answer it.

use std::net::TcpStream;
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_client::{
    Client, Connect, Connector, Deadline, Endpoint, Error, ErrorKind, Limits, Refusal, Stream, observe,
};
use pcp_proto::message::{
    Accepted, AttachNode, DetachNode, DetachNodeGracefully, InvalidateQueryCache, MessageLevel, NodeCount,
    NodeInfo, NodeRole, PromoteMode, PromoteNode, PromoteNodeGracefully, ReadHealthCheckStats, ReadNodeCount,
    ReadNodeInfo, ReadPoolStatus, ReadProcessCount, ReadProcessInfo, ReadWatchdogInfo, RecoverNode, ReloadConfig,
    Request, RotateLog, Scope, SetClientMinMessages, StopCluster, StopMode, StopPgpool,
};
use pcp_proto::{Credentials, NodeId, Release, ServerAge, ServerMessage};
use pcp_tests::{Cluster, PCP_PASSWORD, PCP_USER, Settings, Version, wait_until};
use tokio::runtime::Runtime;

use crate::support::{add_recovery_functions, pcp_process, run};

for_each_version!(
    every_query_is_answered,
    what_the_server_refuses_is_told_by_type,
    what_the_server_lacks_is_refused_before_it_is_sent,
    every_change_is_answered,
);

/// `num_init_children`.
const CHILDREN: usize = 8;
/// `max_pool`.
const POOLS: usize = 4;
const NODES: usize = 3;

fn every_query_is_answered(version: Version) -> Result<()> {
    let pgpool = Pgpool::start(version, Settings::default())?;
    pgpool.runtime.block_on(async {
        let mut client = pgpool.connect().await?;
        assert_eq!(client.send(ReadNodeCount).await?, NodeCount(3));

        let nodes = client.send((0..NODES).map(|node| ReadNodeInfo::Node(id(node))).collect::<Vec<_>>()).await;
        let mut each: Vec<NodeInfo> = Vec::new();
        for infos in nodes {
            let mut infos = infos?;
            assert_eq!(infos.layout.fields(), by(version, [9, 12, 13, 13]));
            each.push(infos.nodes.pop().context("no node")?);
            assert!(infos.nodes.is_empty());
        }
        for (node, info) in each.iter().enumerate() {
            let role = if node == 0 { NodeRole::Primary } else { NodeRole::Standby };
            assert_eq!((info.host.to_string(), info.port), (pgpool.cluster.address(node), 5433));
            assert_eq!((info.status.is_attached(), info.role), (true, Some(role)), "{info:?}");
        }

        let count = client.send(ReadProcessCount).await?.pids.len();
        let all = client.send(ReadProcessInfo::All).await?;
        assert_eq!((count, all.processes.len()), (CHILDREN, CHILDREN * POOLS * NODES));
        assert_eq!(all.layout.fields(), by(version, [11, 17, 18, 21]));
        let mut rows = client.rows(ReadProcessInfo::All);
        let mut pids = Vec::new();
        while let Some(row) = rows.next().await {
            pids.push(row?.pid);
        }
        assert_eq!(pids, all.processes.iter().map(|slot| slot.pid).collect::<Vec<_>>());
        let pid = NonZeroU32::new(pids[0]).context("no pid")?;
        let one = client.send(ReadProcessInfo::Process(pid)).await?;
        assert_eq!(one.processes.len(), POOLS * NODES);
        assert!(one.processes.iter().all(|slot| slot.pid == pid.get()), "{one:?}");

        let status = client.send(ReadPoolStatus).await?;
        assert_eq!((status.number("num_init_children"), status.nodes()?.len()), (Some(8), NODES));
        assert_eq!(client.server_age(), Some(age(version)));

        // Of those without a payload old servers used to die of the second one.
        let many =
            client.send((vec![ReadNodeCount; 20], vec![ReadProcessCount; 20], vec![ReadPoolStatus; 20])).await;
        for ((nodes, children), status) in many.0.into_iter().zip(many.1).zip(many.2) {
            assert_eq!((nodes?, children?.pids.len()), (NodeCount(3), CHILDREN));
            assert_eq!(ServerAge::of(&status?), age(version));
        }

        if version >= Version::V4_3 {
            let all = client.send(ReadNodeInfo::All).await?.nodes;
            let named = |infos: &[NodeInfo]| infos.iter().map(|it| (it.host.clone(), it.role)).collect::<Vec<_>>();
            assert_eq!(named(&all), named(&each));
            for (node, info) in each.iter().enumerate() {
                let stats = client.send(ReadHealthCheckStats { node: id(node) }).await?;
                assert_eq!((usize::from(stats.node_id), &stats.hostname), (node, &info.host));
            }
        }

        assert!(client.take_notices().is_empty());
        client.send(SetClientMinMessages { level: MessageLevel::Debug1 }).await?;
        client.send(ReadNodeInfo::Node(id(1))).await?;
        // A notice may come behind the reply that it is about, but not behind the next one.
        client.send(ReadNodeCount).await?;
        let notices = client.take_notices();
        // "PCP packet type of service 'I'".
        let of_node_info = |notice: &ServerMessage| notice.to_string().contains("'I'");
        assert!(notices.iter().any(of_node_info), "{notices:?}");
        client.close().await;
        anyhow::Ok(())
    })?;
    two_vs_show_what_the_server_tells(&pgpool.cluster)
}

fn two_vs_show_what_the_server_tells(cluster: &Cluster) -> Result<()> {
    for verb in [&["show", "nodes"][..], &["show", "watchdog"], &["is-primary", "0"]] {
        let told = |level: &str| -> Result<Vec<String>> {
            let output = run(cluster, &[verb, &[level]].concat())?;
            let lines = output.stderr.lines().filter(|line| line.contains("Pgpool says: "));
            Ok(lines.map(str::to_owned).collect())
        };
        assert_eq!(told("-v")?, [""; 0], "{verb:?}");
        let told = told("-vv")?;
        // The first thing that it tells of, and the last.
        for text in ["DEBUG: PCP setting parameter", "DEBUG: PCP processing request, client disconnecting"] {
            assert!(told.iter().any(|line| line.contains(text)), "{verb:?}: no {text} in {told:?}");
        }
    }
    Ok(())
}

fn what_the_server_refuses_is_told_by_type(version: Version) -> Result<()> {
    let settings = Settings::default().set("backend_flag2", "DISALLOW_TO_FAILOVER");
    let pgpool = Pgpool::start(version, settings)?;
    pgpool.runtime.block_on(async {
        let mut client = pgpool.connect().await?;
        for beyond in [3, 99, 127] {
            let error = client.send(ReadNodeInfo::Node(id(beyond))).await.unwrap_err();
            assert_eq!(error.refusal(), Some(Refusal::UnknownNode), "{error}");
        }
        // A client that does not know the server's age sends this to any.
        match client.send(ReadNodeInfo::All).await {
            Ok(infos) => assert!(infos.nodes.len() == NODES && version >= Version::V4_3),
            Err(error) => assert_eq!((error.refusal(), version), (Some(Refusal::UnknownNode), Version::V4_1)),
        }
        let nobody = NonZeroU32::new(1).context("one is not zero")?;
        let error = client.send(ReadProcessInfo::Process(nobody)).await.unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::UnknownProcess), "{error}");
        let mut rows = client.rows(ReadProcessInfo::Process(nobody));
        let error = rows.next().await.context("no item")?.unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::UnknownProcess), "{error}");
        assert!(rows.next().await.is_none());
        let error = client.send(ReadWatchdogInfo::All).await.unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::WatchdogOff), "{error}");
        if version >= Version::V4_3 {
            for beyond in [3, 99] {
                let error = client.send(ReadHealthCheckStats { node: id(beyond) }).await.unwrap_err();
                assert_eq!(error.refusal(), Some(Refusal::UnknownNode), "{error}");
            }
        }
        assert_eq!(client.send(ReadNodeCount).await?, NodeCount(3), "the connection goes on");
        client.close().await;

        let promote = |node| PromoteNode { node: id(node), mode: PromoteMode::ViewOnly };
        pgpool.refuses(promote(99), Refusal::UnknownNode).await?;
        pgpool.refuses(promote(0), Refusal::AlreadyPrimary).await?;
        pgpool.refuses(DetachNode { node: id(2) }, Refusal::FailoverDisallowed).await?;
        pgpool.refuses(DetachNodeGracefully { node: id(2) }, Refusal::FailoverDisallowed).await?;
        pgpool.refuses(RecoverNode { node: id(0) }, Refusal::RecoveryOfPrimary).await?;
        pgpool.refuses(RecoverNode { node: id(1) }, Refusal::NodeAlive).await?;
        pgpool.refuses(RecoverNode { node: id(99) }, Refusal::UnknownNode).await?;
        if version >= Version::V4_6 {
            pgpool.refuses(RotateLog { scope: Scope::Local }, Refusal::LogCollectorOff).await?;
            pgpool.refuses(InvalidateQueryCache, Refusal::QueryCacheOff).await?;
        }
        // None of it changed anything.
        pgpool.await_states(HEALTHY).await
    })
}

fn what_the_server_lacks_is_refused_before_it_is_sent(version: Version) -> Result<()> {
    let pgpool = Pgpool::start(version, Settings::default())?;
    pgpool.runtime.block_on(async {
        let mut client = pgpool.connect().await?;
        client.send(ReadPoolStatus).await?;
        let (stats, all, count) =
            client.send((ReadHealthCheckStats { node: id(1) }, ReadNodeInfo::All, ReadNodeCount)).await;
        assert_eq!(count?, NodeCount(3), "the connection goes on");
        let old = version == Version::V4_1;
        for (error, since) in [(stats.err(), Release::new(4, 2)), (all.err(), Release::new(4, 3))] {
            let needs = error.as_ref().and_then(Error::too_old).map(|too_old| too_old.requirement.since);
            assert_eq!(needs, old.then_some(since), "{error:?}");
        }
        assert_eq!(client.asked().len(), if old { 2 } else { 4 }, "{:?}", client.asked());
        client.close().await;

        if old {
            pgpool.lacks(ReloadConfig { scope: Scope::Local }, Release::new(4, 2)).await?;
            pgpool.lacks(StopCluster { mode: StopMode::Fast }, Release::new(4, 2)).await?;
            let (node, mode) = (id(1), PromoteMode::Switchover);
            pgpool.lacks(PromoteNode { node, mode }, Release::new(4, 3)).await?;
            pgpool.lacks(PromoteNodeGracefully { node, mode }, Release::new(4, 3)).await?;
        }
        if version < Version::V4_6 {
            pgpool.lacks(RotateLog { scope: Scope::Local }, Release::new(4, 6)).await?;
            pgpool.lacks(InvalidateQueryCache, Release::new(4, 6)).await?;
            // What would have happened: a client that does not know sends, and the server closes the connection.
            let (refused, count) = pgpool.connect().await?.finish((InvalidateQueryCache, ReadNodeCount)).await;
            assert_eq!(refused.unwrap_err().refusal(), Some(Refusal::UnknownRequest));
            assert_eq!(count.unwrap_err().kind(), ErrorKind::NotExecuted);
        }
        pgpool.await_states(HEALTHY).await
    })
}

fn every_change_is_answered(version: Version) -> Result<()> {
    let mut settings = Settings::default();
    if version >= Version::V4_6 {
        settings = settings.set("logging_collector", "on").set("log_directory", "/var/lib/pcp-tests/log");
        settings = settings.set("memory_cache_enabled", "on");
    }
    let pgpool = Pgpool::start(version, settings)?;
    pgpool.runtime.block_on(async {
        let (node, mode) = (id(2), PromoteMode::ViewOnly);
        let (detached, promoted) = ([UP_PRIMARY, UP, DOWN], [DOWN, UP_PRIMARY, DOWN]);
        pgpool.changes(DetachNode { node }, detached).await?;
        pgpool.refuses(DetachNode { node }, Refusal::NotValidForFailover).await?;
        pgpool.refuses(DetachNodeGracefully { node }, Refusal::NotValidForFailover).await?;
        // It begins, and finds no extension pgpool_recovery on the primary.
        pgpool.refuses(RecoverNode { node }, Refusal::RecoveryFunctionsMissing).await?;
        add_recovery_functions(&pgpool.cluster)?;
        pgpool.refuses(RecoverNode { node }, Refusal::RecoveryFailed).await?;
        pgpool.provide_recovery_script()?;
        pgpool.changes(RecoverNode { node }, HEALTHY).await?;
        pgpool.changes(DetachNodeGracefully { node }, detached).await?;
        pgpool.changes(AttachNode { node }, HEALTHY).await?;

        pgpool.changes(PromoteNode { node: id(1), mode }, promoted).await?;
        pgpool.changes(AttachNode { node: id(0) }, [UP_PRIMARY, UP, DOWN]).await?;
        pgpool.changes(AttachNode { node }, HEALTHY).await?;
        pgpool.changes(PromoteNodeGracefully { node: id(1), mode }, promoted).await?;
        pgpool.changes(AttachNode { node: id(0) }, [UP_PRIMARY, UP, DOWN]).await?;
        pgpool.changes(AttachNode { node }, HEALTHY).await?;

        if version >= Version::V4_3 {
            // Nothing promotes PostgreSQL here, so that no node is primary afterwards.
            let mode = PromoteMode::Switchover;
            pgpool.changes(PromoteNode { node: id(1), mode }, [DOWN, UP, UP]).await?;
            pgpool.changes(AttachNode { node: id(0) }, HEALTHY).await?;
            pgpool.accepts(ReloadConfig { scope: Scope::Local }).await?;
            pgpool.accepts(ReloadConfig { scope: Scope::Cluster }).await?;
        }
        if version >= Version::V4_6 {
            pgpool.accepts(RotateLog { scope: Scope::Local }).await?;
            pgpool.accepts(RotateLog { scope: Scope::Cluster }).await?;
            pgpool.accepts(InvalidateQueryCache).await?;
        }

        pgpool.stops(StopPgpool { mode: StopMode::Smart }).await?;
        pgpool.cluster.start_pgpool()?;
        if version >= Version::V4_3 {
            pgpool.stops(StopCluster { mode: StopMode::Fast }).await?;
            pgpool.cluster.start_pgpool()?;
        }
        pgpool.stops(StopPgpool { mode: StopMode::Fast }).await?;
        pgpool.cluster.start_pgpool()?;
        pgpool.stops(StopPgpool { mode: StopMode::Immediate }).await
    })
}

/// A Pgpool and what asks it.
struct Pgpool {
    cluster: Cluster,
    runtime: Runtime,
    age: ServerAge,
}

/// Whether a node is attached, and whether it is the primary.
type State = (bool, bool);

const UP_PRIMARY: State = (true, true);
const UP: State = (true, false);
const DOWN: State = (false, false);
const HEALTHY: [State; NODES] = [UP_PRIMARY, UP, UP];

impl Pgpool {
    fn start(version: Version, settings: Settings) -> Result<Self> {
        let cluster = Cluster::start(version, settings)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { cluster, runtime, age: age(version) })
    }

    /// Connects to the published port.
    async fn connect(&self) -> Result<Client<Stream>> {
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: self.cluster.pcp_port() };
        let connector = Connector { endpoint, connect_timeout: Duration::from_secs(5) };
        let deadline = Deadline::after(Duration::from_secs(60));
        let credentials = Credentials::new(PCP_USER, PCP_PASSWORD.as_bytes())?;
        Ok(Client::new(connector.connect(deadline).await?, credentials, Limits::new(deadline)))
    }

    /// Asks for a change, again where the connection ended before it was sent: Pgpool replaces its PCP process
    /// after changes.
    async fn finish<R: Request + Copy>(&self, change: R) -> Result<Result<R::Reply, Error>> {
        for _ in 0..20 {
            match self.connect().await?.finish(change).await {
                Err(error) if error.kind() == ErrorKind::Disconnected && !error.outcome_unknown() => {}
                result => return Ok(result),
            }
        }
        anyhow::bail!("{} cannot be sent", R::NAME)
    }

    async fn accepts<R: Request<Reply = Accepted> + Copy>(&self, change: R) -> Result<()> {
        self.finish(change).await?.map(|Accepted| ()).context(R::NAME)
    }

    async fn refuses<R: Request<Reply = Accepted> + Copy>(&self, change: R, refusal: Refusal) -> Result<()> {
        let error = self.finish(change).await?.err().context(R::NAME)?;
        assert_eq!(error.refusal(), Some(refusal), "{}: {error}", R::NAME);
        Ok(())
    }

    /// Checks that a client that knows the age does not send a change, and that what stands behind it is answered.
    async fn lacks<R: Request<Reply = Accepted>>(&self, change: R, since: Release) -> Result<()> {
        let mut client = self.connect().await?;
        client.assume_server_age(self.age);
        let (refused, count) = client.finish((change, ReadNodeCount)).await;
        let refused = refused.err().context(R::NAME)?;
        assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
        assert_eq!(refused.too_old().map(|too_old| too_old.requirement.since), Some(since), "{refused}");
        assert_eq!(count?, NodeCount(3), "the connection goes on");
        Ok(())
    }

    /// Writes the script that is to start a node; here it runs already.
    fn provide_recovery_script(&self) -> Result<()> {
        self.cluster.node(0)?.add_script("pgpool_remote_start", "true")
    }

    /// Stops Pgpool and waits until nobody listens any more.
    async fn stops<R: Request<Reply = Accepted> + Copy>(&self, stop: R) -> Result<()> {
        self.accepts(stop).await?;
        let address = self.cluster.pgpool().pcp_address();
        wait_until("the PCP port to close", Duration::from_secs(30), || {
            ensure!(TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err(), "it is open");
            Ok(())
        })
    }

    /// Changes nodes, and waits until they are so and Pgpool has replaced its PCP process, which it does behind
    /// every change.
    ///
    /// Up to 4.4 a graceful change must not come before that: its worker waits for the main process, which waits
    /// for the worker to end.
    async fn changes<R: Request<Reply = Accepted> + Copy>(&self, change: R, wanted: [State; NODES]) -> Result<()> {
        let before = pcp_process(&self.cluster)?;
        self.accepts(change).await?;
        self.await_states(wanted).await?;
        wait_until("the PCP process to be replaced", Duration::from_secs(30), || {
            let now = pcp_process(&self.cluster)?;
            ensure!(now != before && !now.is_empty(), "it is {now:?}");
            Ok(())
        })
    }

    async fn await_states(&self, wanted: [State; NODES]) -> Result<()> {
        let started = std::time::Instant::now();
        loop {
            let seen = self.states().await;
            if matches!(&seen, Ok(states) if *states == wanted) {
                return Ok(());
            }
            ensure!(started.elapsed() < Duration::from_secs(30), "waited for {wanted:?}, last seen {seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn states(&self) -> Result<Vec<State>> {
        let mut client = self.connect().await?;
        let view = observe(&mut client).await?;
        client.close().await;
        Ok(view.nodes.iter().map(|node| (node.is_attached(), node.is_primary())).collect())
    }
}

fn id(node: usize) -> NodeId {
    node.try_into().unwrap()
}

/// Picks what belongs to a version.
fn by<T: Copy>(version: Version, of: [T; 4]) -> T {
    of[Version::ALL.iter().position(|&it| it == version).unwrap()]
}

fn age(version: Version) -> ServerAge {
    by(
        version,
        [
            ServerAge::between(Release::new(4, 1), Release::new(4, 2)),
            ServerAge::between(Release::new(4, 3), Release::new(4, 4)),
            ServerAge::between(Release::new(4, 6), Release::new(4, 7)),
            ServerAge::since(Release::new(4, 7)),
        ],
    )
}
