//! Every annotation, parsed in one place and documented once: `docs/annotations.md` is made from [`ANNOTATIONS`].

use super::{Hold, Mode, Window, schedule};
use crate::error::{Problem, did_you_mean};
use crate::occasion::{self, Effect, Occasion};
use crate::units::{
    LeadTime, MAX_REPLICAS, Quantity, Replicas, Time, duration, parse_budget, parse_duration, parse_share,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// What every annotation of ours begins with.
pub const PREFIX: &str = "forescale.dev/";

/// The annotation that holds our ledger, as JSON.
pub const LEDGER: &str = "forescale.dev/ledger";

/// A replica's load unserved costs at most so many replicas.
const MISS_COST_MAX: f64 = 100_000.0;
/// Longest value that is read, in bytes.
pub const VALUE_BYTES_MAX: usize = 4096;

/// Longest lead time.
const LEAD_TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// One documented annotation.
#[derive(Debug)]
pub struct Annotation {
    /// Its name without [`PREFIX`].
    pub name: &'static str,
    /// What its value looks like.
    pub form: &'static str,
    /// What holds where it isn't given.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// A value that is accepted.
    pub example: &'static str,
    /// Who writes it.
    pub writer: Writer,
}

/// Who writes an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// The workload's owner.
    User,
    /// The program: read it, don't write it.
    Program,
}

const fn user(
    name: &'static str,
    form: &'static str,
    default: &'static str,
    meaning: &'static str,
    example: &'static str,
) -> Annotation {
    Annotation { name, form, default, meaning, example, writer: Writer::User }
}

