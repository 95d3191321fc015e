//! What shell scripts around the `pcp_*` tools get wrong. docs/efm.md lists all of it, with the tests.

use anyhow::Result;
use pcp_client::sandbox::{Age, World};
use pcp_proto::RequestKind;

use crate::support::{Pgpool, bare};

#[test]
fn the_primary_is_told_by_every_age_that_tells_roles() -> Result<()> {
    for age in Age::ALL {
        let pgpool = Pgpool::start_with(age)?;
        let codes = if age == Age::V3_5 { [8, 8] } else { [0, 1] };
        for (node, code) in ["10.0.0.1", "10.0.0.2"].into_iter().zip(codes) {
            let output = pgpool.run(&["is-primary", node])?;
            assert_eq!(output.code, Some(code), "{}: {output:?}", age.name());
        }
    }
    Ok(())
}

#[test]
fn a_node_id_is_no_exit_code() -> Result<()> {
    let world = (0..128).fold(World::new(Age::V4_7), |world, port| world.node("10.0.0.1", 5000 + port));
    let pgpool = Pgpool::start_world(world)?;
    for node in ["1", "2", "6", "127"] {
        let output = pgpool.run(&["detach", node])?;
        assert_eq!(output.code, Some(0), "{node}: {output:?}");
    }
    assert_eq!(pgpool.run(&["detach", "10.0.0.2"])?.code, Some(6));
    Ok(())
}

#[test]
fn an_address_is_no_part_of_another_and_the_first_of_several_nodes_is_not_taken() -> Result<()> {
    let world = World::new(Age::V4_7).node("10.0.0.12", 5444).node("10.0.0.1", 5444).node("10.0.0.1", 5445);
    let pgpool = Pgpool::start_world(world)?;
    let ambiguous = pgpool.run(&["detach", "10.0.0.1"])?;
    assert!(ambiguous.code == Some(6) && ambiguous.stdout.contains("is ambiguous"), "{ambiguous:?}");
    let by_port = pgpool.run(&["detach", "10.0.0.1", "--backend-port", "5444"])?;
    assert_eq!(by_port.code, Some(0), "{by_port:?}");
    assert_eq!(pgpool.sandbox.with(|world| world.show_pool_nodes()), "0=up/primary 1=down/standby 2=up/standby");
    Ok(())
}

#[test]
fn a_verb_that_there_is_not_exits_with_2() -> Result<()> {
    for verb in ["promot", "watchdog", "check_primary", "ATTACH"] {
        let output = bare(&[verb, "10.0.0.1"]).run()?;
        assert_eq!(output.code, Some(2), "{verb}: {output:?}");
    }
    Ok(())
}

#[test]
fn a_change_of_primary_attaches_no_node_that_was_down() -> Result<()> {
    let pgpool = Pgpool::start()?;
    assert_eq!(pgpool.run(&["detach", "10.0.0.3"])?.code, Some(0));
    pgpool.sandbox.with(|world| world.promote_postgres(1));
    for args in [&["promote", "10.0.0.2", "10.0.0.1"][..], &["attach", "10.0.0.2", "p"]] {
        let output = pgpool.run(args)?;
        // The standby that stays down is somebody's business.
        assert_eq!(output.code, Some(10), "{output:?}");
        assert!(
            output.stdout.contains("verified on 1 Pgpool; down: node 0 (10.0.0.1:5432), node 2 (10.0.0.3:5432)"),
            "{output:?}"
        );
    }
    assert_eq!(pgpool.sandbox.with(|world| world.show_pool_nodes()), "0=down/standby 1=up/primary 2=down/standby");
    let attached = pgpool.sandbox.requests().iter().any(|(_, kind)| *kind == RequestKind::ATTACH_NODE);
    assert!(!attached, "the living old primary least of all");
    Ok(())
}
