//! Query templates, and the names of a workload's pods.

use super::settings::placeholders;

/// A query with placeholders, all of them known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Takes a text whose placeholders have been checked; unknown ones stay as they are.
    pub(super) fn new(text: &str) -> Template {
        Template(text.to_string())
    }

    /// The template's text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The query: every `{name}` replaced by what `value` gives for it; one that it doesn't know stays.
    pub fn fill(&self, value: impl Fn(&str) -> Option<String>) -> String {
        let mut out = String::with_capacity(self.0.len() + 64);
        let mut rest = self.0.as_str();
        while let Some(start) = rest.find('{') {
            let (before, from) = rest.split_at(start);
            out.push_str(before);
            let word = placeholders(from)
                .next()
                .filter(|word| from[1..].starts_with(word) && from[1 + word.len()..].starts_with('}'));
            match word.and_then(|word| Some((word, value(word)?))) {
                Some((word, text)) => {
                    out.push_str(&text);
                    rest = &from[word.len() + 2..];
                }
                None => {
                    out.push('{');
                    rest = &from[1..];
                }
            }
        }
        out.push_str(rest);
        out
    }
}

/// A regular expression, to be anchored at both ends, for the names of the pods that a Deployment (through its
/// ReplicaSets) or a StatefulSet makes, and of no other's: `web` never matches a pod of `web-api`.
///
/// Kubernetes makes hash and suffix from an alphabet without vowels and 0, 1, 3, and cuts the name before the random
/// suffix at 58 characters
/// (<https://github.com/kubernetes/apiserver/blob/master/pkg/storage/names/generate.go>).
pub fn pod_names(workload: &str, stateful: bool) -> String {
    const LETTER: &str = "[bcdfghjklmnpqrstvwxz2456789]";
    const PREFIX_MAX: usize = 58;
    const HASH_MAX: usize = 10;
    let literal = |name: &str| name.replace('.', "[.]");
    if stateful {
        return format!("{}-[0-9]+", literal(workload));
    }
    let Some(room) = PREFIX_MAX.checked_sub(workload.len() + 1) else {
        let cut: String = workload.chars().take(PREFIX_MAX).collect();
        let dash = if workload.len() < PREFIX_MAX { "-" } else { "" };
        return format!("{}{dash}{LETTER}{{5}}", literal(&cut));
    };
    let name = literal(workload);
    match room {
        0 => format!("{name}-{LETTER}{{5}}"),
        1 => format!("{name}-{LETTER}{LETTER}{{5}}"),
        _ if room > HASH_MAX => format!("{name}-{LETTER}{{1,{HASH_MAX}}}-{LETTER}{{5}}"),
        _ => format!("{name}-({LETTER}{{1,{}}}-|{LETTER}{{{room}}}){LETTER}{{5}}", room - 1),
    }
}

/// The same for the pods of one version of a Deployment, told by the hash of its pod template.
pub fn version_names(workload: &str, hash: &str) -> String {
    const LETTER: &str = "[bcdfghjklmnpqrstvwxz2456789]";
    const PREFIX_MAX: usize = 58;
    let prefix: String = format!("{workload}-{hash}-").chars().take(PREFIX_MAX).collect();
    format!("{}{LETTER}{{5}}", prefix.replace('.', "[.]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_placeholders_are_filled_and_promql_braces_stay() {
        let t =
            Template::new(r#"sum by (pod) (rate(x{namespace="{namespace}",a!~"b{2}",pod=~"{pods}"}[2m])) / {unknown}"#);
        let filled = t.fill(|name| match name {
            "namespace" => Some("shop".into()),
            "pods" => Some("web-[0-9]+".into()),
            _ => None,
        });
        assert_eq!(filled, r#"sum by (pod) (rate(x{namespace="shop",a!~"b{2}",pod=~"web-[0-9]+"}[2m])) / {unknown}"#);
    }

    #[test]
    fn names_of_pods() {
        assert_eq!(pod_names("db.eu", true), "db[.]eu-[0-9]+");
        let letter = "[bcdfghjklmnpqrstvwxz2456789]";
        assert_eq!(pod_names("web", false), format!("web-{letter}{{1,10}}-{letter}{{5}}"));
        let long = "a".repeat(50);
        assert_eq!(pod_names(&long, false), format!("{long}-({letter}{{1,6}}-|{letter}{{7}}){letter}{{5}}"));
        assert_eq!(version_names("web.eu", "6d4cf56db"), format!("web[.]eu-6d4cf56db-{letter}{{5}}"));
        let longest = "a".repeat(70);
        assert_eq!(pod_names(&longest, false), format!("{}{letter}{{5}}", "a".repeat(58)));
    }
}
