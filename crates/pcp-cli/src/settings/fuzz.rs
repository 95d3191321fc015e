//! What fuzzing checks of the files that settings come from.

#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a property reports that it does not hold")]

use super::layer::Layer;
use super::properties::{self, Property};
use super::{endpoints, file};

/// Checks that a configuration file is read, or refused in one line that names a line of it and no password.
pub fn config_file(data: &[u8]) {
    const PASSWORD: &str = "correct-horse-battery-staple";
    match file::parse(data) {
        Ok(layer) => {
            let shown = |layer: &Layer| format!("{layer:?}");
            let mut top = layer.clone();
            for (_, profile) in std::mem::take(&mut top.profile) {
                assert_eq!(shown(&profile.clone().over(Layer::default())), shown(&profile));
                endpoints(profile.over(top.clone()).pgpools, Some(1))
                    .expect("hosts are checked where they are read");
            }
            assert_eq!(shown(&layer.over(Layer::default())), shown(&top));
        }
        Err(error) => check_error(data, &error),
    }
    if String::from_utf8_lossy(data).contains(PASSWORD) {
        return;
    }
    let refused = file::parse(&[data, b"\npassword = \"", PASSWORD.as_bytes(), b"\"\n"].concat()).err();
    if let Some((_, reason)) = refused {
        assert!(!reason.contains(PASSWORD), "{reason}");
    }
}

/// Checks that EFM's properties read back from how they would be written, and that a wrong one is named with its line.
pub fn efm_properties(data: &[u8]) {
    let read = properties::parse(&String::from_utf8_lossy(data));
    let written: String =
        read.iter().map(|property| escape(&property.key) + "=" + &escape(&property.value) + "\n").collect();
    let again = properties::parse(&written);
    let pair = |property: &Property| (property.key.clone(), property.value.clone());
    assert!(again.iter().map(pair).eq(read.iter().map(pair)), "{read:?} reads back as {again:?}");
    assert!(again.iter().map(|property| property.line).eq(1..=read.len()));
    match properties::layer(data) {
        Ok(layer) => drop(endpoints(layer.pgpools, Some(1)).expect("hosts are checked where they are read")),
        Err(error) => check_error(data, &error),
    }
}

fn check_error(data: &[u8], (line, reason): &(usize, String)) {
    let text = String::from_utf8_lossy(data).replace("\r\n", "\n").replace('\r', "\n");
    assert!((1..=text.split('\n').count()).contains(line), "line {line}: {reason}");
    assert!(!reason.is_empty() && !reason.contains('\n'), "{reason:?}");
}

fn escape(text: &str) -> String {
    let escaped = |c| match c {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        ' ' | '=' | ':' | '#' | '!' | '\\' => format!("\\{c}"),
        c => format!("{c}"),
    };
    text.chars().map(escaped).collect()
}