/// Every annotation there is.
pub const ANNOTATIONS: &[Annotation] = &[
    user(
        "mode",
        "`observe` or `act`",
        "not opted in",
        "Opts the workload in. `observe`: decide, log and show, write nothing. `act`: raise its floor (the config's `mode` must be `act` too). Removing it puts every original value back.",
        "observe",
    ),
    user(
        "source",
        "name of a source of the config",
        "`workloads.source` of the config, or its only source",
        "Where the load is read.",
        "main",
    ),
    user(
        "load-query",
        "query in the source's language",
        "the metrics that the HPA or ScaledObject scales on",
        "The load: a sum that doesn't fall because replicas are added (requests/s, arrivals, total cores), never an average or a utilization. Replaces the autoscaler's metrics; needs `capacity-per-replica`. The config may forbid it for a source.",
        "sum(rate(http_requests_total{service=\"web\"}[2m]))",
    ),
    user(
        "capacity-per-replica",
        "quantity above 0, or `auto`",
        "the target of the HPA's or ScaledObject's metric",
        "Load that one replica serves, in the load's unit. `auto`: learned from the cores that the pods of each version use under how much load, at 70 % of their CPU requests, and the lower bound of what that says; from a source that knows `queries.cpu` and `queries.pods`. Until half an hour of evidence is there, the target of the metric holds; without one, nothing is decided.",
        "120",
    ),
    user(
        "headroom",
        "`auto`",
        "what the capacity contains",
        "`auto`: one replica's capacity is what it serves fully used (all of its CPU requests, or `capacity-per-replica`), and headroom follows square-root staffing: much where few replicas run, little where many do. For cpu targets, and where `capacity-per-replica` is given.",
        "auto",
    ),
    user(
        "min-replicas",
        "whole number from 0 to 100000",
        "the autoscaler's own; 1 without one; required where neither an autoscaler nor `load-query` is",
        "The floor never goes below it. Not below the autoscaler's own.",
        "2",
    ),
    user(
        "max-replicas",
        "whole number from 1 to 100000",
        "the autoscaler's own; required without one",
        "The floor never goes above it. Not above the autoscaler's own.",
        "50",
    ),
    user(
        "lead-time",
        "duration from 1s to 1d",
        "`workloads.lead_time` of the config (3m)",
        "From a decision to a replica that serves.",
        "90s",
    ),
    user(
        "unserved-budget",
        "share between 0 and 100%, both excluded; above 0.01 with its percent sign",
        "`workloads.unserved_budget` of the config (0.1%)",
        "Share of the load that may go unserved: smaller costs more replicas.",
        "0.05%",
    ),
    user(
        "costs",
        "`<cost of a replica>/<cost of a replica's load unserved>`, both for the same time, in any currency",
        "`unserved-budget` decides",
        "Instead of a budget: what is cheaper together is done, and as much goes unserved as that leaves. The second is at least the first and at most 100,000 times it.",
        "0.04/6",
    ),
    user(
        "time-zone",
        "IANA time zone",
        "`workloads.time_zone` of the config (UTC)",
        "Zone of the people behind the load: days and weeks repeat in it, through clock changes.",
        "Europe/Berlin",
    ),
    user(
        "schedule",
        "windows, separated by `;` or line breaks: `<five cron fields> <duration> <IANA zone> [min=N] [max=N] [xN.N] [except=DATE,…]`",
        "none",
        "Hours with bounds of their own, on the wall clock of the zone (0 = Sunday; days are alternatives when both are restricted, as in CronJobs). Replicas for `min` are ready when the window begins. `x1.5` asks for that many times what the load to come needs. A level: nothing is missed over a restart. A beginning that the clocks skip comes when they go on; one that they repeat counts both times. `except` are local dates on which no window begins.",
        "0 8 * * 1-5 10h Europe/Berlin min=10 max=40",
    ),
    user(
        "exclude",
        "entries, separated by `;` or line breaks: `<date or time>[/<date or time>] [IANA zone] [every=day|week|month|year] [name]`",
        "none",
        "Hours whose load is no lesson: load tests, migrations, outages. They are shown and reacted to, and never learned from. On the workload's wall clock unless a zone is named; an end that is a date is meant as a whole day.",
        "2026-11-27T22:00/2026-11-28T02:00 load test",
    ),
    user(
        "events",
        "the same entries, each with its effect: `x3`, `like=DATE`, `holiday` or `exclude`",
        "none",
        "Hours with a known effect. `x3`: three times the usual load. `like=2026-11-13`: like that date, where it lies within the history that was learned from. `holiday`: like a Sunday. None of them is learned from as an ordinary day.",
        "2026-11-27T18:00/2026-11-27T23:00 x3 every=year sale",
    ),
    user(
        "calendars",
        "names of calendars of the config, separated by commas, or `none`",
        "all of the config",
        "Whose holidays and events count for this workload.",
        "germany,shop",
    ),
    user(
        "hold",
        "`<replicas> until <time>`, the time in RFC 3339",
        "nothing is held",
        "At least so many replicas until then, whatever load and schedules say; within `max-replicas`. For emergencies; `forescale hold` writes it.",
        "20 until 2026-11-24T18:00:00Z",
    ),
    user(
        "pool",
        "name of a pool in the config",
        "the pool whose selector fits",
        "The warm pool that holds slots ready for this workload's pods; a workload has one at most.",
        "web",
    ),
    Annotation {
        name: "ledger",
        form: "JSON",
        default: "–",
        meaning: "On the HPA, the ScaledObject, or the workload that has neither: the user's own value, ours, and until when ours holds. `forescale release` reads it to put everything back.",
        example: "{\"original\":2,\"floor\":8,\"reason\":\"forecast\",\"expires\":\"2026-11-24T08:15:00Z\"}",
        writer: Writer::Program,
    },
];

/// Who says what one replica serves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GivenCapacity {
    /// The annotation: load units, positive.
    Load(f64),
    /// Its pods.
    Learned,
}

/// What the annotations of one workload say. None: not given.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotations {
    /// `mode`.
    pub mode: Mode,
    /// `source`.
    pub source: Option<String>,
    /// `load-query`.
    pub load_query: Option<String>,
    /// `capacity-per-replica`.
    pub capacity_per_replica: Option<GivenCapacity>,
    /// `headroom` is `auto`.
    pub staffed: bool,
    /// `min-replicas`.
    pub min_replicas: Option<Replicas>,
    /// `max-replicas`.
    pub max_replicas: Option<Replicas>,
    /// `lead-time`.
    pub lead_time: Option<LeadTime>,
    /// `unserved-budget`, in (0, 1).
    pub unserved_budget: Option<f64>,
    /// `costs`: the second over the first.
    pub miss_cost: Option<f64>,
    /// `time-zone`; known to be one.
    pub time_zone: Option<String>,
    /// `schedule`; empty where it isn't given.
    pub schedule: Vec<Window>,
    /// `exclude`; empty where it isn't given.
    pub exclude: Vec<Occasion>,
    /// `events`; empty where it isn't given.
    pub events: Vec<Occasion>,
    /// `calendars`. None: all.
    pub calendars: Option<Vec<String>>,
    /// `hold`.
    pub hold: Option<Hold>,
    /// `pool`.
    pub pool: Option<String>,
}

