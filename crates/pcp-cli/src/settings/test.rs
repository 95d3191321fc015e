use std::path::PathBuf;

use clap::Parser;

use super::*;
use crate::args::HookArgs;

#[derive(Parser)]
#[command(disable_help_flag = true)]
struct Line {
    #[command(flatten)]
    hook: HookArgs,
}

/// A directory with files for one test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("pcp-cli-settings-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn file(&self, name: &str, contents: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, contents).unwrap();
        path.display().to_string()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn settings_with(args: &[&str], env: &[(&str, &str)], default: &Path) -> Result<Settings, String> {
    let line = Line::try_parse_from([&["test"], args].concat()).map_err(|error| error.to_string())?;
    let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
    gather_with(Layer::from_hook_flags(&line.hook), &line.hook.connection.config, &env, default)
        .and_then(|layer| Settings::new(layer, Ask::Never, Duration::from_secs(30)))
        .map_err(|error| crate::output::chain(&error))
}

fn settings(args: &[&str], env: &[(&str, &str)]) -> Result<Settings, String> {
    settings_with(args, env, Path::new("/nonexistent/pcpctl.toml"))
}

const LOGIN: [(&str, &str); 2] = [("PCP_USER", "u"), ("PCP_PASSWORD", "secret")];

fn shown(settings: &Settings) -> Vec<String> {
    settings.targets.iter().map(|target| target.connector.endpoint.to_string()).collect()
}

fn endpoints(args: &[&str], env: &[(&str, &str)]) -> Vec<String> {
    shown(&settings(args, &[env, &LOGIN].concat()).unwrap())
}

#[test]
fn flags_win_over_the_environment_and_that_over_defaults() {
    let env = [("PCP_HOST", "b, c:1"), ("PCP_PORT", "2")];
    assert_eq!(endpoints(&["-h", "a"], &env), ["a:2"]);
    assert_eq!(endpoints(&["-p", "3"], &env), ["b:3", "c:1"]);
    assert_eq!(endpoints(&["-H", "a,b", "--host", "[::1]:5"], &[]), ["a:9898", "b:9898", "[::1]:5"]);
    assert_eq!(endpoints(&["-h", "/run/x"], &[]), ["/run/x:9898"]);
}

#[test]
fn each_source_wins_over_the_next() {
    let dir = Dir::new("precedence");
    let efm = dir.file("efm.properties", "pcp.host=efm\npcp.port=1\npcp.user=efm\ndb.port=1\n");
    let config = dir.file(
        "pcpctl.toml",
        &format!(
            "port = 2\nsettle = 2\nbackend-port = 2\nrequire = \"quorum\"\n[efm]\nproperties = \"{efm}\"\n\
             [profile.a]\nport = 3\nsettle = \"3s\"\n"
        ),
    );
    let with = |args: &[&str], env: &[(&str, &str)]| {
        let env = [env, &[("PCP_PASSWORD", "x"), ("PCPCTL_CONFIG", &*config)]].concat();
        let settings = settings(args, &env).unwrap();
        let node = settings.node("pg1".parse().unwrap()).to_string();
        (shown(&settings).join(","), node, settings.settle.as_secs(), settings.require)
    };
    let expected =
        |endpoint: &str, node: &str, settle, require| (endpoint.to_owned(), node.to_owned(), settle, require);
    assert_eq!(with(&[], &[]), expected("efm:2", "pg1:2", 2, Require::Quorum));
    assert_eq!(with(&["--profile", "a"], &[]), expected("efm:3", "pg1:2", 3, Require::Quorum));
    assert_eq!(with(&[], &[("PCPCTL_PROFILE", "a")]), expected("efm:3", "pg1:2", 3, Require::Quorum));
    assert_eq!(with(&[], &[("PCP_PORT", "4")]), expected("efm:4", "pg1:2", 2, Require::Quorum));
    let args = ["-p", "5", "--settle", "5", "--backend-port", "5", "--require", "any", "-h", "flag"];
    assert_eq!(with(&args, &[("PCP_PORT", "4")]), expected("flag:5", "pg1:5", 5, Require::Any));
    let without_file = ["--config", "/dev/null", "--efm-properties", &efm];
    assert_eq!(with(&without_file, &[]), expected("efm:1", "pg1:1", 1, Require::All));
}

