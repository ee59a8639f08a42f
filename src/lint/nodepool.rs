//! NodePools.

use super::{Context, Finding, Node, Object, Value, found, hours};
use crate::plan::guard::{REASONS, go_duration};
use crate::policy::cron::Cron;

/// Entries the API takes.
const BUDGETS_MAX: usize = 50;

/// Checks one; true: it is of a kind that is known.
pub(super) fn check(object: &Object, context: &Context, findings: &mut Vec<Finding>) -> bool {
    if !object.api_version.starts_with("karpenter.sh/") {
        return false;
    }
    let old = object.api_version != "karpenter.sh/v1";
    weight(object, findings);
    let Some(disruption) = object.root.get("spec.disruption") else { return true };
    if let Some(at) = disruption.entry("expireAfter").filter(|_| !old) {
        let instead = format!("spec:\n  template:\n    spec:\n      expireAfter: {}", at.words());
        let message = "expireAfter moved to spec.template.spec in karpenter.sh/v1".to_string();
        found(findings, "removed-api", object, at, "spec.disruption.expireAfter", message, instead);
    }
    if let Some(at) = disruption.entry("consolidationPolicy").filter(|p| p.text() == Some("WhenUnderutilized")) {
        let message = "WhenUnderutilized is a value of v1beta1".to_string();
        let instead = "consolidationPolicy: WhenEmptyOrUnderutilized".to_string();
        found(findings, "removed-api", object, at, "spec.disruption.consolidationPolicy", message, instead);
    }
    if disruption.entry("consolidateAfter").is_none() && !old {
        let message = "spec.disruption has no consolidateAfter".to_string();
        found(findings, "consolidate-after-missing", object, disruption, "spec.disruption", message, String::new());
    }
    let Some(budgets) = disruption.entry("budgets") else { return true };
    match budgets.items().len() {
        _ if !matches!(budgets.value, Value::List(_)) => {
            let field = "spec.disruption.budgets";
            let message = format!("budgets is {}; expected a list", budgets.words());
            found(findings, "budgets-list", object, budgets, field, message, String::new());
        }
        0 => found(
            findings,
            "budgets-empty",
            object,
            budgets,
            "spec.disruption.budgets",
            "budgets is an empty list".into(),
            String::new(),
        ),
        n if n > BUDGETS_MAX => {
            let message = format!("{n} budgets; the API takes {BUDGETS_MAX}");
            found(findings, "budgets-too-many", object, budgets, "spec.disruption.budgets", message, String::new());
        }
        _ => {}
    }
    for (i, budget) in budgets.items().iter().enumerate() {
        Entry { object, at: budget, path: format!("spec.disruption.budgets[{i}]") }.check(context, findings);
    }
    true
}

fn weight(object: &Object, findings: &mut Vec<Finding>) {
    let Some(at) = object.root.get("spec.weight") else { return };
    if at.number().is_none_or(|n| !(1.0..=100.0).contains(&n)) {
        let message = format!("weight {} is not between 1 and 100; the larger is tried first", at.words());
        found(findings, "weight-range", object, at, "spec.weight", message, String::new());
    }
}

/// One budget.
struct Entry<'a> {
    object: &'a Object,
    at: &'a Node,
    path: String,
}

