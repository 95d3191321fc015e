//! What PostgreSQL itself says, beside any Pgpool.

use std::time::Duration;

use anyhow::Result;
use pcp_client::{Evidence, Login, Node, Postgres, Recovery};
use pcp_tests::{Cluster, Settings, Version};

for_oldest_and_newest!(postgresql_tells_what_it_is_while_it_works);

fn postgresql_tells_what_it_is_while_it_works(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    require_password(&cluster)?;
    let postgres = |password: &str| Postgres { login: login(password) };
    let recovery = |postgres: &Postgres, id| runtime.block_on(postgres.recovery(&node(&cluster, id)));
    let answers = |id| runtime.block_on(postgres("").answers(&node(&cluster, id)));
    let right = postgres("s3cret");

    assert_eq!(
        [0, 1, 2].map(|id| recovery(&right, id)),
        [Recovery::NotInRecovery, Recovery::InRecovery, Recovery::InRecovery]
    );
    assert_eq!([0, 1, 2].map(answers), [true; 3]);
    let refused = recovery(&postgres("wr0ng"), 0);
    assert!(
        matches!(&refused, Recovery::Unknown { reason }
            if reason.ends_with("password authentication failed for user \"monitor\"") && !reason.contains("wr0ng")),
        "{refused:?}"
    );

    cluster.promote_postgres(1)?;
    assert_eq!(recovery(&right, 1), Recovery::NotInRecovery);

    // The kernel of a host that is paused goes on accepting connections.
    let standby = cluster.node(2)?.host();
    standby.pause()?;
    assert!(!answers(2));
    assert!(matches!(recovery(&right, 2), Recovery::Unknown { reason } if reason.ends_with("no answer in 3 s")));
    standby.unpause()?;
    assert!(answers(2));
    cluster.kill_postgres(2)?;
    assert!(!answers(2));
    let refused = recovery(&right, 2);
    assert!(
        matches!(&refused, Recovery::Unknown { reason } if reason.contains("Connection refused")),
        "{refused:?}"
    );
    Ok(())
}

/// Makes a role that every node lets in with its password only.
fn require_password(cluster: &Cluster) -> Result<()> {
    cluster
        .node(0)?
        .sql("SET password_encryption = 'scram-sha-256'; CREATE ROLE monitor LOGIN PASSWORD 's3cret'")?;
    for id in 0..3 {
        let node = cluster.node(id)?;
        let file = node.sql("SHOW hba_file")?;
        let line = "1i host all monitor 0.0.0.0/0 scram-sha-256";
        let edited = node.host().exec(["sed", "-i", line, &file])?;
        anyhow::ensure!(edited.success(), "{edited:?}");
        node.sql("SELECT pg_reload_conf()")?;
        pcp_tests::wait_until("the role and its rule", Duration::from_secs(20), || {
            let rules = node.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'monitor'")?;
            anyhow::ensure!(rules == "1", "{rules} roles");
            Ok(())
        })?;
    }
    Ok(())
}

fn login(password: &str) -> Login {
    Login {
        user: "monitor".to_owned(),
        database: "postgres".to_owned(),
        password: Some(password.as_bytes().to_vec().into()),
        connect_timeout: Duration::from_secs(3),
    }
}

fn node(cluster: &Cluster, id: usize) -> Node {
    Node {
        id: id.try_into().unwrap(),
        host: cluster.address(id).into(),
        port: 5433,
        status: None,
        role: None,
        quarantine: false,
        failover_disallowed: false,
    }
}
