//! Everything that parses what others write. A target takes any bytes and tells in a few words what came of them; a panic,
//! or a broken promise, is a find.

use forescale::actuate::Ledger;
use forescale::config::Config;
use forescale::error::Problem;
use forescale::history::csv;
use forescale::occasion::{self, Effect};
use forescale::plan::guard::{GuardLedger, go_duration};
use forescale::policy::annotations::Annotations;
use forescale::policy::{import, schedule};
use forescale::units::{Quantity, Time, parse_duration, parse_share};
use forescale::{lint, series, tick};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

/// A name, and what is done with an input.
pub type Target = (&'static str, fn(&[u8]) -> String);

/// All of them; each has a folder of this name with its corpus.
pub const TARGETS: &[Target] = &[
    ("csv", read_csv),
    ("annotations", read_annotations),
    ("amounts", read_amounts),
    ("cron", read_cron),
    ("windows", read_windows),
    ("occasions", read_occasions),
    ("icalendar", read_icalendar),
    ("import", read_import),
    ("lint", read_lint),
    ("config", read_config),
    ("replay", read_log),
    ("ledgers", read_ledgers),
    #[cfg(feature = "daemon")]
    ("promql", read_promql),
    #[cfg(feature = "daemon")]
    ("prometheus", read_prometheus),
    #[cfg(feature = "cloudwatch")]
    ("cloudwatch", read_cloudwatch),
];

/// 2026-11-28, a second before midnight.
const NOW: Time = Time::from_secs(1_795_823_999);

fn told<T>(result: Result<T, impl Display>, ok: impl FnOnce(T) -> String) -> String {
    result.map_or_else(|e| e.to_string(), ok)
}

fn expected(problems: &[Problem]) -> String {
    problems.iter().map(|p| p.expected.as_str()).collect::<Vec<_>>().join("; ")
}

fn read_csv(bytes: &[u8]) -> String {
    let points = csv::unpack(bytes, "x").and_then(|text| csv::parse(&text, "x"));
    told(points.map_err(|p| p.expected), |points| {
        assert!(points.iter().all(|(_, load)| load.is_finite() && *load >= 0.0), "only loads are read");
        let Some(step) = series::detect_step(&points) else { return "one row".into() };
        told(series::grid(&points, step), |series| format!("{} steps", series.len().ilog2()))
    })
}

fn read_annotations(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let all: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (format!("forescale.dev/{key}"), value.to_owned()))
        .collect();
    match Annotations::parse("shop/web", &all) {
        Ok(read) => format!("{}", read.is_some()),
        Err(problems) => expected(&problems),
    }
}

fn read_amounts(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let quantity = told(Quantity::parse(&text), |q| {
        assert!(q.0.is_finite(), "a quantity is a number: {text:?}");
        "quantity".into()
    });
    let share = told(parse_share(&text), |share| {
        assert!((0.0..=1.0).contains(&share), "a share: {share}");
        "share".into()
    });
    let time = told(Time::parse(&text), |time| {
        let again = Time::parse(&time.to_string());
        assert_eq!(again.ok(), Some(time), "what is written can be read");
        "time".into()
    });
    let duration = told(parse_duration(&text), |_| "duration".into());
    format!("{quantity}|{share}|{time}|{duration}|{}", go_duration(&text).is_some())
}

fn read_cron(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().next().unwrap_or_default().replace(';', "");
    let window = schedule::parse(&format!("{line} 1h UTC min=2"));
    let started = window.as_ref().map(|windows| windows.iter().filter_map(|w| w.last_start(NOW)).max());
    assert!(
        started.as_ref().is_ok_and(|at| at.is_none_or(|at| at <= NOW)) || started.is_err(),
        "the last start has been"
    );
    let cron_hpa = format!(
        "kind: CronHPA\nmetadata: {{name: a}}\nspec:\n  scaleTargetRef: {{name: a}}\n  jobs:\n  - {{schedule: {line:?}, targetSize: 3}}\n"
    );
    let (_, problems, _) = import::import(&[("x", &cron_hpa)], "Europe/Berlin", NOW);
    format!("{}|{}", window.map_or_else(|e| e.join("; "), |_| "window".into()), expected(&problems))
}

fn read_windows(bytes: &[u8]) -> String {
    match schedule::parse(&String::from_utf8_lossy(bytes)) {
        Ok(windows) => {
            let floor = schedule::floor(&windows, NOW, Duration::from_secs(900)).is_some();
            let ceiling = schedule::ceiling(&windows, NOW).is_some();
            let times = schedule::times(&windows, NOW, Duration::ZERO);
            assert!(times.is_none_or(|t| t.is_finite() && t >= 1.0), "a factor raises: {times:?}");
            let started = windows.iter().filter_map(|w| w.last_start(NOW)).count() > 0;
            format!("{floor} {ceiling} {} {started}", times.is_some())
        }
        Err(errors) => errors.join("; "),
    }
}

