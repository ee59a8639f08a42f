//! Words, quotes and places of a metric spec, and the identifiers of a metric math expression.

use crate::error::Problem;

/// Characters that end a bare word.
const BREAKS: &[char] = &['{', '}', '=', ',', ';', '"'];

/// A position in a spec.
pub struct Scanner<'a> {
    text: &'a str,
    position: usize,
    at: &'a str,
}

impl<'a> Scanner<'a> {
    /// At the beginning of `text`, which errors call `at`.
    pub fn new(text: &'a str, at: &'a str) -> Self {
        Scanner { text, position: 0, at }
    }

    /// Where the word `where` begins, outside of quotes.
    pub fn find_where(text: &str) -> Option<usize> {
        let mut quote = None;
        let mut before = ' ';
        for (i, c) in text.char_indices() {
            match quote {
                Some(q) if c == q => quote = None,
                Some(_) => {}
                None if c == '"' || c == '\'' => quote = Some(c),
                None => {
                    let rest = text.get(i..).unwrap_or_default();
                    let after = rest.strip_prefix("where").and_then(|r| r.chars().next());
                    if before.is_whitespace() && after.is_some_and(char::is_whitespace) {
                        return Some(i);
                    }
                }
            }
            before = c;
        }
        None
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        self.position += self.rest().len() - self.rest().trim_start().len();
    }

    /// Goes on at a byte.
    pub fn skip_to(&mut self, position: usize) {
        self.position = position;
    }

    /// True when only space is left.
    pub fn at_end(&self) -> bool {
        self.rest().trim().is_empty()
    }

    /// Takes `c` if it is next.
    pub fn take(&mut self, c: char) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(c);
        if found {
            self.position += c.len_utf8();
        }
        found
    }

    /// Takes `c`, or says that it is missing.
    pub fn expect(&mut self, c: char, expected: &str) -> Result<(), Problem> {
        if self.take(c) { Ok(()) } else { Err(self.missing(expected)) }
    }

    /// A bare word, or one in double quotes if it has spaces.
    pub fn word(&mut self, expected: &str) -> Result<String, Problem> {
        self.skip_space();
        if self.rest().starts_with('"') {
            return self.quoted(expected);
        }
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || BREAKS.contains(&c)).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.missing(expected));
        }
        self.position += end;
        Ok(rest.get(..end).unwrap_or_default().to_owned())
    }

    /// Text in double quotes; \" and \\ stand for themselves.
    pub fn quoted(&mut self, expected: &str) -> Result<String, Problem> {
        self.skip_space();
        let missing = self.missing(expected);
        let mut chars = self.rest().char_indices();
        if chars.next().is_none_or(|(_, c)| c != '"') {
            return Err(missing);
        }
        let mut out = String::new();
        let mut escaped = false;
        for (i, c) in chars {
            match c {
                '"' | '\\' if escaped => {
                    out.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' if out.is_empty() => return Err(self.problem("a text that isn't empty", "\"\"")),
                '"' => {
                    self.position += i + 1;
                    return Ok(out);
                }
                _ => out.push(c),
            }
        }
        Err(self.problem("a closing double quote", "the end"))
    }

    fn missing(&self, expected: &str) -> Problem {
        let rest = self.rest().trim_start();
        self.problem(expected, if rest.is_empty() { "the end" } else { rest })
    }

    /// A problem at the present position.
    pub fn problem(&self, expected: &str, found: &str) -> Problem {
        let character = self.text.get(..self.position).map_or(0, |t| t.chars().count()) + 1;
        Problem::new(format!("{}, character {character}", self.at), expected, found)
    }

    /// A judgement of the words just read, at the present position.
    pub fn refuse(&self, problem: Problem) -> Problem {
        Problem { at: self.problem("", "").at, ..problem }
    }
}

/// Parts of a metric math expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// Begins with a lower-case letter: stands for a metric.
    Id(&'a str),
    /// Begins otherwise: a function or an operator in words.
    Name(&'a str),
    /// Anything else: numbers, quotes, operators.
    Other(&'a str),
}

/// Splits an expression; the parts put together give it back.
pub fn tokens(expression: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = match first {
            '"' | '\'' => rest.get(1..).and_then(|r| r.find(first)).map_or(rest.len(), |i| i + 2),
            c if in_word(c) => rest.find(|c| !in_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, tail) = rest.split_at(end);
        out.push(match first {
            'a'..='z' => Token::Id(token),
            'A'..='Z' | '_' => Token::Name(token),
            _ => Token::Other(token),
        });
        rest = tail;
    }
    out
}