impl Annotations {
    /// Reads the annotations of the object `at`, others' left aside. None: not opted in. All problems at once.
    pub fn parse(at: &str, all: &BTreeMap<String, String>) -> Result<Option<Annotations>, Vec<Problem>> {
        let mut reader = Reader { at, all, problems: Vec::new() };
        reader.check_names();
        let mode = reader.value("mode", |text| match text {
            "observe" => Ok(Mode::Observe),
            "act" => Ok(Mode::Act),
            _ => Err("observe or act".into()),
        });
        let annotations = Annotations {
            mode: mode.unwrap_or(Mode::Observe),
            source: reader.value("source", text),
            load_query: reader.value("load-query", text),
            capacity_per_replica: reader.value("capacity-per-replica", |text| {
                let quantity = Quantity::parse(text).ok().map(|q| q.0).filter(|q| *q > 0.0);
                let given = (text == "auto").then_some(GivenCapacity::Learned).or(quantity.map(GivenCapacity::Load));
                given.ok_or_else(|| "a quantity above 0, such as 120 or 500m, or auto".into())
            }),
            staffed: reader.value("headroom", |text| match text {
                "auto" => Ok(true),
                _ => Err("auto".into()),
            }) == Some(true),
            min_replicas: reader.value("min-replicas", |text| replicas(text, 0)),
            max_replicas: reader.value("max-replicas", |text| replicas(text, 1)),
            lead_time: reader.value("lead-time", |text| {
                let lead = parse_duration(text).ok().filter(|d| *d >= Duration::from_secs(1) && *d <= LEAD_TIME_MAX);
                let longest = duration::format(LEAD_TIME_MAX);
                lead.map(LeadTime).ok_or_else(|| format!("a duration such as 90s or 3m, from 1s to {longest}"))
            }),
            unserved_budget: reader.value("unserved-budget", |text| {
                parse_share(text).map_err(|_| "a share between 0% and 100%, both excluded, such as 0.1%")?;
                parse_budget(text).map_err(|_| "a percent sign after a share above 0.01, such as 0.1%".into())
            }),
            miss_cost: reader.value("costs", |text| {
                let cost = |text: &str| Quantity::parse(text.trim()).ok().map(|q| q.0).filter(|q| *q > 0.0);
                let costs = text.split_once('/').and_then(|(one, other)| Some(cost(other)? / cost(one)?));
                costs.filter(|ratio| (1.0..=MISS_COST_MAX).contains(ratio)).ok_or_else(|| {
                    format!("two costs above 0, the second from 1 to {MISS_COST_MAX} times the first, such as 0.04/6")
                })
            }),
            time_zone: reader.value("time-zone", |text| match jiff::tz::TimeZone::get(text) {
                Ok(_) => Ok(text.to_string()),
                Err(_) => Err("an IANA time zone such as Europe/Berlin".into()),
            }),
            schedule: reader
                .value("schedule", |text| schedule::parse(text).map_err(|errors| errors.join(", and ")))
                .unwrap_or_default(),
            exclude: reader
                .value("exclude", |text| {
                    let read = occasion::parse(text, Some(Effect::Exclude)).map_err(|errors| errors.join(", and "))?;
                    let only = read.iter().all(|o| o.effect == Effect::Exclude);
                    if only { Ok(read) } else { Err("entries without another effect: those belong in events".into()) }
                })
                .unwrap_or_default(),
            events: reader
                .value("events", |text| occasion::parse(text, None).map_err(|errors| errors.join(", and ")))
                .unwrap_or_default(),
            calendars: reader.value("calendars", |text| match text {
                "none" => Ok(Vec::new()),
                "" => Err("names of calendars, or none".into()),
                names => Ok(names.split(',').map(|n| n.trim().to_string()).collect()),
            }),
            hold: reader.value("hold", hold),
            pool: reader.value("pool", text),
        };
        if let (Some(min), Some(max)) = (annotations.min_replicas, annotations.max_replicas)
            && min > max
        {
            reader.problem("min-replicas", format!("at most max-replicas, which is {max}"), &min.to_string(), "");
        }
        if annotations.load_query.is_some() && !all.contains_key(&full("capacity-per-replica")) {
            let help = "give the load that one replica serves, such as forescale.dev/capacity-per-replica: \"120\"";
            reader.problem("load-query", "forescale.dev/capacity-per-replica beside it".into(), "none", help);
        }
        match reader.problems {
            problems if !problems.is_empty() => Err(problems),
            _ => Ok(mode.map(|_| annotations)),
        }
    }
}

