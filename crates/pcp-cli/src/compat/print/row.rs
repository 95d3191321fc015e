//! Rows of named values.

use super::Detail;
use crate::compat::form::Form;

/// A value under its title.
pub(super) type Cell = (&'static str, Vec<u8>);

/// How the lines of one row are written under `-v`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Style {
    /// What stands between title and value.
    pub(super) separator: &'static str,
    /// What stands behind a row.
    pub(super) end: &'static str,
}

impl Style {
    /// Returns the style of the function that all tools share: since 4.1 a blank before the colon, since 4.3 an empty
    /// line behind the row.
    pub(super) fn of(form: Form) -> Self {
        Self {
            separator: if form.is_at_least(4, 1) { " : " } else { ": " },
            end: if form.is_at_least(4, 3) { "\n" } else { "" },
        }
    }
}

/// Appends a row, in one line or in one for each value.
pub(super) fn write(out: &mut Vec<u8>, row: &[Cell], detail: Detail, style: Style) {
    match detail {
        Detail::Brief => {
            let values: Vec<_> = row.iter().map(|(_, value)| value.as_slice()).collect();
            out.extend(values.join(&b' '));
            out.push(b'\n');
        }
        Detail::Verbose => {
            let width = row.iter().map(|(title, _)| title.len()).max().unwrap_or_default();
            for (title, value) in row {
                out.extend(format!("{title:<width$}{}", style.separator).as_bytes());
                out.extend(value);
                out.push(b'\n');
            }
            out.extend(style.end.as_bytes());
        }
    }
}

/// Shows a value.
pub(super) fn shown(value: impl std::fmt::Display) -> Vec<u8> {
    value.to_string().into_bytes()
}