#[test]
fn a_file_says_where_the_password_is_and_a_nearer_source_wins_whole() {
    let dir = Dir::new("passwords");
    let password = dir.file("password", "x\n");
    let config = dir.file(
        "pcpctl.toml",
        &format!("user = \"u\"\npassword-file = \"{password}\"\n[profile.a]\npassfile = \"/nonexistent\"\n"),
    );
    assert!(settings(&["--config", &config], &[]).is_ok());
    let error = settings(&["--config", &config, "--profile", "a"], &[]).unwrap_err();
    assert!(error.ends_with("there is no password file /nonexistent"), "{error}");
    assert!(settings(&["--config", &config, "--profile", "a"], &[("PCP_PASSWORD", "x")]).is_ok());
}

#[test]
fn the_default_file_is_read_where_it_is_there_and_a_named_one_must_be() {
    let dir = Dir::new("default");
    let default = dir.file("pcpctl.toml", "pgpools = [\"a\", \"b:1\"]");
    assert_eq!(shown(&settings_with(&[], &LOGIN, Path::new(&default)).unwrap()), ["a:9898", "b:1"]);
    for name in ["--config=/nonexistent", "--efm-properties=/nonexistent"] {
        let error = settings(&[name], &LOGIN).unwrap_err();
        assert!(error.starts_with("the file /nonexistent cannot be read: No such file"), "{error}");
    }
    let error = settings(&["--config", &dir.0.display().to_string()], &LOGIN).unwrap_err();
    assert!(error.ends_with("cannot be read: it is not a plain file"), "{error}");
    let long = dir.file("long", &"#".repeat((1 << 20) + 1));
    assert!(settings(&["--config", &long], &LOGIN).unwrap_err().ends_with("it is longer than 1 MiB"));
}

#[test]
fn an_unknown_profile_lists_those_there_are() {
    let dir = Dir::new("profiles");
    let config = dir.file("pcpctl.toml", "[profile.prod]\n[profile.stage]\n");
    let error = settings(&["--config", &config, "--profile", "prd"], &LOGIN).unwrap_err();
    assert_eq!(error, format!("{config} has no profile prd; there are prod, stage"));
    let error = settings(&["--config", "/dev/null", "--profile", "prd"], &LOGIN).unwrap_err();
    assert_eq!(error, "/dev/null has no profile prd; it has none at all");
    let error = settings(&["--profile", "prd"], &LOGIN).unwrap_err();
    assert!(error.starts_with("a profile is asked for, prd, but there is no configuration file"), "{error}");
}