impl Entry<'_> {
    fn say(&self, findings: &mut Vec<Finding>, id: &'static str, key: &str, message: String, instead: String) {
        let at = self.at.entry(key).unwrap_or(self.at);
        found(findings, id, self.object, at, &format!("{}.{key}", self.path), message, instead);
    }

    fn check(&self, context: &Context, findings: &mut Vec<Finding>) {
        self.nodes(findings);
        self.reasons(findings);
        let (schedule, duration) = (self.at.entry("schedule"), self.at.entry("duration"));
        match (schedule, duration) {
            (Some(s), None) => {
                let instead = format!("schedule: \"{}\"\nduration: 12h", s.words());
                self.say(
                    findings,
                    "budget-schedule-duration",
                    "schedule",
                    "a schedule without a duration".into(),
                    instead,
                );
            }
            (None, Some(d)) => {
                let instead = format!("schedule: \"0 19 * * *\"\nduration: {}", d.words());
                self.say(
                    findings,
                    "budget-schedule-duration",
                    "duration",
                    "a duration without a schedule".into(),
                    instead,
                );
            }
            _ => {}
        }
        if let Some(d) = duration.map(Node::words)
            && (!is_duration(&d) || go_duration(&d).is_none())
        {
            let message = format!("duration {d:?} is not in hours and minutes");
            self.say(findings, "budget-duration", "duration", message, String::new());
        }
        let Some(text) = schedule.map(Node::words) else { return };
        match Cron::parse_even_if_never(&text) {
            Ok(Some(cron)) => {
                let length = duration.and_then(|d| go_duration(&d.words())).map(|d| d.as_secs().cast_signed());
                let mistake = length.zip(context.time_zone.as_ref());
                let mistake =
                    mistake.and_then(|(length, zone)| hours::mistake(&cron, &text, length, zone, context.now));
                if let Some(hours::Mistake { message, instead }) = mistake {
                    self.say(findings, "budget-time-zone", "schedule", message, instead);
                }
            }
            Ok(None) => {
                let message = format!("{text:?}: this date never comes");
                self.say(findings, "budget-impossible-date", "schedule", message, String::new());
            }
            Err(expected) => {
                let message = format!("{text:?}: expected {expected}");
                let rule = if is_admitted(&text) { "budget-cron" } else { "budget-schedule" };
                self.say(findings, rule, "schedule", message, repaired(&text));
            }
        }
    }

    fn nodes(&self, findings: &mut Vec<Finding>) {
        let Some(at) = self.at.entry("nodes") else { return };
        let valid = |text: &str| match text.strip_suffix('%') {
            Some(n) => n == "100" || matches!(n.len(), 1 | 2) && n.bytes().all(|b| b.is_ascii_digit()),
            None => !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()),
        };
        if at.text().is_none_or(|text| !valid(text)) {
            let message = match at.value {
                Value::Number(_) => format!("nodes: {} is a number; the API wants text", at.words()),
                _ => format!("nodes {:?} is neither a number nor a percentage up to 100%", at.words()),
            };
            let digits: String = at.words().chars().filter(char::is_ascii_digit).collect();
            let instead = match at.value {
                Value::Number(_) if !digits.is_empty() => format!("nodes: \"{digits}\""),
                _ => String::new(),
            };
            self.say(findings, "budget-nodes", "nodes", message, instead);
        }
    }

    fn reasons(&self, findings: &mut Vec<Finding>) {
        let Some(at) = self.at.entry("reasons") else { return };
        if !matches!(at.value, Value::List(_)) {
            let (message, instead) =
                (format!("reasons is {}; expected a list", at.words()), format!("reasons: [{}]", at.words()));
            let instead = if REASONS.contains(&at.words().as_str()) { instead } else { String::new() };
            return self.say(findings, "budgets-list", "reasons", message, instead);
        }
        if at.items().is_empty() {
            return self.say(findings, "reasons-empty", "reasons", "reasons is an empty list".into(), String::new());
        }
        for reason in at.items() {
            let text = reason.words();
            if !REASONS.contains(&text.as_str()) {
                let message = format!("{text} is no reason; there are {}", REASONS.join(", "));
                let field = format!("{}.reasons", self.path);
                let instead = match text.as_str() {
                    "Expired" => {
                        "# expiry is not governed by budgets; spread it by spec.template.spec.expireAfter".into()
                    }
                    _ => String::new(),
                };
                found(findings, "budget-reason", self.object, reason, &field, message, instead);
            }
        }
    }
}

/// Whether the API takes a duration: hours, minutes, or hours and minutes, and then `0s` or nothing.
fn is_duration(text: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_suffix("0s").unwrap_or(text);
    match text.strip_suffix('m') {
        Some(rest) => match rest.split_once('h') {
            Some((hours, minutes)) => number(hours) && number(minutes),
            None => number(rest),
        },
        None => text.strip_suffix('h').is_some_and(number),
    }
}

/// Whether the API takes a schedule, be it right or not: what begins with a name, or has five fields.
fn is_admitted(schedule: &str) -> bool {
    let names = ["@annually", "@yearly", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    names.iter().any(|name| schedule.starts_with(name)) || schedule.split_whitespace().count() >= 5
}

/// A schedule that does what a broken one seems to mean. Empty: it is not clear.
fn repaired(text: &str) -> String {
    let mut fields: Vec<&str> = text.split_whitespace().filter(|f| !f.contains("TZ=")).collect();
    if fields.len() == 6 {
        fields.remove(0);
    }
    let [minute, hour, day, month, weekday] = fields[..] else { return String::new() };
    let range = hour.split_once('-').and_then(|(a, b)| Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?)));
    let (hour, duration) = match range {
        Some((from, to)) if from < 24 && to < 24 => {
            (from.to_string(), format!("\nduration: {}h", (to + 24 - from) % 24))
        }
        _ => (hour.replace("24", "0").replace("25", "1"), String::new()),
    };
    let weekday = match weekday {
        "7" => "0".to_string(),
        "1-7" | "0-7" => "*".to_string(),
        "sat-sun" | "6-0" | "6-7" => "0,6".to_string(),
        other => other.to_string(),
    };
    let fixed = format!("{minute} {hour} {day} {month} {weekday}");
    match Cron::parse(&fixed) {
        Ok(_) => format!("schedule: \"{fixed}\"{duration}"),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_the_form_that_the_api_wants() {
        for text in ["8h", "90m", "1h30m", "0h", "12h0m0s", "8h0s", "90m0s"] {
            assert!(is_duration(text), "{text}");
        }
        for text in
            ["", "0s", "30s", "60s", "3600s", "1h30s", "1m00s", "30m1h", "1h2h", "1m2m", "1h 5m", "h5m", "h", "8"]
        {
            assert!(!is_duration(text), "{text}");
        }
    }
}
