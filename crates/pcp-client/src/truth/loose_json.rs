//! Reads JSON, and what is almost JSON as EFM's documentation prints it: missing commas, strings that swallowed
//! their colon and their value, bare words, text around it.

use std::fmt;

/// How deep values may lie in one another.
const DEPTH: usize = 16;

/// A value. Numbers and words are text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Value {
    Text(String),
    List(Vec<Self>),
    /// In the order of the text, with repetitions.
    Object(Vec<(String, Self)>),
}

/// Where text cannot be read, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) reason: &'static str,
}

/// Reads the object that begins at the first `{` that stands first on its line; where there is none, at the first
/// `{`. What follows the object is not looked at.
pub(crate) fn read_object(text: &str) -> Result<Vec<(String, Value)>, Problem> {
    let begins = |line: &&str| line.trim_start().starts_with('{');
    let line = text.lines().find(begins).map(|line| offset_in(text, line));
    let start = line.or_else(|| text.find('{')).unwrap_or(text.len());
    let mut reader = Reader { text, rest: text.get(start..).unwrap_or_default(), depth: 0 };
    reader.skip_blanks();
    match reader.peek() {
        Some('{') => reader.object(),
        _ => Err(reader.problem("there is no { that begins an object")),
    }
}

impl Value {
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.reason)
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Value, Problem> {
        self.skip_blanks();
        match self.peek() {
            Some('{') => self.object().map(Value::Object),
            Some('[') => self.list().map(Value::List),
            Some('"') => self.string().map(Value::Text),
            Some(c) if is_bare(c) => Ok(Value::Text(self.bare_word().to_owned())),
            Some(_) => Err(self.problem("a value should stand here")),
            None => Err(self.problem("the text ends before the object does")),
        }
    }

    fn object(&mut self) -> Result<Vec<(String, Value)>, Problem> {
        let mut members = Vec::new();
        self.enter()?;
        while !self.ends_with('}')? {
            let key = match self.peek() {
                Some('"') => self.string()?,
                Some(c) if is_bare(c) => self.bare_word().to_owned(),
                _ => return Err(self.problem("a name should stand here")),
            };
            self.skip_blanks();
            if self.take(':') {
                members.push((key, self.value()?));
            } else if let Some((key, value)) = key.split_once(':') {
                // "vip_active  :   false"
                members.push((key.trim().to_owned(), Value::Text(value.trim().to_owned())));
            } else {
                return Err(self.problem("a colon should stand here"));
            }
        }
        self.depth -= 1;
        Ok(members)
    }

    fn list(&mut self) -> Result<Vec<Value>, Problem> {
        let mut values = Vec::new();
        self.enter()?;
        while !self.ends_with(']')? {
            values.push(self.value()?);
        }
        self.depth -= 1;
        Ok(values)
    }

    /// Takes the bracket that opens.
    fn enter(&mut self) -> Result<(), Problem> {
        if self.depth == DEPTH {
            return Err(self.problem("values lie too deep in one another"));
        }
        self.depth += 1;
        self.rest = self.rest.get(1..).unwrap_or_default();
        Ok(())
    }

    /// Passes over commas; where then the closing bracket stands, takes it.
    fn ends_with(&mut self, bracket: char) -> Result<bool, Problem> {
        self.skip_blanks();
        while self.take(',') {
            self.skip_blanks();
        }
        match self.peek() {
            None => Err(self.problem("the text ends before the object does")),
            _ => Ok(self.take(bracket)),
        }
    }

    /// Takes a string, which no line break may interrupt: a quote that is missing would swallow all that follows.
    fn string(&mut self) -> Result<String, Problem> {
        let mut escaped = false;
        let is_end = |c: char| {
            let ends = c == '\n' || (c == '"' && !escaped);
            escaped = c == '\\' && !escaped;
            ends
        };
        let inside = self.rest.get(1..).unwrap_or_default();
        let end = inside.find(is_end).filter(|&end| inside.get(end..).is_some_and(|rest| rest.starts_with('"')));
        let Some(end) = end else { return Err(self.problem("this string does not end on its line")) };
        let (quoted, rest) = self.rest.split_at(end + 2);
        match serde_json::from_str(quoted) {
            Ok(string) => {
                self.rest = rest;
                Ok(string)
            }
            Err(_) => Err(self.problem("this string is not one of JSON")),
        }
    }

    fn bare_word(&mut self) -> &'a str {
        let end = self.rest.find(|c| !is_bare(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn problem(&self, reason: &'static str) -> Problem {
        let before = self.text.get(..offset_in(self.text, self.rest)).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        Problem { line: before.matches('\n').count() + 1, column: line.chars().count() + 1, reason }
    }
}

/// Numbers, `true`, `false`, `null`, and addresses without quotes but for their colons.
fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_' | '/' | '%')
}

/// Returns where a part of a text begins in it.
fn offset_in(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        fn show(value: &Value) -> String {
            match value {
                Value::Text(text) => text.clone(),
                Value::List(values) => format!("[{}]", values.iter().map(show).collect::<Vec<_>>().join(",")),
                Value::Object(members) => {
                    let members: Vec<_> =
                        members.iter().map(|(key, value)| format!("{key}={}", show(value))).collect();
                    format!("{{{}}}", members.join(","))
                }
            }
        }
        read_object(text).map(|members| show(&Value::Object(members))).map_err(|problem| problem.to_string())
    }

    #[test]
    fn json_is_read_and_so_is_what_is_almost_json() {
        for (text, expected) in [
            ("{}", "{}"),
            (r#"{"a":"b\/cé\"","d":[1,-2.5e3,true,null,{}]}"#, "{a=b/cé\",d=[1,-2.5e3,true,null,{}]}"),
            (
                "{\n \"a\" : \"1\"\n \"vip_active  :   false\"\n \"lsnInfo    :\"\n}",
                "{a=1,vip_active=false,lsnInfo=}",
            ),
            ("{a: b, \"c\": d, }", "{a=b,c=d}"),
            ("WARNING {1}\n  {\"a\":1}\nbye {", "{a=1}"),
            ("status: {\"a\":1}", "{a=1}"),
            ("{\"a\":1,\"a\":2}", "{a=1,a=2}"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_place_of_a_problem_is_named() {
        let deep = format!("{{\"a\":{}", "[".repeat(DEPTH));
        for (text, expected) in [
            ("", "line 1, column 1: there is no {"),
            ("Agent is not running\n", "line 2, column 1: there is no {"),
            ("{\"a\":", "line 1, column 6: the text ends"),
            ("{\"a\":1", "line 1, column 7: the text ends"),
            ("{\n  \"a\": \"b\n}", "line 2, column 8: this string does not end on its line"),
            ("{\"a\": \"b\n\"c\": \"d\"}", "line 1, column 7: this string does not end on its line"),
            ("{\n  \"a\" \"b\"}", "line 2, column 7: a colon should stand here"),
            ("{\"a\":}", "line 1, column 6: a value should stand here"),
            ("{\"a\":1]", "line 1, column 7: a name should stand here"),
            ("{\"a\":\"\\x\"}", "line 1, column 6: this string is not one of JSON"),
            (&deep, "line 1, column 21: values lie too deep"),
        ] {
            let problem = shown(text).unwrap_err();
            assert!(problem.starts_with(expected), "{text}: {problem}");
        }
    }
}
