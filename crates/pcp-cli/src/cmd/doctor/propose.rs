//! The lines for EFM's properties that go with the settings found.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::settings::{Layer, PasswordSource};

/// Where the guide has the password file of hooks.
const PASSFILE: &str = "/var/efm/.pcppass";

/// The lines of hooks, and what goes into them.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// The absolute path of this program.
    pub(super) program: String,
    options: Vec<String>,
    pub(super) attach: String,
    pub(super) detach: String,
    /// How long a monitor takes at most, where its line does not say.
    pub(super) monitor_limit: Duration,
}

/// Where the settings are that a hook is to have.
pub(super) struct Sources<'a> {
    /// The configuration file, where it is not the default one.
    pub(super) config: Option<&'a Path>,
    pub(super) profile: Option<&'a str>,
    /// What this command works with.
    pub(super) here: &'a Layer,
    /// What a hook finds without options and environment.
    pub(super) hook: &'a Layer,
}

impl Lines {
    pub(super) fn new(program: &Path, sources: &Sources<'_>, monitor_limit: Duration) -> Self {
        let program = program.display().to_string();
        let options = sources.options();
        let mut lines = Self { program, options, attach: String::new(), detach: String::new(), monitor_limit };
        lines.attach = lines.load_balancer("attach");
        lines.detach = lines.load_balancer("detach");
        lines
    }

    /// Returns the options that every hook needs, with a blank behind each.
    pub(super) fn options(&self) -> String {
        let mut options = String::new();
        for option in &self.options {
            // Writing to a string cannot fail.
            let _ = write!(options, "{option} ");
        }
        options
    }

    /// Returns every line to write.
    pub(super) fn all(&self) -> [&str; 4] {
        [&self.attach, &self.detach, "# since EFM 4.2", "detach.on.agent.failure=false"]
    }

    /// Tells whether a word holds a blank, which EFM takes for the end of the word.
    pub(super) fn has_blank_in_word(&self) -> bool {
        std::iter::once(&self.program).chain(&self.options).any(|word| word.contains(char::is_whitespace))
    }

    fn load_balancer(&self, verb: &str) -> String {
        format!("script.load.balancer.{verb}={} {verb} {}%h %t", self.program, self.options())
    }
}

impl Sources<'_> {
    /// Lists what a hook would not know otherwise.
    fn options(&self) -> Vec<String> {
        let Self { here, hook, .. } = self;
        let mut options = Vec::new();
        let mut add = |name: &str, value: String| options.extend([name.to_owned(), value]);
        if let Some(config) = self.config {
            add("--config", absolute(config));
        }
        if let Some(profile) = self.profile {
            add("--profile", profile.to_owned());
        }
        if let Some(pgpools) = here.pgpools.as_ref().filter(|_| here.pgpools != hook.pgpools) {
            add("-h", pgpools.join(","));
        }
        if let Some(port) = here.port.filter(|_| here.port != hook.port) {
            add("-p", port.to_string());
        }
        if let Some(user) = here.user.as_ref().filter(|_| here.user != hook.user) {
            add("-U", user.clone());
        }
        if let Some(port) = here.backend_port.filter(|_| here.backend_port != hook.backend_port) {
            add("--backend-port", port.to_string());
        }
        if hook.password_source().is_none() {
            match here.password_source() {
                Some(PasswordSource::Passfile(path)) => add("--passfile", absolute(&path)),
                Some(PasswordSource::File(path)) => add("--password-file", absolute(&path)),
                Some(PasswordSource::Given(_)) | None => add("--passfile", PASSFILE.to_owned()),
            }
        }
        options
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(sources: &Sources<'_>) -> String {
        Lines::new(Path::new("/usr/bin/pcpctl"), sources, Duration::from_secs(30)).detach
    }

    #[test]
    fn a_line_says_what_the_configuration_does_not() {
        let with = |layer: &Layer, change: fn(&mut Layer)| {
            let mut layer = layer.clone();
            change(&mut layer);
            layer
        };
        let nothing = Layer::default();
        let hook = with(&nothing, |layer| {
            layer.pgpools = Some(vec!["pgpool1".to_owned()]);
            layer.user = Some("pcpadmin".to_owned());
            layer.passfile = Some("/var/efm/.pcppass".into());
        });
        let sources = |here, hook| Sources { config: None, profile: None, here, hook };
        let plain = "script.load.balancer.detach=/usr/bin/pcpctl detach %h %t";
        assert_eq!(lines(&sources(&hook, &hook)), plain);
        let here = with(&hook, |layer| {
            layer.pgpools = Some(vec!["pgpool1".to_owned(), "pgpool2".to_owned()]);
            layer.port = Some(9899);
        });
        assert_eq!(
            lines(&sources(&here, &hook)),
            "script.load.balancer.detach=/usr/bin/pcpctl detach -h pgpool1,pgpool2 -p 9899 %h %t"
        );
        assert_eq!(
            lines(&Sources {
                config: Some(Path::new("/x.toml")),
                profile: Some("a"),
                here: &nothing,
                hook: &nothing
            }),
            "script.load.balancer.detach=/usr/bin/pcpctl detach --config /x.toml --profile a --passfile \
             /var/efm/.pcppass %h %t"
        );
        let named = with(&hook, |layer| layer.backend_port = Some(5444));
        assert_eq!(
            lines(&sources(&named, &nothing)),
            "script.load.balancer.detach=/usr/bin/pcpctl detach -h pgpool1 -U pcpadmin --backend-port 5444 \
             --passfile /var/efm/.pcppass %h %t"
        );
    }
}
