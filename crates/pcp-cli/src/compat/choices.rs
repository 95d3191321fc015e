//! What the environment says of how links behave.

use super::end::ExitCodes;
use super::form::Form;
use crate::settings::Env;

/// What is chosen beside the command line, which belongs to the tools.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Choices {
    /// `PCPCTL_COMPAT`: the release whose tools are imitated. Unless it is given, the server's answer tells.
    pub(super) form: Option<Form>,
    /// `PCPCTL_COMPAT_EXIT`
    pub(super) exit_codes: ExitCodes,
    /// `PCPCTL_COMPAT_VERIFY`
    pub(super) verify: Verify,
}

/// Whether a change is read back before it is said to be done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Verify {
    #[default]
    On,
    Off,
}

impl Choices {
    /// Reads the variables; one that is empty is not set. Else names the one that makes no sense.
    pub(super) fn from_env(env: Env<'_>) -> Result<Self, String> {
        Ok(Self {
            form: variable(env, "PCPCTL_COMPAT", "a release of Pgpool-II from 3.5 to 4.7, such as 4.1", |text| {
                text.parse().ok()
            })?,
            exit_codes: variable(env, "PCPCTL_COMPAT_EXIT", "\"legacy\" or \"truthful\"", |text| match text {
                "legacy" => Some(ExitCodes::Legacy),
                "truthful" => Some(ExitCodes::Truthful),
                _ => None,
            })?
            .unwrap_or_default(),
            verify: variable(env, "PCPCTL_COMPAT_VERIFY", "\"on\" or \"off\"", |text| match text {
                "on" => Some(Verify::On),
                "off" => Some(Verify::Off),
                _ => None,
            })?
            .unwrap_or_default(),
        })
    }
}

fn variable<T>(
    env: Env<'_>,
    name: &str,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    let Some(value) = env(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let value = value.to_string_lossy();
    let read = read(&value);
    read.map(Some)
        .ok_or_else(|| format!("the environment variable {name} holds \"{value}\", which is not {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_named() {
        let choose = |name: &'static str, value: &'static str| {
            Choices::from_env(&move |asked| (asked == name).then(|| value.into()))
        };
        assert_eq!(choose("PCPCTL_COMPAT", "").unwrap(), Choices::default());
        assert_eq!(choose("PCPCTL_COMPAT", "4.1").unwrap().form, "4.1".parse().ok());
        assert_eq!(choose("PCPCTL_COMPAT_EXIT", "legacy").unwrap().exit_codes, ExitCodes::Legacy);
        assert_eq!(choose("PCPCTL_COMPAT_VERIFY", "off").unwrap().verify, Verify::Off);
        for (name, value) in [("PCPCTL_COMPAT", "5"), ("PCPCTL_COMPAT_EXIT", "1"), ("PCPCTL_COMPAT_VERIFY", "no")] {
            let error = choose(name, value).unwrap_err();
            assert!(error.starts_with(&format!("the environment variable {name} holds \"{value}\"")), "{error}");
        }
    }
}
