//! What is done to the text of a query before it is sent, by its syntax tree and never by its text: joining several
//! queries into one, and holding a tenant's query to its namespace.
//!
//! The parser (`promql-parser`) decides what may be joined or bound, not what may be asked: an administrator's query in a
//! dialect that it doesn't know (MetricsQL, say) is sent alone, as it is, and the server judges it. What is joined
//! or bound is printed from the tree, and only if the print reads as the same tree again: so what was checked is
//! what is sent.

use crate::error::{Problem, shorten};
use promql_parser::label::{METRIC_NAME, MatchOp, Matcher};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, VectorSelector, parse};

/// Bytes of one query at most.
pub const MAX_QUERY_BYTES: usize = 8192;
/// Words and signs of one query at most: bounds how deep its tree can be.
const MAX_QUERY_PIECES: usize = 1500;
/// The label that says which of the joined queries a series belongs to.
pub(super) const JOIN_LABEL: &str = "forescale_query";
/// The label that tells the tenants apart.
const NAMESPACE_LABEL: &str = "namespace";

fn tree(query: &str) -> Result<Expr, Problem> {
    let at = || format!("query {}", shorten(query));
    if query.len() > MAX_QUERY_BYTES {
        let found = format!("{} bytes", query.len());
        return Err(Problem::new(at(), format!("a query of at most {MAX_QUERY_BYTES} bytes"), found));
    }
    let words = query.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).count();
    let signs = query.chars().filter(|c| !c.is_alphanumeric() && !c.is_whitespace() && *c != '_').count();
    if words + signs > MAX_QUERY_PIECES {
        let expected = format!("a query of at most {MAX_QUERY_PIECES} words and signs");
        return Err(Problem::new(at(), expected, format!("{}", words + signs)));
    }
    parse_sorted(query).map_err(|e| Problem::new(at(), "PromQL", e))
}

/// The tree with the matchers of each selector in the order in which they are printed.
fn parse_sorted(query: &str) -> Result<Expr, String> {
    // The parser panics on some durations that are out of range (`x[1e300]`).
    let mut tree = std::panic::catch_unwind(|| parse(query)).unwrap_or_else(|_| Err("a value out of range".into()))?;
    let sorted = walk(&mut tree, &mut |node| {
        if let Some(selector) = selector(node) {
            selector.matchers.matchers.sort_by_cached_key(ToString::to_string);
        }
        Ok(())
    });
    sorted.map(|()| tree).map_err(|(expected, _)| expected)
}

/// The print of a tree, if it reads as the same tree again.
fn print(tree: &Expr) -> Option<String> {
    let text = tree.to_string();
    (parse_sorted(&text).ok()? == *tree).then_some(text)
}

/// Whether the text is PromQL, with the reason if it isn't. For `lint`, which has no server to ask.
pub fn check(query: &str) -> Result<(), Problem> {
    tree(query).map(drop)
}

/// The query in the form in which it can be joined with others. None: it must be sent alone.
pub(super) fn joinable(query: &str) -> Option<String> {
    let tree = tree(query).ok()?;
    (tree.value_type() == ValueType::Vector).then(|| print(&tree)).flatten()
}

/// Member `index` of a joined query; `query` comes from [`joinable`].
pub(super) fn member(query: &str, index: usize) -> String {
    format!("label_replace({query}, \"{JOIN_LABEL}\", \"{index}\", \"\", \"\")")
}

/// What stands between the members.
pub(super) const JOIN: &str = " or ";

/// The query with `namespace="NAMESPACE"` in every selector, so that a tenant reads its own series only. Refused:
/// another namespace, a selector that doesn't name its metric (`{__name__=~".+"}`), `{a="1" or b="2"}`, functions that read
/// series no selector names (`info`), a query without any selector, what the parser doesn't know.
pub fn enforce_namespace(query: &str, namespace: &str) -> Result<String, Problem> {
    let mut tree = tree(query)?;
    let refuse = |expected: String, found: String| Problem::new(format!("query {}", shorten(query)), expected, found);
    if namespace.is_empty() {
        return Err(refuse("a namespace to hold it to".into(), "none".into()));
    }
    let mut bound = 0;
    walk(&mut tree, &mut |node| {
        if matches!(node, Expr::Call(call) if call.func.name == "info") {
            return Err(("functions that read only the series they are given".into(), "info()".into()));
        }
        selector(node).map_or(Ok(()), |selector| {
            bound += 1;
            bind(selector, namespace)
        })
    })
    .map_err(|(expected, found)| refuse(expected, found))?;
    if bound == 0 {
        return Err(refuse("at least one metric".into(), "none: the answer would be a constant".into()));
    }
    print(&tree).ok_or_else(|| {
        refuse("a query whose namespace can be enforced".into(), "syntax that cannot be printed again".into())
            .help("write it plainer, or have an administrator put it in the config")
    })
}

type Refusal = (String, String);

/// Visits every node from the root down. The parser's own walker isn't used: it passes over the parameter of an
/// aggregation (`topk(scalar(other), x)`).
fn walk(tree: &mut Expr, visit: &mut dyn FnMut(&mut Expr) -> Result<(), Refusal>) -> Result<(), Refusal> {
    visit(tree)?;
    match tree {
        Expr::Aggregate(aggregate) => {
            aggregate.param.as_mut().map_or(Ok(()), |param| walk(param, visit))?;
            walk(&mut aggregate.expr, visit)
        }
        Expr::Unary(unary) => walk(&mut unary.expr, visit),
        Expr::Binary(binary) => {
            walk(&mut binary.lhs, visit)?;
            walk(&mut binary.rhs, visit)
        }
        Expr::Paren(paren) => walk(&mut paren.expr, visit),
        Expr::Subquery(subquery) => walk(&mut subquery.expr, visit),
        Expr::Call(call) => call.args.args.iter_mut().try_for_each(|arg| walk(arg, visit)),
        Expr::VectorSelector(_) | Expr::MatrixSelector(_) | Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(()),
        Expr::Extension(_) => Err(("plain PromQL".into(), "an extension".into())),
    }
}

