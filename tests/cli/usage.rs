//! What is typed wrongly.

use anyhow::Result;

use crate::support::{Pgpool, bare};

#[test]
fn the_host_is_h_and_no_mistake_exits_zero() -> Result<()> {
    for (args, complaint) in [
        (&[][..], "Usage: pcpctl <COMMAND>"),
        (&["detach"], "<NODE>"),
        (&["detach", "2", "-h"], "a value is required for '--host"),
        (&["attach", "2", "x"], "it is p, m, primary, master, s, standby or empty"),
        (&["attach", "2", "p", "extra"], "unexpected argument 'extra'"),
        (&["detach", "128"], "a node id is a number from 0 to 127"),
        (&["detach", ""], "it is empty"),
        (&["detach", "2", "-W"], "unexpected argument '-W'"),
        (&["detach", "2", "-p", "0"], "0 is not in 1..=65535"),
        (&["detach", "2", "--deadline", "soon"], "--deadline"),
        (&["show"], "Usage: pcpctl show <COMMAND>"),
    ] {
        let output = bare(args).run()?;
        assert_eq!(output.code, Some(2), "{args:?}: {output:?}");
        assert!(output.stderr.contains(complaint), "{args:?}: {output:?}");
        // EFM mails stdout.
        let is_hook = args.len() > 1 && args[0] != "show" || args == ["detach"];
        assert_eq!(!output.stdout.is_empty(), is_hook, "{args:?}: {output:?}");
    }
    Ok(())
}

#[test]
fn help_is_help_only_where_it_is_asked_for() -> Result<()> {
    for args in [
        &["--help"][..],
        &["-?"],
        &["help"],
        &["help", "attach"],
        &["attach", "--help"],
        &["show", "--help"],
        &["show", "nodes", "-?"],
        &["sandbox", "serve", "--help"],
    ] {
        let output = bare(args).run()?;
        assert_eq!(output.code, Some(0), "{args:?}: {output:?}");
        assert!(output.stdout.contains("Usage: pcpctl"), "{args:?}: {output:?}");
    }
    Ok(())
}

#[test]
fn arguments_may_be_padded_quoted_or_empty() -> Result<()> {
    let pgpool = Pgpool::start()?;
    for args in [
        &["detach", " 10.0.0.3 ", ""][..],
        &["detach", "\"10.0.0.3\"", "\"\""],
        &["detach", "--", "10.0.0.3", "S"],
        &["detach", "10.0.0.3:5432"],
        &["detach", "10.0.0.3", "--backend-port", "5432"],
    ] {
        let endpoint = pgpool.endpoint();
        let output = crate::support::logged_in(args).env("PCP_HOST", &endpoint).run()?;
        assert_eq!(output.code, Some(0), "{args:?}: {output:?}");
    }
    let wrong_port = pgpool.run(&["detach", "10.0.0.3", "--backend-port", "5433"])?;
    assert_eq!(wrong_port.code, Some(6), "{wrong_port:?}");
    let promoted = pgpool.run(&["promote", "10.0.0.1", ""])?;
    assert_eq!(promoted.code, Some(0), "{promoted:?}");
    Ok(())
}