fn spans(found: &[occasion::Occasion]) -> String {
    let until = NOW + Duration::from_secs(400 * 86_400);
    let count: usize = found.iter().take(20).map(|o| o.spans(NOW, until, &TimeZone::UTC).len()).sum();
    format!("{} spans {}", found.len(), count.min(9))
}

fn read_occasions(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    occasion::parse(&text, None).map_or_else(|errors| errors.join("; "), |found| spans(&found))
}

fn read_icalendar(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    occasion::calendar(&text, Effect::Holiday).map_or_else(|problems| expected(&problems), |found| spans(&found))
}

fn read_import(bytes: &[u8]) -> String {
    let (imported, problems, _) = import::import(&[("x", &String::from_utf8_lossy(bytes))], "Europe/Berlin", NOW);
    for one in &imported {
        let texts: Vec<String> = one.windows.iter().map(ToString::to_string).collect();
        assert!(texts.is_empty() || schedule::parse(&texts.join(";")).is_ok(), "windows are written as they are read");
    }
    let different = imported.iter().any(|i| !i.difference.is_empty());
    format!("{} {different}: {}", imported.len(), expected(&problems))
}

fn read_lint(bytes: &[u8]) -> String {
    told(lint::objects("x", &String::from_utf8_lossy(bytes)).map_err(|p| p.expected), |objects| {
        let context = lint::Context {
            time_zone: TimeZone::get("Europe/Berlin").ok(),
            peak_replicas: vec![("*".into(), 400)],
            lead_time: Some(Duration::from_secs(180)),
            now: NOW.secs(),
        };
        let report = lint::lint(&objects, &context);
        let _ = lint::sarif(&report, "0");
        let mut rules: Vec<&str> = report.findings.iter().map(|f| f.rule).collect();
        rules.dedup();
        format!("{} {} {}", report.checked, report.skipped, rules.join(" "))
    })
}

fn read_config(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match Config::assemble(Some(("x", &text)), [], &[]) {
        Ok(_) => "a configuration".into(),
        Err(problems) => expected(&problems),
    }
}

fn read_log(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut replay = tick::Replay::default();
    let said: Vec<String> =
        text.lines().take(20).filter_map(|line| replay.line(line).err()).map(|e| e.to_string()).collect();
    format!("{} {}", replay.same, said.join("; "))
}

fn read_ledgers(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let floor = told(Ledger::parse(&text), |ledger| {
        assert_eq!(Ledger::parse(&ledger.to_text()).ok(), Some(ledger), "what is written can be read");
        "floor".into()
    });
    let guards = told(GuardLedger::parse(&text), |ledger| {
        assert_eq!(GuardLedger::parse(&ledger.to_text()).ok(), Some(ledger), "what is written can be read");
        "guards".into()
    });
    format!("{floor}|{guards}")
}

#[cfg(feature = "daemon")]
fn read_promql(bytes: &[u8]) -> String {
    use forescale::history::prometheus::{check, enforce_namespace};
    let text = String::from_utf8_lossy(bytes);
    let _ = check(&text);
    told(enforce_namespace(&text, "shop").map_err(|p| p.expected), |fenced| {
        let again = enforce_namespace(&fenced, "shop").map_err(|p| p.to_string());
        assert_eq!(again.as_ref(), Ok(&fenced), "a fenced query is fenced");
        "fenced".into()
    })
}

#[cfg(feature = "daemon")]
fn read_prometheus(bytes: &[u8]) -> String {
    match forescale::history::prometheus::parse(bytes) {
        Ok(matrix) => {
            let loads = matrix.series.iter().flat_map(|s| &s.points);
            assert!(loads.clone().all(|(_, value)| value.is_finite()), "what is no number is no point");
            let odd: usize = matrix.series.iter().map(|s| s.not_numbers).sum();
            format!("{} series, {} odd, {} warnings", matrix.series.len().min(3), odd.min(3), matrix.warnings.len())
        }
        Err(unusable) => format!("{unusable:?}"),
    }
}

#[cfg(feature = "cloudwatch")]
fn read_cloudwatch(bytes: &[u8]) -> String {
    use forescale::history::cloudwatch::Spec;
    told(Spec::parse(&String::from_utf8_lossy(bytes), "x").map_err(|p| p.expected), |spec| {
        format!("{} {} {:?}", spec.structures(), spec.metrics_asked(), spec.amount)
    })
}