fn selector(node: &mut Expr) -> Option<&mut VectorSelector> {
    match node {
        Expr::VectorSelector(selector) => Some(selector),
        Expr::MatrixSelector(matrix) => Some(&mut matrix.vs),
        _ => None,
    }
}

fn bind(selector: &mut VectorSelector, namespace: &str) -> Result<(), Refusal> {
    let matchers = &mut selector.matchers;
    if !matchers.or_matchers.is_empty() {
        return Err(("selectors without \"or\"".into(), format!("{{{matchers}}}")));
    }
    let named =
        matchers.matchers.iter().any(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal && !m.value.is_empty());
    if selector.name.is_none() && !named {
        return Err(("selectors that name their metric".into(), format!("{{{matchers}}}")));
    }
    let own = Matcher::new(MatchOp::Equal, NAMESPACE_LABEL, namespace);
    if let Some(other) = matchers.matchers.iter().find(|m| m.name == NAMESPACE_LABEL && !m.is_match(namespace)) {
        return Err((own.to_string(), other.to_string()));
    }
    if !matchers.matchers.contains(&own) {
        matchers.matchers.push(own);
        matchers.matchers.sort_by_cached_key(ToString::to_string);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_selector_is_bound() {
        for (query, bound) in [
            ("sum(rate(http_requests_total[1m]))", r#"sum(rate(http_requests_total{namespace="a"}[1m]))"#),
            (r#"x{namespace="a",b="c"}"#, r#"x{b="c",namespace="a"}"#),
            (r#"x{namespace=~"a|b"}"#, r#"x{namespace="a",namespace=~"a|b"}"#),
            ("x or y", r#"x{namespace="a"} or y{namespace="a"}"#),
            ("topk(scalar(z), x)", r#"topk(scalar(z{namespace="a"}), x{namespace="a"})"#),
            ("quantile(scalar(z), x)", r#"quantile(scalar(z{namespace="a"}), x{namespace="a"})"#),
            ("max_over_time(x[1h:1m] offset 5m)", r#"max_over_time(x{namespace="a"}[1h:1m] offset 5m)"#),
            ("-x @ end()", r#"-x{namespace="a"} @ end()"#),
            (r#"{__name__="x"}"#, r#"{__name__="x",namespace="a"}"#),
            ("x * on (pod) group_left (node) y", r#"x{namespace="a"} * on (pod) group_left (node) y{namespace="a"}"#),
            ("sum by (job) (x) # } or secret", r#"sum by (job) (x{namespace="a"})"#),
        ] {
            assert_eq!(enforce_namespace(query, "a").unwrap(), bound, "{query}");
        }
    }

    #[test]
    fn what_would_escape_its_namespace_is_refused() {
        for query in [
            r#"x{namespace="b"}"#,
            r#"x{namespace!="a"}"#,
            r#"x{namespace=~"b.*"}"#,
            r#"x{namespace=""}"#,
            r#"x{"namespace"="b"}"#,
            r#"{__name__=~".+"}"#,
            r#"{__name__!="x",job="y"}"#,
            r#"{job="y"}"#,
            r#"x{job="a" or namespace="b"}"#,
            r#"x"} or vector(1)"#,
            "x)) or (secret",
            "sum(x",
            "x or",
            "info(x)",
            "vector(1)",
            "1",
            "x[1e300]",
            "x offset 1e300",
            "",
            "x{",
            "x; drop",
            "unknown_function(x)",
        ] {
            assert!(enforce_namespace(query, "a").is_err(), "{query} gave {:?}", enforce_namespace(query, "a"));
        }
        assert!(enforce_namespace("x", "").is_err());
        assert_eq!(enforce_namespace("x", "a\"} or y{b=\"").unwrap(), r#"x{namespace="a\"} or y{b=\""}"#);
    }

    #[test]
    fn long_and_deep_queries_are_refused_before_they_are_read() {
        assert!(check(&"x".repeat(MAX_QUERY_BYTES + 1)).is_err());
        assert!(check(&format!("{}x{}", "(".repeat(2000), ")".repeat(2000))).is_err());
        let deep = format!("{}x", "-".repeat(MAX_QUERY_PIECES - 1));
        assert!(check(&deep).is_ok());
        let wide = vec!["x"; MAX_QUERY_PIECES / 2].join("+");
        assert!(enforce_namespace(&wide, "a").is_ok() && joinable(&deep).is_some());
    }

    #[test]
    fn only_vectors_that_print_the_same_are_joined() {
        assert_eq!(joinable("sum (x)  # why").as_deref(), Some("sum(x)"));
        for alone in ["1", "scalar(x)", "x[5m]", "\"a\"", "x) or (y", "rate(x)", "WITH (a = 1) a"] {
            assert_eq!(joinable(alone), None, "{alone}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_escapes(text in r#"[a-z_{}()\[\]"'`=~!,.:@#+*/ 0-9-]{0,60}"#) {
            let _ = check(&text);
            if let Some(joined) = joinable(&text) {
                prop_assert!(check(&member(&joined, 0)).is_ok());
            }
            if let Ok(bound) = enforce_namespace(&text, "ns") {
                prop_assert!(bound.contains(r#"namespace="ns""#));
                prop_assert_eq!(enforce_namespace(&bound, "ns").unwrap(), bound);
            }
        }
    }
}
