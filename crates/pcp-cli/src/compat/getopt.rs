//! Reading options as glibc's `getopt_long` does: short options in one word, values in the same word or the next one,
//! abbreviated long options, operands anywhere. The complaints are glibc's as well.

use std::collections::VecDeque;

/// A long option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Long {
    /// Its name, without the dashes.
    pub(super) name: &'static str,
    pub(super) value: Value,
    /// What it is returned as.
    pub(super) short: char,
}

/// Whether an option has a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Value {
    None,
    Required,
}

/// Where options may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    /// Among the operands.
    Anywhere,
    /// Before the first operand: what `POSIXLY_CORRECT` asks for.
    First,
}

/// A command line that is read option by option. Where it ends, the operands are left.
#[derive(Debug)]
pub(super) struct GetOpt<'a> {
    program: &'a str,
    short: &'a str,
    long: Vec<Long>,
    order: Order,
    rest: VecDeque<String>,
    /// What is left of a word with several short options.
    cluster: String,
    operands: Vec<String>,
}

/// An option and its value; or what is wrong, in one line.
pub(super) type Item = Result<(char, Option<String>), String>;

impl<'a> GetOpt<'a> {
    /// Takes the words behind the program's name. `short` holds the letters of the short options, with a colon behind
    /// those that have a value.
    pub(super) fn new(
        program: &'a str,
        words: impl IntoIterator<Item = String>,
        short: &'a str,
        long: impl Iterator<Item = Long>,
        order: Order,
    ) -> Self {
        Self {
            program,
            short,
            long: long.collect(),
            order,
            rest: words.into_iter().collect(),
            cluster: String::new(),
            operands: Vec::new(),
        }
    }

    /// Returns what is no option. Only after the last option is this all of them.
    pub(super) fn into_operands(self) -> Vec<String> {
        self.operands
    }

    fn short_option(&mut self) -> Option<Item> {
        let mut letters = self.cluster.chars();
        let letter = letters.next()?;
        let behind = letters.as_str().to_owned();
        self.cluster.clear();
        Some(match self.value_of(letter) {
            None => {
                self.cluster = behind;
                Err(format!("{}: invalid option -- '{letter}'", self.program))
            }
            Some(Value::None) => {
                self.cluster = behind;
                Ok((letter, None))
            }
            Some(Value::Required) if !behind.is_empty() => Ok((letter, Some(behind))),
            Some(Value::Required) => match self.rest.pop_front() {
                Some(value) => Ok((letter, Some(value))),
                None => Err(format!("{}: option requires an argument -- '{letter}'", self.program)),
            },
        })
    }

    fn value_of(&self, letter: char) -> Option<Value> {
        let mut letters = self.short.chars().skip_while(|&known| known != letter || known == ':');
        letters.next()?;
        Some(if letters.next() == Some(':') { Value::Required } else { Value::None })
    }

    fn long_option(&mut self, text: &str) -> Item {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let option = self.named(name, text)?;
        let program = self.program;
        let complain = |what| Err(format!("{program}: option '--{}' {what}", option.name));
        match (option.value, value) {
            (Value::None, Some(_)) => complain("doesn't allow an argument"),
            (Value::None, None) => Ok((option.short, None)),
            (Value::Required, Some(value)) => Ok((option.short, Some(value.to_owned()))),
            (Value::Required, None) => match self.rest.pop_front() {
                Some(value) => Ok((option.short, Some(value))),
                None => complain("requires an argument"),
            },
        }
    }

    /// Finds the option with this name, or the one that the name is the beginning of. Several are no matter where they
    /// are the same but for their names.
    fn named(&self, name: &str, text: &str) -> Result<Long, String> {
        if let Some(exact) = self.long.iter().find(|option| option.name == name) {
            return Ok(*exact);
        }
        let mut begin_so = self.long.iter().filter(|option| option.name.starts_with(name));
        let Some(first) = begin_so.next() else {
            return Err(format!("{}: unrecognized option '--{text}'", self.program));
        };
        let others: Vec<_> =
            begin_so.filter(|other| (other.value, other.short) != (first.value, first.short)).collect();
        if others.is_empty() {
            return Ok(*first);
        }
        let candidates = [first].into_iter().chain(others).map(|option| format!(" '--{}'", option.name));
        let candidates: String = candidates.collect();
        Err(format!("{}: option '--{text}' is ambiguous; possibilities:{candidates}", self.program))
    }
}