#[test]
fn what_is_wrong_with_a_file_is_named_with_its_line() {
    for (text, line, reason) in [
        ("port = 1\n\nbackend_port = 5", 3, "there is no key \"backend_port\"; did you mean \"backend-port\"?"),
        ("[log]\nfiel = \"/x\"", 2, "there is no key \"fiel\" in [log]; did you mean \"file\"?"),
        ("[efm]\nzzz = 1", 2, "there is no key \"zzz\" in [efm]; there are cluster, properties, command"),
        ("[profile.a]\nprot = 1", 2, "there is no key \"prot\" in [profile.a]; did you mean \"port\"?"),
        ("user = \"u\"\npassword = \"hunter2\"", 2, "write password-file ="),
        ("[postgres]\npassword = 1", 2, "postgres.password: a password does not belong"),
        ("[profile]\npassword = \"hunter2\"", 2, "profile.password: invalid type: string, expected"),
        ("postgres = \"hunter2\"", 1, "postgres: invalid type: string, expected"),
        ("[efm]\ncommand = 3", 2, "efm.command: expected a path, or a list of paths"),
        ("[log]\nlevel = 3", 2, "log.level: invalid type: integer `3`, expected a string"),
        ("[profile.a.log]\njournald = 1", 2, "profile.a.log.journald: invalid type"),
        ("port = 0", 1, "port: a port is a number from 1 to 65535"),
        ("\ndeadline = \"soon\"", 2, "expected a time such as \"30s\""),
        ("settle = -1", 1, "expected a time such as \"30s\""),
        ("pgpools = []", 1, "pgpools names no Pgpool"),
        ("pgpools = [\n\"a\",\n\"b:0\"]", 1, "\"b:0\" is no address"),
        ("passfile = \"~/.pcppass\"", 1, "passfile: this is not an absolute path"),
        ("password-file = \"hunter2\"", 1, "password-file: this is not an absolute path"),
        ("require = \"most\"", 1, "unknown variant `most`, expected one of `all`, `any`, `quorum`"),
        ("[log]\nlevel = \"loud\"", 2, "log.level: \"loud\" is no level"),
        ("[nodes]\n10.0.0.3 = \"pg3\"", 2, "an address with dots goes in quotes"),
        ("port = 1\nport = 2", 2, "duplicate key"),
        ("[profile.a.profile.b]", 1, "the profile a cannot hold profiles"),
        ("user = \"u", 1, "invalid basic string"),
    ] {
        let (found_line, found) = file::parse(text.as_bytes()).unwrap_err();
        assert!(found.contains(reason) && found_line == line, "{text:?}: {found_line}: {found}");
        assert!(!found.contains("hunter2") && !found.contains('\n'), "{found}");
    }
    assert_eq!(file::parse(b"a\n\xff").unwrap_err(), (2, "this is not UTF-8".to_owned()));
}

#[test]
fn the_example_sets_nothing_and_shows_every_key() {
    const EXAMPLE: &str = include_str!("../../../../packaging/pcpctl.toml");
    let layer = file::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(format!("{layer:?}"), format!("{:?}", Layer::default()));

    // Prose has a blank behind the comment sign.
    let shown = |line: &'static str| line.strip_prefix('#').filter(|text| !text.starts_with(' ')).unwrap_or(line);
    let text = EXAMPLE.lines().map(shown).collect::<Vec<_>>().join("\n");
    let mut layer = file::parse(text.as_bytes()).unwrap();
    assert!(layer.profile.remove("reporting").is_some());
    layer.given_password = Some(b"for the environment alone".to_vec().into());
    let node = |name: &str| layer.nodes.apply(name.parse().unwrap()).to_string();
    assert_eq!(["10.0.0.3", "10.0.0.4"].map(node), ["pg3.internal:5432", "3"]);
    layer.nodes = AddressMap::default();
    let shown = format!("{layer:#?}");
    assert!(!shown.contains("None"), "{shown}");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let error = |args: &[&str], env: &[(&str, &str)]| settings(args, env).unwrap_err();
    assert_eq!(error(&["-h", "a"], &[]), "no PCP user: give -U, or set PCP_USER or the configuration's key user");
    assert_eq!(
        error(&["-U", "u", "-h", "a"], &[]),
        "no password for user u on a:9898: nothing names a password file (--passfile, PCPPASSFILE or the \
         configuration), and without HOME there is no default one"
    );
    assert_eq!(
        error(&["-U", "u", "-h", "a"], &[("HOME", "/nonexistent")]),
        "no password for user u on a:9898: there is no password file /nonexistent/.pcppass"
    );
    let port = error(&["-U", "u"], &[("PCP_PORT", "x")]);
    assert_eq!(port, "the environment variable PCP_PORT holds \"x\", which is not a port");
    assert!(error(&["-p", "0"], &[]).contains("0 is not in 1..=65535"));
}

#[test]
fn passwords_are_not_shown() {
    let settings = settings(&["-U", "u", "-h", "a"], &[("PCP_PASSWORD", "hunter2")]).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
}
