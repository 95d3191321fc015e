//! What is typed behind a tool's name, and what the environment says.

use anyhow::Result;
use pcp_client::sandbox::World;
use pcp_tests::pcpctl;

use super::change::link;
use crate::support::{Dir, Pgpool};

#[test]
fn what_the_tools_misread_is_an_error() -> Result<()> {
    for (tool, args, legacy, complaint) in [
        (
            "pcp_attach_node",
            &["pg2"][..],
            1,
            "pcp_attach_node: Invalid node-id \"pg2\", must be between 0 and 128\n",
        ),
        (
            "pcp_detach_node",
            &["-n", "1x"],
            1,
            "pcp_detach_node: Invalid node-id \"1x\", must be between 0 and 128\n",
        ),
        ("pcp_detach_node", &["129"], 0, "pcp_detach_node: Invalid node-id \"129\", must be between 0 and 128\n"),
        ("pcp_detach_node", &["128"], 0, "pcp_detach_node: Invalid node-id \"128\", must be between 0 and 127\n"),
        ("pcp_node_info", &["-n", "-1"], 0, "pcp_node_info: Invalid node-id \"-1\", must be between 0 and 128\n"),
        ("pcp_node_info", &["-n", ""], 1, "pcp_node_info: Invalid node-id \"\", must be between 0 and 128\n"),
        ("pcp_attach_node", &[""], 1, "pcp_attach_node: Invalid node-id \"\", must be between 0 and 128\n"),
        ("pcp_node_count", &["-p", "x"], 0, &PORT.replace("80", "x")),
        ("pcp_node_count", &["-p", "9898x"], 1, &PORT.replace("80", "9898x")),
        ("pcp_proc_info", &["-P", "x"], 0, "pcp_proc_info: Invalid process-id \"x\", must be greater than 0\n"),
        ("pcp_proc_info", &["1x"], 1, "pcp_proc_info: Invalid process-id \"1x\", must be greater than 0\n"),
        (
            "pcp_node_info",
            &["--", "-v", "0"],
            1,
            "pcp_node_info: Invalid node-id \"-v\", must be between 0 and 128\n",
        ),
        (
            "pcp_node_info",
            &["--p"],
            1,
            &format!(
                "pcp_node_info: option '--p' is ambiguous; possibilities: '--port' '--process-id' '--password'\n{}",
                try_help("pcp_node_info")
            ),
        ),
        (
            "pcp_node_info",
            &["--n", "0"],
            1,
            &format!(
                "pcp_node_info: option '--n' is ambiguous; possibilities: '--no-password' '--node-id'\n{}",
                try_help("pcp_node_info")
            ),
        ),
        (
            "pcp_node_count",
            &["--no-such=1"],
            1,
            &format!("pcp_node_count: unrecognized option '--no-such=1'\n{}", try_help("pcp_node_count")),
        ),
        ("pcp_node_count", &["-p", "80"], 0, PORT),
        ("pcp_node_count", &["-p", "1024"], 0, &PORT.replace("80", "1024")),
        ("pcp_node_count", &["-p", "99999"], 0, &PORT.replace("80", "99999")),
        ("pcp_proc_info", &["0"], 0, "pcp_proc_info: Invalid process-id \"0\", must be greater than 0\n"),
        (
            "pcp_watchdog_info",
            &["-n", "-1"],
            0,
            "pcp_watchdog_info: Invalid watchdog-id \"-1\", must be a positive number or zero for a local watchdog node\n",
        ),
        (
            "pcp_promote_node",
            &["--scope", "local", "1"],
            1,
            "Invalid argument \"local\", Try \"pcp_promote_node --help\" for more information.\n",
        ),
        (
            "pcp_node_info",
            &["--mode=fast"],
            1,
            "Invalid argument \"fast\", Try \"pcp_node_info --help\" for more information.\n",
        ),
        (
            "pcp_reload_config",
            &["-s", "all"],
            1,
            "pcp_reload_config: Invalid command scope \"all\", must be either \"cluster\" or \"local\" \n",
        ),
        ("pcp_node_count", &["-v", "--help"], 1, &try_help("pcp_node_count")),
        ("pcp_node_count", &["--vers"], 1, &try_help("pcp_node_count")),
        (
            "pcp_recovery_node",
            &[],
            1,
            &format!("pcp_recovery_node: missing node-id\n{}", try_help("pcp_recovery_node")),
        ),
    ] {
        let run = || pcpctl!().named(tool).args(args);
        let output = run().run()?;
        assert_eq!((output.code, &*output.stdout, &*output.stderr), (Some(2), "", complaint), "{tool} {args:?}");
        assert_eq!(run().env("PCPCTL_COMPAT_EXIT", "legacy").run()?.code, Some(legacy), "{tool} {args:?}");
    }
    Ok(())
}

const PORT: &str = "pcp_node_count: Invalid port number \"80\", must be between 1024 and 65535\n";

fn try_help(tool: &str) -> String {
    format!("Try \"{tool} --help\" for more information.\n\n")
}

