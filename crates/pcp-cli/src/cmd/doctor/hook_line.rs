//! Judging one line of EFM's properties that calls a hook.

use std::path::Path;

use super::finding::Finding;

const QUOTES: [char; 2] = ['"', '\''];

/// What a line should be.
pub(super) struct Expected<'a> {
    /// The property.
    pub(super) key: &'a str,
    pub(super) verb: &'a str,
    /// The placeholder without which nobody knows which node is meant.
    pub(super) node: &'a str,
    /// One that hooks can do without.
    pub(super) optional: &'a str,
    /// The line to write instead.
    pub(super) line: &'a str,
}

/// What is known of this host.
pub(super) struct Host<'a> {
    /// This program.
    pub(super) program: &'a Path,
    /// Tells whether there is such a program here.
    pub(super) is_program: &'a dyn Fn(&Path) -> bool,
    /// Tells why `pcpctl` with these words would not come as far as to call Pgpool.
    pub(super) rehearse: &'a dyn Fn(&[String]) -> Result<(), String>,
}

impl Host<'_> {
    /// Finds this program among the words of a line.
    pub(super) fn find_ours(&self, words: &[&str]) -> Option<usize> {
        words.iter().position(|word| {
            let name = Path::new(word).file_name();
            name.is_some_and(|name| name == "pcpctl" || Some(name) == self.program.file_name())
        })
    }
}

/// Judges a line that is there.
pub(super) fn judge(value: &str, expected: &Expected<'_>, host: &Host<'_>) -> Vec<Finding> {
    let key = expected.key;
    let bare = value.replace(QUOTES, "");
    let words: Vec<_> = bare.split_whitespace().collect();
    let seen = |what: String| format!("{key} {what}");
    let mended = |finding: Finding| finding.write("efm.properties", expected.line);
    let critical = |what: String, why: &str| mended(Finding::critical(key, seen(what), why));
    let warning = |what: String, why: &str| mended(Finding::warning(key, seen(what), why));
    let mut findings = Vec::new();

    if value.contains(QUOTES) {
        let why = "EFM does not take them off: a program of that name is not found";
        findings.push(critical("holds quotes".to_owned(), why));
    }
    if let Some(syntax) = shell_syntax(&words) {
        let why = "whether EFM uses a shell is not documented: use plain words only";
        findings.push(warning(format!("has {syntax}, as if for a shell"), why));
    }
    let Some(at) = host.find_ours(&words) else {
        let why = "what it does is not verified, and it may exit 0 whatever happens";
        findings.push(warning(format!("runs {}, not pcpctl", words.first().map_or("nothing", shown)), why));
        return findings;
    };
    let Some((program, arguments)) = words.get(at..).and_then(|words| words.split_first()) else { return findings };
    if at > 0 {
        let why = "hooks need no other program in front: it changes user, environment or exit code";
        findings.push(warning(format!("has {} before pcpctl", words.first().map_or("words", shown)), why));
    }
    if !Path::new(program).is_absolute() {
        findings.push(critical(format!("runs {program} by a relative path"), "the PATH of a hook is not known"));
    } else if !(host.is_program)(Path::new(program)) {
        findings
            .push(critical(format!("runs {program}, which is no program on this host"), "the hook cannot start"));
    } else if Path::new(program) != host.program {
        let why = "check that it is the same release as the one that runs now";
        findings.push(Finding::note(key, seen(format!("runs {program}; this is {}", host.program.display())), why));
    }
    if arguments.first() != Some(&expected.verb) {
        let found = arguments.first().unwrap_or(&"nothing");
        findings.push(critical(format!("runs pcpctl {found}, not {}", expected.verb), "it does something else"));
        return findings;
    }
    if !arguments.iter().any(|word| word.contains(expected.node)) {
        let why = "without it the hook is not told which node is meant";
        findings.push(critical(format!("has no {}", expected.node), why));
    }
    if !arguments.contains(&expected.optional) {
        let why = match expected.optional {
            "%t" => "the hook then has less to verify; EFM 3.2 does not know it",
            _ => "the hook then knows less of what happened",
        };
        findings.push(mended(Finding::note(key, seen(format!("has no {}", expected.optional)), why)));
    }
    for foreign in foreign_placeholders(arguments, expected) {
        findings.push(critical(format!("has {foreign}"), "EFM puts nothing in its place for this property"));
    }
    if let Err(reason) = (host.rehearse)(&rehearsed(arguments)) {
        findings.push(critical(format!("fails before it calls Pgpool: {reason}"), "the hook changes nothing"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(key, seen("is as it should be".to_owned())));
    }
    findings
}

/// Names what only a shell would understand.
fn shell_syntax(words: &[&str]) -> Option<&'static str> {
    let has = |c: &[char]| words.iter().any(|word| word.contains(c));
    if words.first().is_some_and(|word| word.contains('=') && !word.starts_with('/')) {
        return Some("a variable in front");
    }
    match () {
        () if has(&['|']) => Some("a pipe"),
        () if has(&['>', '<']) => Some("a redirection"),
        () if has(&[';', '&']) => Some("a list of commands"),
        () if has(&['$', '`']) => Some("an expansion"),
        () if words.iter().any(|word| word.starts_with('~')) => Some("a home directory"),
        () => None,
    }
}