fn full(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("a value".into()) } else { Ok(text.to_string()) }
}

fn hold(text: &str) -> Result<Hold, String> {
    let parts = text.split_once(" until ").and_then(|(count, until)| {
        Some(Hold { at_least: replicas(count.trim(), 1).ok()?, until: Time::parse(until).ok()? })
    });
    parts.ok_or_else(|| format!("<replicas from 1 to {MAX_REPLICAS}> until <RFC 3339 time>"))
}

fn replicas(text: &str, least: Replicas) -> Result<Replicas, String> {
    let count = text.parse().ok().filter(|n| (least..=MAX_REPLICAS).contains(n));
    count.ok_or_else(|| format!("a whole number from {least} to {MAX_REPLICAS}"))
}

struct Reader<'a> {
    at: &'a str,
    all: &'a BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, name: &str, expected: String, found: &str, help: &str) {
        let at = format!("{}: annotation {PREFIX}{name}", self.at);
        self.problems.push(Problem::new(at, expected, found).help(help));
    }

    /// Names that begin like ours and aren't: a typo must not go unheard.
    fn check_names(&mut self) {
        let known = || ANNOTATIONS.iter().map(|a| a.name);
        for key in self.all.keys() {
            let Some(name) = key.strip_prefix(PREFIX) else { continue };
            if known().any(|k| k == name) {
                continue;
            }
            let users = ANNOTATIONS.iter().filter(|a| a.writer == Writer::User).map(|a| a.name);
            let help = match did_you_mean(name, users) {
                Some(near) => format!("did you mean {PREFIX}{near}?"),
                None => "docs/annotations.md lists them all".into(),
            };
            self.problem(&crate::error::shorten(name), "a known annotation".into(), key, &help);
        }
    }

    fn value<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.all.get(&full(name))?;
        if text.len() > VALUE_BYTES_MAX {
            self.problem(name, format!("at most {VALUE_BYTES_MAX} bytes"), text, "");
            return None;
        }
        match parse(text.trim()) {
            Ok(value) => Some(value),
            Err(expected) => {
                let example = ANNOTATIONS.iter().find(|a| a.name == name).map_or("", |a| a.example);
                self.problem(name, expected, &format!("{text:?}"), &format!("for example {example}"));
                None
            }
        }
    }
}

/// What a ledger says of the user's own floor, without the parts that only the writer needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
struct LedgerFloor {
    original: Option<Replicas>,
    floor: Replicas,
}

/// The user's own lower bound of an autoscaler whose field stands at `current`: the ledger's original while the field
/// is as we wrote it; a third party's value otherwise. None: not set.
pub(super) fn own_floor(
    at: &str,
    annotations: &BTreeMap<String, String>,
    current: Option<Replicas>,
) -> Result<Option<Replicas>, Problem> {
    let Some(text) = annotations.get(LEDGER) else { return Ok(current) };
    match serde_json::from_str::<LedgerFloor>(text) {
        Ok(ledger) if current == Some(ledger.floor) => Ok(ledger.original),
        Ok(_) => Ok(current),
        Err(_) => {
            Err(Problem::new(format!("{at}: annotation {LEDGER}"), "the JSON that forescale wrote", text.as_str())
                .help("restore the field by hand and remove the annotation"))
        }
    }
}

/// The text of `docs/annotations.md`.
pub fn reference() -> String {
    let mut out = String::from(
        "# Annotations\n\n\
         On a Deployment or StatefulSet; `forescale.dev/mode` alone is enough. A value that cannot be understood never\n\
         changes replicas: an event on the workload says what was expected, and nothing is done until it is put right.\n\
         This page is generated from the program's own table.\n",
    );
    for annotation in ANNOTATIONS {
        let _ = write!(
            out,
            "\n## `{PREFIX}{}`\n\n{}{}\n\n- value: {}\n- default: {}\n- example: `{PREFIX}{}: '{}'`\n",
            annotation.name,
            if annotation.writer == Writer::Program { "Written by the program, not for users. " } else { "" },
            annotation.meaning,
            annotation.form,
            annotation.default,
            annotation.name,
            annotation.example,
        );
    }
    out
}

#[cfg(test)]
mod tests;
