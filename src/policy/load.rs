//! Is a query a load? A load is offered from outside and doesn't change because replicas are added. An average, a
//! quantile, a ratio or a count of pods does: it would teach the forecast our own decisions.
//!
//! Judged by the query's outermost operations, without the source's parser, so that any dialect passes through: at
//! every level enclosing parentheses go, the text is split at its top-level binary operators, and a call is looked up
//! by name. Below a `sum` nothing is judged: a sum over pods may be made of anything.

/// Why a query is not a load; the words complete "…, which falls when replicas are added".
pub(super) type Refusal = &'static str;

/// Levels that are looked at; what lies deeper is taken as a load.
const DEPTH_MAX: usize = 32;

const AVERAGE: Refusal = "an average over pods";
const QUANTILE: Refusal = "a quantile";
const RATIO: Refusal = "a ratio";
const COUNT: Refusal = "a count of objects, which we change ourselves";
const UTILIZATION: Refusal = "a utilization";

/// None: nothing speaks against the query being a load.
pub(super) fn refusal(query: &str) -> Option<Refusal> {
    judge(&tokens(query), 0)
}

/// Whether missing samples would read as zero: `… or vector(0)`, `… or on() vector(0)`.
pub(super) fn hides_missing(query: &str) -> bool {
    let tokens = tokens(query);
    let or = tokens.iter().position(|t| *t == Token::Word("or"));
    or.is_some_and(|at| {
        tokens
            .get(at..)
            .unwrap_or_default()
            .windows(4)
            .any(|w| w == [Token::Word("vector"), Token::Sign(b'('), Token::Word("0"), Token::Sign(b')')])
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// Identifier, keyword or number.
    Word(&'a str),
    /// Any other visible byte; a comparison is its first byte.
    Sign(u8),
    /// A quoted text.
    Text,
}

/// Most tokens that are judged.
const TOKENS_MAX: usize = 4096;

fn tokens(query: &str) -> Vec<Token<'_>> {
    let bytes = query.as_bytes();
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'.') || b >= 0x80;
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at).filter(|_| out.len() < TOKENS_MAX) {
        let from = at;
        match byte {
            b'#' => at += bytes.iter().skip(at).take_while(|b| **b != b'\n').count(),
            b'"' | b'\'' | b'`' => {
                at += 1;
                while let Some(&inner) = bytes.get(at).filter(|b| **b != byte) {
                    at += if inner == b'\\' && byte != b'`' { 2 } else { 1 };
                }
                at += 1;
                out.push(Token::Text);
            }
            _ if is_word(byte) => {
                at += bytes.iter().skip(at).take_while(|b| is_word(**b)).count();
                out.push(Token::Word(query.get(from..at).unwrap_or_default()));
            }
            _ => {
                at += 1;
                if !byte.is_ascii_whitespace() {
                    out.push(Token::Sign(byte));
                }
            }
        }
    }
    out
}

/// The index after the bracket that closes the one at `open`.
fn close(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Sign(b'(' | b'{' | b'[') => depth += 1,
            Token::Sign(b')' | b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

/// The top-level binary operators, with their places.
fn operators<'a>(tokens: &[Token<'a>]) -> Vec<(usize, Token<'a>)> {
    let mut found = Vec::new();
    let mut i = 0;
    while let Some(token) = tokens.get(i) {
        match token {
            Token::Sign(b'(' | b'{' | b'[') => i = close(tokens, i).max(i + 1),
            Token::Sign(b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'<' | b'>' | b'=' | b'!') => {
                if i > 0
                    && !matches!(
                        tokens.get(i - 1),
                        Some(Token::Sign(b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'<' | b'>' | b'=' | b'!'))
                    )
                {
                    found.push((i, *token));
                }
                i += 1;
            }
            Token::Word(word) if matches!(word.to_ascii_lowercase().as_str(), "and" | "or" | "unless" | "atan2") => {
                found.push((i, *token));
                i += 1;
            }
            _ => i += 1,
        }
    }
    found
}