/// Names the placeholders that EFM does not know for this property, though for others it may.
fn foreign_placeholders<'a>(arguments: &[&'a str], expected: &Expected<'_>) -> Vec<&'a str> {
    let is_placeholder = |word: &&&str| {
        let mut bytes = word.bytes();
        bytes.next() == Some(b'%') && word.len() == 2 && bytes.all(|byte| byte.is_ascii_alphabetic())
    };
    let known = [expected.node, expected.optional];
    arguments.iter().filter(is_placeholder).filter(|word| !known.contains(*word)).copied().collect()
}

/// Puts into the placeholders' place what EFM might put there: an address that is for examples only.
fn rehearsed(arguments: &[&str]) -> Vec<String> {
    let value = |word: &&str| {
        let word = word.replace("%h", "192.0.2.1").replace("%p", "192.0.2.1").replace("%f", "192.0.2.2");
        word.replace("%t", "s")
    };
    arguments.iter().map(value).collect()
}

/// Shows a word; of a variable its name only, for the value may be a password.
fn shown<'a>(word: &&'a str) -> &'a str {
    word.split_once('=').map_or(*word, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::doctor::finding::Severity;

    const ATTACH: Expected<'_> = Expected {
        key: "attach",
        verb: "attach",
        node: "%h",
        optional: "%t",
        line: "attach=/usr/bin/pcpctl attach %h %t",
    };

    fn judged(value: &str) -> String {
        let host = Host {
            program: Path::new("/usr/bin/pcpctl"),
            is_program: &|path| path.starts_with("/usr/bin"),
            rehearse: &|words| match words.iter().any(|word| word == "--bad") {
                true => Err(format!("no option --bad in {}", words.join(" "))),
                false => Ok(()),
            },
        };
        let findings = judge(value, &ATTACH, &host);
        assert!(findings.iter().all(|f| !f.severity.is_to_be_mended() || f.lines == [ATTACH.line]), "{findings:?}");
        let shown = findings.iter().map(|f| format!("{} {}", f.severity.word(), f.seen));
        shown.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn every_mistake_in_a_line_is_named() {
        for (value, expected) in [
            ("/usr/bin/pcpctl attach %h %t", "OK attach is as it should be"),
            ("/usr/bin/pcpctl attach --profile a %h:5444 %t", "OK attach is as it should be"),
            ("/usr/bin/pcpctl attach %h", "NOTE attach has no %t"),
            ("/usr/bin/pcpctl detach %h %t", "CRITICAL attach runs pcpctl detach, not attach"),
            ("/usr/bin/pcpctl", "CRITICAL attach runs pcpctl nothing, not attach"),
            ("pcpctl attach %h %t", "CRITICAL attach runs pcpctl by a relative path"),
            ("/opt/pcpctl attach %h %t", "CRITICAL attach runs /opt/pcpctl, which is no program on this host"),
            ("/usr/bin/x/pcpctl attach %h %t", "NOTE attach runs /usr/bin/x/pcpctl; this is /usr/bin/pcpctl"),
            ("/x/load_balancer_attach.sh %h", "WARNING attach runs /x/load_balancer_attach.sh, not pcpctl"),
            ("/usr/bin/pcpctl attach %t", "CRITICAL attach has no %h"),
            ("/usr/bin/pcpctl attach %h %t %a", "CRITICAL attach has %a"),
            ("/usr/bin/sudo /usr/bin/pcpctl attach %h %t", "WARNING attach has /usr/bin/sudo before pcpctl"),
            (
                "/usr/bin/pcpctl attach --bad %h %t",
                "CRITICAL attach fails before it calls Pgpool: no option --bad in attach --bad 192.0.2.1 s",
            ),
        ] {
            assert_eq!(judged(value), expected, "{value}");
        }
        for value in ["PCP_PASSWORD=hunter2 /usr/bin/pcpctl attach %h %t", "PGPASSWORD=hunter2 /x/script.sh %h"] {
            assert!(judged(value).contains("PASSWORD") && !judged(value).contains("hunter2"), "{}", judged(value));
        }
        for (value, expected) in [
            ("\"/usr/bin/pcpctl\" attach %h %t", "CRITICAL attach holds quotes"),
            ("/usr/bin/pcpctl attach %h %t | logger", "a pipe"),
            ("/usr/bin/pcpctl attach %h %t 2>&1", "a redirection"),
            ("/usr/bin/pcpctl attach %h %t; true", "a list of commands"),
            ("/usr/bin/pcpctl attach -h $HOST %h %t", "an expansion"),
            ("PCP_USER=a /usr/bin/pcpctl attach %h %t", "a variable in front"),
            ("/usr/bin/pcpctl attach --passfile ~/.pcppass %h %t", "a home directory"),
        ] {
            assert!(judged(value).contains(expected), "{value}: {}", judged(value));
        }
    }

    #[test]
    fn nothing_is_noted_as_a_thing_to_mend() {
        assert!(!Severity::Note.is_to_be_mended() && Severity::Warning.is_to_be_mended());
    }
}