#[test]
fn options_and_operands_are_taken_in_any_order_and_form() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let expected = link(&pgpool, "pcp_node_info", &["1"]).run()?;
    assert_eq!((expected.code, &*expected.stderr), (Some(0), ""), "{expected:?}");
    let forms = [
        &["-n1"][..],
        &["--node", "1"],
        &["--node-id=1", "-a"],
        &["-an", "1"],
        &["--", "1"],
        // As `cut` and `wc` hand them on.
        &[" 1"],
        &["-n", "1 "],
        &["--no-password", "01"],
        &["-n", "0", "-n", "1"],
    ];
    for args in forms {
        let output = link(&pgpool, "pcp_node_info", args).run()?;
        assert_eq!(output.stdout, expected.stdout, "{args:?}");
    }
    let output = link(&pgpool, "pcp_node_info", &["1", "2", "-v"]).run()?;
    assert_eq!(output.stderr, "pcp_node_info: Warning: extra command-line argument \"2\" ignored\n");
    assert!(output.stdout.starts_with("Hostname               : 10.0.0.2\n"), "{output:?}");
    // Behind an operand there are only operands.
    let output = link(&pgpool, "pcp_node_info", &["1", "-v"]).env("POSIXLY_CORRECT", "").run()?;
    assert_eq!(output.stdout, expected.stdout);
    Ok(())
}

/// Up to 3.4 a command line was "timeout host port user password node". The tools of 3.5 and later take the first word
/// for a node where they take one, and ignore the others in plain words; so does a link, and it finds no such node.
#[test]
fn the_positional_form_of_old_is_warned_of() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let old = ["10", "localhost", "9898", "pcpadmin", "secret"];
    let warn = |tool: &str, words: &[&str]| -> String {
        let line = |word| format!("{tool}: Warning: extra command-line argument \"{word}\" ignored\n");
        words.iter().map(line).collect()
    };
    let count = link(&pgpool, "pcp_node_count", &old).run()?;
    assert_eq!((count.code, &*count.stdout, count.stderr), (Some(0), "3\n", warn("pcp_node_count", &old)));
    let attach = link(&pgpool, "pcp_attach_node", &[&old[..], &["1"]].concat()).run()?;
    assert!(attach.stderr.starts_with(&warn("pcp_attach_node", &[&old[1..], &["1"]].concat())), "{attach:?}");
    assert!(attach.code == Some(6) && attach.stderr.contains("there is no node 10"), "{attach:?}");
    Ok(())
}

#[test]
fn the_environment_says_what_options_do_not() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let address = pgpool.sandbox.address();
    let run = || pcpctl!().named("/opt/pcp/pcp_node_count").args(["-w"]);
    let logged_in = || run().env("PCP_USER", World::USER).env("PCP_PASSWORD", World::PASSWORD);
    let output = logged_in().env("PCP_HOST", "127.0.0.1").env("PCP_PORT", address.port().to_string()).run()?;
    assert_eq!((output.code, &*output.stdout), (Some(0), "3\n"), "{output:?}");
    let several = logged_in().env("PCP_HOST", format!("{address},127.0.0.1:1")).run()?;
    assert_eq!(several.code, Some(3), "{several:?}");
    assert_eq!(several.stderr, "ERROR: several Pgpools are named, and this command speaks to one\n");
    for (name, value) in [("PCPCTL_COMPAT", "5.0"), ("PCPCTL_COMPAT_EXIT", "0"), ("PCPCTL_DEADLINE", "soon")] {
        let output = logged_in().env(name, value).run()?;
        assert_eq!(output.code, Some(3), "{output:?}");
        assert!(
            output.stderr.contains(&format!("the environment variable {name} holds \"{value}\"")),
            "{output:?}"
        );
    }
    Ok(())
}

#[test]
fn a_password_file_is_used_or_complained_of_and_nobody_is_asked() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("link-passfiles")?;
    let line = format!("*:*:{}:{}\n", World::USER, World::PASSWORD);
    let good = dir.file("good", &line, 0o600)?;
    let open = dir.file("open", &line, 0o644)?;
    let port = pgpool.sandbox.address().port().to_string();
    let run = |file: &str, option: &str| {
        let args = ["-h", "127.0.0.1", "-p", &port, "-U", World::USER, option];
        pcpctl!().named("pcp_node_count").args(args).env("PCPPASSFILE", file).input(World::PASSWORD).run()
    };
    for option in ["-w", "-v"] {
        assert_eq!(run(&good, option)?.code, Some(0));
        let refused = run(&open, option)?;
        let warning = format!(
            "WARNING: password file \"{open}\" has group or world access; permissions should be u=rw (0600) or less\n\
            ERROR: no password for user {} on 127.0.0.1:{port}: ",
            World::USER
        );
        assert!(refused.stderr.starts_with(&warning), "{refused:?}");
        assert_eq!((refused.code, &*refused.stdout), (Some(3), ""));
    }
    Ok(())
}

#[test]
fn a_connection_that_cannot_be_made_is_told_in_the_words_of_the_tools() -> Result<()> {
    let run = |host: &str| {
        let args = ["-h", host, "-p", "9898", "-w"];
        pcpctl!().named("pcp_node_count").args(args).env("PCP_USER", "u").env("PCP_PASSWORD", "p").run()
    };
    for (host, complaint) in [
        ("no.such.host.invalid", "ERROR: getaddrinfo failed \""),
        (
            "/nonexistent",
            "ERROR: connection to socket \"/nonexistent/.s.PGSQL.9898\" failed with error \"No such file or directory\"\n",
        ),
    ] {
        let output = run(host)?;
        assert_eq!((output.code, &*output.stdout), (Some(4), ""), "{output:?}");
        assert!(output.stderr.starts_with(complaint), "{output:?}");
        assert!(!output.stderr.contains("os error") && !output.stderr.contains("lookup"), "{output:?}");
    }
    Ok(())
}