fn judge(tokens: &[Token<'_>], depth: usize) -> Option<Refusal> {
    if depth > DEPTH_MAX || tokens.is_empty() {
        return None;
    }
    match tokens {
        [Token::Sign(b'-' | b'+'), rest @ ..] => return judge(rest, depth + 1),
        [Token::Sign(b'('), inner @ .., _] if close(tokens, 0) == tokens.len() => return judge(inner, depth + 1),
        _ => {}
    }
    let operators = operators(tokens);
    if operators.is_empty() {
        return judge_operand(tokens, depth);
    }
    let mut from = 0;
    for (at, operator) in operators.iter().copied().chain([(tokens.len(), Token::Text)]) {
        let operand = tokens.get(from.min(at)..at).unwrap_or_default();
        if let Some(refusal) = judge(operand, depth + 1) {
            return Some(refusal);
        }
        let right = tokens.get(at + 1..).unwrap_or_default();
        if operator == Token::Sign(b'/') && !is_number(right) {
            return Some(if counts(right) { AVERAGE } else { RATIO });
        }
        if matches!(operator, Token::Sign(b'<' | b'>' | b'=' | b'!')) || is_filter(operator) {
            return None; // what follows filters and gives no value
        }
        from = at + 1;
    }
    None
}

fn is_filter(token: Token<'_>) -> bool {
    matches!(token, Token::Word(word) if word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("unless"))
}

/// Whether the operand on the right of `/` is a plain number (seconds, a unit).
fn is_number(right: &[Token<'_>]) -> bool {
    match right {
        [Token::Sign(b'('), inner @ ..] => close(right, 0) > 2 && is_number(inner),
        [Token::Word(word), ..] => word.starts_with(|c: char| c.is_ascii_digit()),
        _ => false,
    }
}

/// Whether the divisor is a number of pods or replicas.
fn counts(right: &[Token<'_>]) -> bool {
    right.iter().find_map(|t| match t {
        Token::Word(word) => Some(*word == "count" || word.contains("replicas")),
        _ => None,
    }) == Some(true)
}

/// A call or a selector.
fn judge_operand(tokens: &[Token<'_>], depth: usize) -> Option<Refusal> {
    let Some(Token::Word(name)) = tokens.first() else { return None };
    let name = name.to_ascii_lowercase();
    let open = tokens.iter().position(|t| matches!(t, Token::Sign(b'(' | b'{' | b'[')));
    let is_call = open.is_some_and(|at| tokens.get(at) == Some(&Token::Sign(b'(')));
    match name.as_str() {
        "avg" | "min" | "max" | "stddev" | "stdvar" | "median" if is_call => Some(AVERAGE),
        "quantile" | "quantiles" | "histogram_quantile" | "histogram_avg" if is_call => Some(QUANTILE),
        "count" | "group" | "count_values" if is_call => Some(COUNT),
        "sum" | "topk" | "bottomk" | "vector" | "absent" if is_call => None,
        _ if is_call => {
            // rate, clamp_max, label_replace, sum_over_time…: the longest argument is the one with the series
            let from = open.map_or(0, |at| at + 1);
            let to = close(tokens, from.saturating_sub(1)).saturating_sub(1).max(from);
            let inner = tokens.get(from..to.min(tokens.len())).unwrap_or_default();
            arguments(inner).into_iter().max_by_key(|a| a.len()).and_then(|a| judge(a, depth + 1))
        }
        _ if ["utilization", "utilisation", "_ratio", "percent"].iter().any(|part| name.contains(part)) => {
            Some(UTILIZATION)
        }
        _ if name.starts_with("kube_") && name.contains("replicas") => Some(COUNT),
        _ => None,
    }
}

fn arguments<'t, 'a>(inner: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut out = Vec::new();
    let (mut from, mut i) = (0, 0);
    while let Some(token) = inner.get(i) {
        match token {
            Token::Sign(b'(' | b'{' | b'[') => i = close(inner, i).max(i + 1),
            Token::Sign(b',') => {
                out.push(inner.get(from..i).unwrap_or_default());
                i += 1;
                from = i;
            }
            _ => i += 1,
        }
    }
    out.push(inner.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn loads_pass() {
        for query in [
            "sum(rate(http_requests_total{job=\"a/b\"}[2m]))",
            "sum by (x) (rate(a[1m])) + sum(rate(b[1m]))",
            "(sum(rate(a[1m])))",
            "sum(rate(a[5m])) / 60",
            "sum(increase(a[5m])) / (5 * 60)",
            "1000 * sum(rate(a[5m]))",
            "my_queue_inflow",
            "rate(my_counter[1m])",
            "sum(avg_over_time(queue_length[5m]))",
            "avg_over_time(queue_length[5m])",
            "sum(container_cpu_utilization)",
            "max_over_time(sum(rate(a[1m]))[5m:])",
            "sum(rate(a[1m])) or vector(0)",
            "sum(a) unless on() avg(b)",
            "sum(a{x=\"avg(\"}) # avg(x)",
            "SUM(x)",
            "",
        ] {
            assert_eq!(refusal(query), None, "{query}");
        }
    }

    #[test]
    fn what_falls_when_we_scale_is_refused() {
        for (query, why) in [
            ("avg(rate(cpu[2m]))", AVERAGE),
            ("avg by (pod) (x)", AVERAGE),
            ("avg without (pod) (x) * 100", AVERAGE),
            ("(avg(x))", AVERAGE),
            ("100 * avg(x)", AVERAGE),
            ("max(x)", AVERAGE),
            ("sum(x) / count(x)", AVERAGE),
            ("sum(x) / scalar(count(y))", RATIO),
            ("sum(x) / kube_deployment_status_replicas", AVERAGE),
            ("sum(errors) / sum(total)", RATIO),
            ("sum(a) + sum(x) / sum(y)", RATIO),
            ("quantile(0.9, x)", QUANTILE),
            ("histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m])))", QUANTILE),
            ("count(up)", COUNT),
            ("kube_deployment_spec_replicas{deployment=\"web\"}", COUNT),
            ("round(avg(x), 1)", AVERAGE),
            ("clamp_max(avg(x), 10)", AVERAGE),
            ("max_over_time(avg(x)[5m:])", AVERAGE),
            ("node_cpu_utilization", UTILIZATION),
            ("namespace:cpu_utilisation:rate5m{a=\"b\"}", UTILIZATION),
            ("-avg(x)", AVERAGE),
        ] {
            assert_eq!(refusal(query), Some(why), "{query}");
        }
    }

    #[test]
    fn zero_in_place_of_missing_is_seen() {
        assert!(hides_missing("sum(x) or vector(0)"));
        assert!(hides_missing("(sum(x) or on() vector( 0 ))"));
        assert!(!hides_missing("sum(x{a=\" or vector(0)\"})"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"(avg|sum|count|or|[a-z_{}()\[\]"'`=~!,.:#+*/<> 0-9äß\\-]){0,80}"#) {
            let _ = (refusal(&text), hides_missing(&text));
        }
    }

    #[test]
    fn depth_is_bounded() {
        for text in ["(".repeat(4000) + "avg(x)", "-".repeat(4000), "a/".repeat(2000), "f(".repeat(2000)] {
            let _ = refusal(&text);
        }
    }
}
