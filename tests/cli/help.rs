//! The help of every command, against the files of `help/`; `SNAPSHOTS=overwrite` writes them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::error::ErrorKind;
use snapbox::{Assert, Data};

use crate::support::bare;

/// A command by its words, `["show", "nodes"]`; the program itself has none.
type Words = Vec<String>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/help")
}

/// Lists the program and every command below it, whatever there comes to be.
fn commands() -> Vec<Words> {
    fn below(command: &clap::Command, words: &Words, all: &mut Vec<Words>) {
        all.push(words.clone());
        for inner in command.get_subcommands() {
            below(inner, &[&words[..], &[inner.get_name().to_owned()]].concat(), all);
        }
    }
    let mut all = Vec::new();
    below(&pcp_cli::command(), &Words::new(), &mut all);
    all
}

fn help_of(words: &Words) -> Result<String> {
    let output = bare(&words.iter().map(String::as_str).chain(["--help"]).collect::<Vec<_>>()).run()?;
    assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{words:?}");
    Ok(output.stdout)
}

#[test]
fn the_help_of_every_command_is_on_record() -> Result<()> {
    let assert = Assert::new().action_env("SNAPSHOTS");
    let mut files = BTreeSet::new();
    for words in commands() {
        let file = format!("{}.txt", [&["pcpctl".to_owned()], &words[..]].concat().join("-"));
        assert.eq(help_of(&words)?, Data::read_from(&folder().join(&file), None));
        files.insert(file);
    }
    let entries = fs::read_dir(folder())?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    assert_eq!(entries.collect::<Result<BTreeSet<_>>>()?, files, "commands that are no more");
    assert!(files.len() > 40, "{files:?}");
    Ok(())
}

/// An example that is refused teaches the wrong thing.
#[test]
fn every_help_has_examples_and_all_of_them_can_be_typed() -> Result<()> {
    for words in commands() {
        let help = help_of(&words)?;
        let name = words.join(" ");
        let (_, examples) = help.split_once("\nExamples:\n").with_context(|| format!("{name} has none"))?;
        let lines: Vec<_> = examples.lines().take_while(|line| line.starts_with("  ")).collect();
        let of_this = lines.iter().any(|line| line.contains(&format!("pcpctl {name}")));
        assert!(of_this, "{name}: {lines:?}");
        // `help` is no command of ours, and the definition that is listed here is without it.
        let typed = lines.iter().filter_map(|line| arguments(line));
        for typed in typed.filter(|typed| typed.get(1).is_none_or(|verb| verb != "help")) {
            match pcp_cli::command().try_get_matches_from(&typed) {
                Err(error) if error.kind() != ErrorKind::DisplayHelp => panic!("{name}: {typed:?}: {error}"),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Cuts the words of `pcpctl` out of a line of a shell or of a configuration file: behind two blanks is what it means.
fn arguments(line: &str) -> Option<Vec<String>> {
    let start = line.find("pcpctl ")?;
    let line = line.get(start..)?;
    let mut words = vec![String::new()];
    let mut quoted = false;
    let mut last = ' ';
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            '|' | '>' | '<' | ';' if !quoted => break,
            ' ' if !quoted && last == ' ' => break,
            ' ' if !quoted => words.push(String::new()),
            letter => words.last_mut()?.push(letter),
        }
        last = letter;
    }
    // What Pgpool puts in.
    let put_in = |word: String| match &*word {
        "%d" => "2".to_owned(),
        "%P" => "0".to_owned(),
        "%m" => "1".to_owned(),
        _ => word,
    };
    Some(words.into_iter().filter(|word| !word.is_empty()).map(put_in).collect())
}
