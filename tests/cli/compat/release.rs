//! Whose tool a link is: by the server's answer, or by choice.

use anyhow::Result;
use pcp_client::sandbox::{Age, Mode, World};
use pcp_proto::RequestKind;

use super::change::link;
use crate::support::Pgpool;

/// 4.1 and 4.2 write a node alike, and name the roles outside streaming replication differently.
#[test]
fn what_the_answer_leaves_open_is_asked() -> Result<()> {
    for (age, words) in [(Age::V4_1, ["master", "slave"]), (Age::V4_2_8, ["main", "replica"])] {
        let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432);
        let pgpool = Pgpool::start_world(world.configure(|settings| settings.mode = Mode::Raw))?;
        for (node, word) in ["0", "1"].into_iter().zip(words) {
            let output = link(&pgpool, "pcp_node_info", &[node]).run()?;
            assert_eq!(output.stdout.split(' ').nth(5), Some(word), "{age}: {output:?}");
        }
    }
    // Where it is no matter, nothing is asked.
    let pgpool = Pgpool::start_with(Age::V4_2_8)?;
    assert!(link(&pgpool, "pcp_node_info", &["0"]).run()?.stdout.contains(" up primary "));
    let asked = pgpool.sandbox.requests();
    assert!(!asked.iter().any(|&(_, kind)| kind == RequestKind::READ_POOL_STATUS), "{asked:?}");
    Ok(())
}

#[test]
fn another_release_can_be_imitated() -> Result<()> {
    let pgpool = Pgpool::start()?;
    for (form, words) in [("3.5", 4), ("3.7", 6), ("4.0", 9), ("4.1", 9), ("4.3", 13), ("4.7", 13)] {
        let output = link(&pgpool, "pcp_node_info", &["0"]).env("PCPCTL_COMPAT", form).run()?;
        assert_eq!(output.stdout.split_whitespace().count(), words, "{form}: {output:?}");
    }
    let output = link(&pgpool, "pcp_node_info", &[]).env("PCPCTL_COMPAT", "4.1").run()?;
    assert_eq!(output.code, Some(2), "{output:?}");
    let old = Pgpool::start_with(Age::V4_1)?;
    let output = link(&old, "pcp_node_info", &["0"]).env("PCPCTL_COMPAT", "4.7").run()?;
    assert!(
        output.stdout.starts_with("10.0.0.1 5432 2 0.333333 up unknown primary unknown 0 none none "),
        "{output:?}"
    );
    Ok(())
}

/// Up to 4.2 the tool's last words with `-d` are about its own memory, one for each slot that it was told of.
#[test]
fn what_old_tools_free_is_told_of() -> Result<()> {
    const FREED: &str = "free ProcessInfo structure \n";
    for (age, tells) in [(Age::V3_5, true), (Age::V4_2_8, true), (Age::V4_3_1, false), (Age::V4_7, false)] {
        let pgpool = Pgpool::start_with(age)?;
        let slots = link(&pgpool, "pcp_proc_info", &["-a"]).run()?.stdout.lines().count();
        let output = link(&pgpool, "pcp_proc_info", &["-a", "-d"]).run()?;
        assert_eq!(output.stdout.matches(FREED).count(), if tells { slots } else { 0 }, "{age}: {output:?}");
        let last = format!("DEBUG: send: tos=\"X\", len=4\n{}", FREED.repeat(if tells { slots } else { 0 }));
        assert!(slots > 0 && output.stdout.ends_with(&last), "{age}: {output:?}");
        assert!(!link(&pgpool, "pcp_proc_info", &["-a"]).run()?.stdout.contains(FREED), "{age}");
    }
    Ok(())
}
