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
fn words_that_mean_nothing_are_refused_in_one_line() -> Result<()> {
    for (args, complaint) in [
        (&["detach", "10.0.0.3", "s", "10.0.0.1"][..], "unexpected argument '10.0.0.1' found"),
        (&["attach", "10.0.0.3", "%t"], "it is p, m, primary, master, s, standby or empty"),
        (&["attach", "--", "10.0.0.3", "s", "-q"], "unexpected argument '-q' found"),
        (&["promote", "10.0.0.2", "", "10.0.0.1"], "unexpected argument '10.0.0.1' found"),
        (&["detach", "10.0.0.3", "--require", "most"], "possible values: all, any, quorum"),
        (&["detach", "10.0.0.3", "--switchover"], "unexpected argument '--switchover' found"),
    ] {
        let output = bare(args).run()?;
        assert_eq!(output.code, Some(2), "{args:?}: {output:?}");
        assert_eq!(output.stdout.lines().count(), 1, "{args:?}: {output:?}");
        assert!(
            output.stdout.starts_with(&format!("pcpctl {} did nothing: error: ", args[0])),
            "{args:?}: {output:?}"
        );
        assert!(output.stdout.contains(complaint), "{args:?}: {output:?}");
        assert!(output.stderr.contains("try '--help'"), "{args:?}: {output:?}");
    }
    Ok(())
}

#[test]
fn every_spelling_of_a_type_is_understood() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let endpoint = pgpool.endpoint();
    let attach = |node: &str, node_type: &[&str]| {
        let args = [&["attach", "-h", &endpoint, "--settle", "0", node][..], node_type].concat();
        crate::support::logged_in(&args).run()
    };
    for standby in ["s", "S", " s ", "standby", "Standby", "\"s\""] {
        let output = attach("10.0.0.3", &[standby])?;
        assert_eq!(output.code, Some(0), "{standby:?}: {output:?}");
        assert!(output.stdout.starts_with("10.0.0.3 is attached as a standby"), "{standby:?}: {output:?}");
    }
    for primary in ["p", "m", "P", "M", " p ", "primary", "master", "PRIMARY", "\"m\""] {
        let output = attach("10.0.0.1", &[primary])?;
        assert_eq!(output.code, Some(0), "{primary:?}: {output:?}");
        assert!(output.stdout.starts_with("10.0.0.1 is attached as the primary"), "{primary:?}: {output:?}");
    }
    for nothing in [&[][..], &[""], &["  "], &["\"\""], &["\" \""]] {
        let output = attach("10.0.0.3", nothing)?;
        assert_eq!(output.code, Some(0), "{nothing:?}: {output:?}");
        assert!(output.stdout.starts_with("10.0.0.3 is attached already"), "{nothing:?}: {output:?}");
    }
    Ok(())
}

#[test]
fn a_hook_needs_no_environment_and_no_standard_input() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let endpoint = pgpool.endpoint();
    for args in
        [&["detach", "10.0.0.3"][..], &["detach", "10.0.0.9"], &["attach", "10.0.0.3", "s", "--settle", "0"]]
    {
        let output = crate::support::without_stdin(&[args, &["-h", &endpoint]].concat()).run()?;
        let code = if args.contains(&"10.0.0.9") { 6 } else { 0 };
        assert_eq!(output.code, Some(code), "{output:?}");
        assert!(output.stdout.contains("10.0.0."), "{output:?}");
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
fn help_of_what_shows_teaches_by_examples() -> Result<()> {
    for what in ["nodes", "node", "health", "processes", "config", "watchdog"] {
        let output = bare(&["help", "show", what]).run()?;
        assert!(output.stdout.contains(&format!("  pcpctl show {what}")), "{what}: {output:?}");
    }
    let watch = bare(&["help", "watch"]).run()?;
    assert!(watch.stdout.contains("  pcpctl watch -h pgpool1,pgpool2\n"), "{watch:?}");
    let refused = bare(&["watch", "--interval", "99ms"]).run()?;
    assert!(refused.code == Some(2) && refused.stderr.contains("it is less than 100ms"), "{refused:?}");
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
