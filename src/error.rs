//! How errors speak: what was expected, what was found, where, and what to do.

use std::fmt;

/// A problem the user has to put right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// File and line, object and field, or URL without credentials.
    pub at: String,
    /// What would have been right.
    pub expected: String,
    /// What was there instead.
    pub found: String,
    /// What to do about it; empty if the rest says it.
    pub help: String,
}

impl Problem {
    /// A problem at a place.
    pub fn new(at: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Problem { at: at.into(), expected: expected.into(), found: shorten(&found.into()), help: String::new() }
    }

    /// The same with advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}; found {}", self.at, self.expected, self.found)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}

/// Characters of foreign input that an error repeats at most.
const MAX_ECHO: usize = 160;

/// The beginning of foreign input, safe to print: control characters escaped, the length bounded.
pub fn shorten(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(MAX_ECHO)
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    if text.chars().nth(MAX_ECHO).is_some() {
        out.push_str(&format!("… ({} bytes)", text.len()));
    }
    out
}

/// The candidate nearest to `word`, if near enough to be what was meant.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(word, c), c))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// How the program ends: 0 done, 1 failed, 2 usage or config.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Exit code 1: the work could not be done.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
    /// Exit code 2: the command line, the config or a given file is wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Usage(Vec<Problem>),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Failure::Usage(vec![problem])
    }
}

/// An address as it may be shown: without what stands before its last `@`.
pub fn without_credentials(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_string(),
        (_, None) => url.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_where_what_and_what_to_do() {
        let p = Problem::new("a.csv:3", "a number", "x\n").help("fix the row");
        assert_eq!(p.to_string(), "a.csv:3: expected a number; found x\\n; fix the row");
    }

    #[test]
    fn suggestions_are_near() {
        assert_eq!(did_you_mean("mod", ["mode", "source"]), Some("mode"));
        assert_eq!(did_you_mean("zzz", ["mode", "source"]), None);
    }
}
