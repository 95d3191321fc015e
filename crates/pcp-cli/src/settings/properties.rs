//! EFM's own properties, as far as they say how to reach Pgpool: a Java properties file.
//!
//! Nothing but its keys can be wrong with such a file: what Java would refuse is read as far as it makes sense, for
//! EFM has read the file before us.

use std::path::Path;

use super::{ConfigError, Layer, file};

/// Reads the keys that concern Pgpool, as the last of the layers that settings come from.
pub(super) fn read(path: &Path) -> Result<Layer, ConfigError> {
    layer(&file::read(path)?).map_err(|(line, reason)| ConfigError::at(path, line, reason))
}

/// Reads every property, in the order of the file.
pub(crate) fn read_all(path: &Path) -> Result<Vec<Property>, ConfigError> {
    Ok(parse(&String::from_utf8_lossy(&file::read(path)?)))
}

/// Takes from the text of the file what concerns Pgpool. An error has the number of its line.
pub(super) fn layer(contents: &[u8]) -> Result<Layer, (usize, String)> {
    let mut layer = Layer::default();
    for Property { line, key, value } in parse(&String::from_utf8_lossy(contents)) {
        let value = value.trim();
        if value.is_empty() {
            continue;
        }
        let port = || match value.parse() {
            Ok(port @ 1..) => Ok(Some(port)),
            _ => Err((line, format!("{key} is \"{}\", which is not a port", one_line(value)))),
        };
        match &*key {
            "pcp.user" => layer.user = Some(value.to_owned()),
            "pcp.host" => {
                file::check_host(value).map_err(|reason| (line, format!("{key}: {}", one_line(&reason))))?;
                layer.pgpools = Some(vec![value.to_owned()]);
            }
            "pcp.port" => layer.port = port()?,
            "pcp.pass.file" => layer.passfile = Some(value.into()),
            "db.port" => layer.backend_port = port()?,
            _ => {}
        }
    }
    Ok(layer)
}

/// A key with its value, and the number of the line on which it begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Property {
    pub(crate) line: usize,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Reads Java properties: `=`, `:` or blanks between key and value, `#` and `!` before comments, a backslash before a
/// line feed joins lines, `\uXXXX` stands for a character.
pub(crate) fn parse(text: &str) -> Vec<Property> {
    let lines = logical_lines(&text.replace("\r\n", "\n").replace('\r', "\n"));
    lines
        .into_iter()
        .map(|(line, text)| {
            let (key, value) = cut(&text);
            Property { line, key: unescape(key), value: unescape(value) }
        })
        .collect()
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// Joins continued lines, and drops comments and empty lines.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(text.split('\n')) {
        let line = line.trim_start_matches(BLANKS);
        let (start, mut joined) = match open.take() {
            Some(open) => open,
            None if line.is_empty() || line.starts_with(['#', '!']) => continue,
            None => (number, String::new()),
        };
        let backslashes = line.bytes().rev().take_while(|&byte| byte == b'\\').count();
        match line.strip_suffix('\\').filter(|_| backslashes % 2 == 1) {
            Some(line) => {
                joined.push_str(line);
                open = Some((start, joined));
            }
            None => {
                joined.push_str(line);
                lines.push((start, joined));
            }
        }
    }
    lines.extend(open);
    lines
}

/// Cuts a line into key and value, both still escaped.
fn cut(line: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let is_end = |c: char| {
        let is_end = !is_escaped && (BLANKS.contains(&c) || matches!(c, '=' | ':'));
        is_escaped = !is_escaped && c == '\\';
        is_end
    };
    let (key, rest) = line.find(is_end).and_then(|end| line.split_at_checked(end)).unwrap_or((line, ""));
    let rest = rest.trim_start_matches(BLANKS);
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(BLANKS))
}

fn unescape(text: &str) -> String {
    // Java writes characters beyond U+FFFF as two halves.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let c = match (c, (c == '\\').then(|| rest.next()).flatten()) {
            (_, Some('t')) => '\t',
            (_, Some('n')) => '\n',
            (_, Some('r')) => '\r',
            (_, Some('f')) => '\u{c}',
            (_, Some('u')) => match code_unit(rest.as_str()) {
                Some((unit, behind)) => {
                    units.push(unit);
                    rest = behind.chars();
                    continue;
                }
                None => 'u',
            },
            (_, Some(escaped)) => escaped,
            (c, None) => c,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

/// Reads four hexadecimal digits.
fn code_unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((u16::from_str_radix(digits, 16).ok().filter(|_| are_digits)?, rest))
}

/// Shows a value, which may hold line breaks, in one line.
fn one_line(text: &str) -> String {
    text.replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let found = parse(text);
        let found: Vec<_> = found.iter().map(|property| (&*property.key, &*property.value)).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn properties_are_read_as_java_reads_them() {
        check("a=1\nb:2\nc 3\n d\t=\t4 \n", &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4 ")]);
        check("# a=1\n ! b=2\n\n\r\na=#1\r\nb=!2\rc=3", &[("a", "#1"), ("b", "!2"), ("c", "3")]);
        check("a=1,\\\n   2\\\\\nb=3", &[("a", "1,2\\"), ("b", "3")]);
        check("a\\ b\\=c=d\\:e", &[("a b=c", "d:e")]);
        check("k\\u00e9y=\\ud83d\\ude00\\t\\q", &[("kéy", "😀\tq")]);
        check("a\nb=\n=c\na==b", &[("a", ""), ("b", ""), ("", "c"), ("a", "=b")]);
    }

    #[test]
    fn what_java_refuses_is_read_as_far_as_it_goes() {
        check("a=\\uXYZ\nb=\\u12", &[("a", "uXYZ"), ("b", "u12")]);
        check("a=\\ud83d!\nb=1\\", &[("a", "\u{fffd}!"), ("b", "1")]);
        check("a=\\u+123", &[("a", "u+123")]);
    }

    #[test]
    fn the_keys_of_pgpool_are_taken_and_others_are_not() {
        let text = b"db.user=efm\ndb.port = 5444\npcp.user=pcpadmin\npcp.host=10.0.0.100\npcp.port=9899\n\
            pcp.pass.file=/var/efm/.pcppass\nuser.email=j\xf6rg@example.com\npgpool.bin=\n";
        let layer = layer(text).unwrap();
        assert_eq!(
            (layer.user.as_deref(), layer.port, layer.backend_port),
            (Some("pcpadmin"), Some(9899), Some(5444))
        );
        assert_eq!(layer.pgpools.unwrap(), ["10.0.0.100"]);
        assert_eq!(layer.passfile, Some("/var/efm/.pcppass".into()));
    }

    #[test]
    fn what_is_empty_is_not_set_and_what_is_wrong_is_named() {
        assert!(layer(b"pcp.host=\npcp.port= \npcp.user=").unwrap().pgpools.is_none());
        assert_eq!(layer(b"\npcp.port=x").unwrap_err(), (2, "pcp.port is \"x\", which is not a port".to_owned()));
        let two_lines = layer(b"pcp.port=x\\ny").unwrap_err();
        assert!(!layer(b"pcp.host=a\\nb c").unwrap_err().1.contains('\n'));
        assert_eq!(two_lines, (1, "pcp.port is \"x\\ny\", which is not a port".to_owned()));
        assert!(layer(b"db.port=0").is_err());
        assert_eq!(layer(b"pcp.host=a b").unwrap_err().0, 1);
    }
}