impl Iterator for GetOpt<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if !self.cluster.is_empty() {
            return self.short_option();
        }
        loop {
            let word = self.rest.pop_front()?;
            match word.strip_prefix('-') {
                Some("-") => self.operands.extend(self.rest.drain(..)),
                None | Some("") => {
                    self.operands.push(word);
                    if self.order == Order::First {
                        self.operands.extend(self.rest.drain(..));
                    }
                }
                Some(option) => {
                    return match option.strip_prefix('-') {
                        Some(long) => Some(self.long_option(long)),
                        None => {
                            self.cluster = option.to_owned();
                            self.short_option()
                        }
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: [Long; 6] = [
        Long { name: "help", value: Value::None, short: '?' },
        Long { name: "host", value: Value::Required, short: 'h' },
        Long { name: "verbose", value: Value::None, short: 'v' },
        Long { name: "version", value: Value::None, short: 'V' },
        Long { name: "node-id", value: Value::Required, short: 'n' },
        Long { name: "node-number", value: Value::Required, short: 'n' },
    ];

    /// Reads words that are separated by blanks.
    fn read(line: &str, order: Order) -> (Vec<Item>, Vec<String>) {
        let words = line.split_whitespace().map(str::to_owned);
        let mut options = GetOpt::new("prog", words, "n:h:vd", LONG.into_iter(), order);
        let items = options.by_ref().collect();
        (items, options.into_operands())
    }

    fn ok(letter: char, value: &str) -> Item {
        Ok((letter, (!value.is_empty()).then(|| value.to_owned())))
    }

    #[test]
    fn options_are_read_in_every_form() {
        for (line, items, operands) in [
            ("-n 1 -v", vec![ok('n', "1"), ok('v', "")], vec![]),
            ("-n1 -vd", vec![ok('n', "1"), ok('v', ""), ok('d', "")], vec![]),
            ("-vn 1", vec![ok('v', ""), ok('n', "1")], vec![]),
            ("-n -1", vec![ok('n', "-1")], vec![]),
            ("-h -- x", vec![ok('h', "--")], vec!["x"]),
            ("a -v b", vec![ok('v', "")], vec!["a", "b"]),
            ("-v -- -d", vec![ok('v', "")], vec!["-d"]),
            ("- -v", vec![ok('v', "")], vec!["-"]),
            ("--host=a --host b", vec![ok('h', "a"), ok('h', "b")], vec![]),
            ("--verb", vec![ok('v', "")], vec![]),
            ("--node 1 --node-i=2", vec![ok('n', "1"), ok('n', "2")], vec![]),
        ] {
            let expected = (items, operands.into_iter().map(str::to_owned).collect());
            assert_eq!(read(line, Order::Anywhere), expected, "{line}");
        }
        let (items, operands) = read("-v a -d", Order::First);
        assert_eq!((items, operands), (vec![ok('v', "")], vec!["a".to_owned(), "-d".to_owned()]));
    }

    #[test]
    fn complaints_are_those_of_glibc() {
        for (line, complaint) in [
            ("-z", "prog: invalid option -- 'z'"),
            ("-:", "prog: invalid option -- ':'"),
            ("-?", "prog: invalid option -- '?'"),
            ("-n", "prog: option requires an argument -- 'n'"),
            ("--n", "prog: option '--n' requires an argument"),
            ("--node-id", "prog: option '--node-id' requires an argument"),
            ("--verbose=1", "prog: option '--verbose' doesn't allow an argument"),
            ("--h=x", "prog: option '--h=x' is ambiguous; possibilities: '--help' '--host'"),
            ("--ver", "prog: option '--ver' is ambiguous; possibilities: '--verbose' '--version'"),
            ("--foo=1", "prog: unrecognized option '--foo=1'"),
        ] {
            let (items, _) = read(line, Order::Anywhere);
            let first = items.into_iter().next().unwrap();
            // An abbreviation is complained of under its full name.
            assert_eq!(first, Err(complaint.replace("'--n' requires", "'--node-id' requires")), "{line}");
        }
    }
}
