//! A fan of quantiles as text, CSV and HTML.

use crate::forecast::{DayAhead, Explanation, LEVELS, QuantileForecast, SLOT, WindowForecast};
use crate::units::Step;
use std::fmt::Write as _;

/// Columns of the bars in a terminal.
const WIDTH: usize = 50;
/// Numbers of the levels that a person is shown: 0.5, 0.95 and 0.99.
const SHOWN: [usize; 3] = [0, 4, 6];

/// Bars per horizon: `█` up to the median, `▓` to the 95 % quantile, `░` to the 99 % quantile; then who is believed.
pub fn text(forecast: &QuantileForecast, explanation: &Explanation, step: Step, now: Option<f64>) -> String {
    let most = forecast.windows.iter().map(|w| at(&w.values, 6)).fold(now.unwrap_or(0.0), f64::max).max(1e-12);
    let cells = |value: f64| ((value / most * WIDTH as f64).round() as usize).min(WIDTH);
    let mut out = String::new();
    let _ = writeln!(out, "largest load of the window that starts in ...       from {}", forecast.origin);
    let _ = writeln!(out, "{:>8} {:>10} {:>10} {:>10}", "", "50 %", "95 %", "99 %");
    if let Some(now) = now {
        let _ = writeln!(out, "{:>8} {:>10} {:>10} {:>10}  {}", "now", number(now), "", "", "█".repeat(cells(now)));
    }
    for w in &forecast.windows {
        let [mid, high, top] = SHOWN.map(|l| at(&w.values, l));
        let (a, b, c) = (cells(mid), cells(high), cells(top));
        let bar = "█".repeat(a) + &"▓".repeat(b.saturating_sub(a)) + &"░".repeat(c.saturating_sub(b));
        let minutes = format!("{} min", w.horizon as f64 * f64::from(step.secs()) / 60.0);
        let _ = writeln!(out, "{minutes:>8} {:>10} {:>10} {:>10}  {bar}", number(mid), number(high), number(top));
    }
    if let Some(why) = forecast.abstains {
        let name = serde_json::to_string(&why).unwrap_or_default();
        let _ = writeln!(out, "\nabstains, so it would move nothing: {}", name.trim_matches('"'));
    }
    for h in &explanation.horizons {
        let minutes = h.horizon as f64 * f64::from(step.secs()) / 60.0;
        let _ = write!(out, "\n{minutes} min ahead");
        if let Some(c) = h.coverage.get(4) {
            let share = |s: Option<f64>| s.map_or("unknown".into(), |s| format!("{:.1} %", 100.0 * s));
            let _ = write!(out, ": 95 % held {} (worst day {})", share(c.overall), share(c.worst_day));
        }
        if let (Some(naive), Some(reactive)) = (h.versus_seasonal_naive, h.versus_reactive) {
            let _ = write!(out, ", loss {naive:.2} of seasonal naive, {reactive:.2} of reacting");
        }
        let _ = writeln!(out);
        for m in h.members.iter().take(4) {
            let member = serde_json::to_value(m.member).unwrap_or_default();
            let part = |key: &str| member.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
            let weight = 100.0 * m.weights.get(4).copied().unwrap_or(0.0);
            let _ = writeln!(out, "    {weight:>3.0} % {} ({} spread)", part("expert"), part("spread"));
        }
    }
    out
}

/// The day ahead, an hour a line: the largest load of the hour in the local time of `zone`, as bars like those of [`text`].
pub fn day(ahead: &DayAhead, zone: &jiff::tz::TimeZone) -> String {
    let per_hour = (3600 / SLOT.as_secs()) as usize;
    let most = ahead.slots.iter().map(|s| at(&s.values, 6)).fold(1e-12, f64::max);
    let cells = |value: f64| ((value / most * WIDTH as f64).round() as usize).min(WIDTH);
    let mut out = format!("largest load of the hour from ...                  known up to {}\n", ahead.origin);
    let _ = writeln!(out, "{:>9} {:>10} {:>10} {:>10}", "", "50 %", "95 %", "99 %");
    for hour in ahead.slots.chunks(per_hour) {
        let [mid, high, top] = SHOWN.map(|l| hour.iter().map(|s| at(&s.values, l)).fold(0.0, f64::max));
        let (a, b, c) = (cells(mid), cells(high), cells(top));
        let bar = "█".repeat(a) + &"▓".repeat(b.saturating_sub(a)) + &"░".repeat(c.saturating_sub(b));
        let from = hour.first().map(|s| s.from.timestamp().to_zoned(zone.clone()).strftime("%a %H:%M").to_string());
        let from = from.unwrap_or_default();
        let _ = writeln!(out, "{from:>9} {:>10} {:>10} {:>10}  {bar}", number(mid), number(high), number(top));
    }
    out.push_str("\nfrom the calendar alone: it explains and plans, and moves no replicas\n");
    out
}

/// The day ahead as a fan on a grid of 15 minutes, for [`csv`] and [`html`].
pub fn of_day(ahead: &DayAhead) -> QuantileForecast {
    let horizon = |at: crate::units::Time| (at.since(ahead.origin).as_secs() / SLOT.as_secs()) as usize;
    let windows = ahead.slots.iter().map(|s| WindowForecast { horizon: horizon(s.from), values: s.values }).collect();
    QuantileForecast { origin: ahead.origin, windows, abstains: None }
}

fn at(values: &[f64; LEVELS.len()], level: usize) -> f64 {
    values.get(level).copied().unwrap_or(0.0)
}

fn number(value: f64) -> String {
    match value {
        v if v >= 1000.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.3}"),
    }
}

/// `origin,horizon_seconds,quantile,value`, one row per horizon and level.
pub fn csv(forecast: &QuantileForecast, step: Step) -> String {
    let mut out = String::from("origin,horizon_seconds,quantile,value\n");
    for w in &forecast.windows {
        for (level, value) in LEVELS.iter().zip(w.values) {
            let _ = writeln!(out, "{},{},{level},{value}", forecast.origin, w.horizon * step.secs() as usize);
        }
    }
    out
}

/// One page without scripts: the last loads, and the fan as bands.
pub fn html(forecast: &QuantileForecast, step: Step, recent: &[(f64, f64)]) -> String {
    let minutes = |horizon: usize| horizon as f64 * f64::from(step.secs()) / 60.0;
    let points = |l: usize| forecast.windows.iter().map(move |w| (minutes(w.horizon), at(&w.values, l)));
    let left = recent.first().map_or(0.0, |p| p.0);
    let right = forecast.windows.last().map_or(1.0, |w| minutes(w.horizon)).max(1.0);
    let most = recent.iter().map(|p| p.1).chain(points(LEVELS.len() - 1).map(|p| p.1)).fold(1e-12, f64::max);
    let place =
        |(x, y): (f64, f64)| format!("{:.1},{:.1}", (x - left) / (right - left) * 900.0, 300.0 - y / most * 290.0);
    let line = |points: &mut dyn Iterator<Item = (f64, f64)>| points.map(place).collect::<Vec<_>>().join(" ");
    let mut bands = String::new();
    for l in (1..LEVELS.len()).rev() {
        let mut around = points(l).chain(points(l - 1).collect::<Vec<_>>().into_iter().rev());
        let shade = 0.75 - 0.08 * l as f64;
        let _ = writeln!(
            bands,
            "<polygon points=\"{}\" fill=\"#2563eb\" fill-opacity=\"{shade:.2}\"><title>{} to {}</title></polygon>",
            line(&mut around),
            at(&LEVELS, l - 1),
            at(&LEVELS, l)
        );
    }
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Forecast from {origin}</title>\n\
         <body style=\"font:16px system-ui;margin:2rem\"><h1 style=\"font-size:1.2rem\">Largest load of the coming windows, \
         from {origin}</h1>\n<svg viewBox=\"0 0 900 310\" role=\"img\" aria-label=\"load and quantile fan\">\n{bands}\
         <polyline points=\"{past}\" fill=\"none\" stroke=\"#111\" stroke-width=\"1.5\"/>\n\
         <polyline points=\"{median}\" fill=\"none\" stroke=\"#1e3a8a\" stroke-width=\"2\"/>\n</svg>\n\
         <p>Black: measured. Blue: the median, and bands up to the {top} quantile. Top of the chart: {most}.</p></body></html>\n",
        origin = forecast.origin,
        past = line(&mut recent.iter().copied()),
        median = line(&mut points(0)),
        top = at(&LEVELS, LEVELS.len() - 1),
        most = number(most),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Task, fit};
    use crate::series::{Sample, Series};
    use crate::units::Time;

    #[test]
    fn a_fan_in_three_forms() {
        let task = Task {
            step: Step::MINUTE,
            horizons: vec![1, 60],
            window: 5,
            time_zone: "UTC".into(),
            occasions: Vec::new(),
        };
        let samples = (0..300).map(|i| Sample::Valid(50.0 + f64::from(i % 7)));
        let fitted = fit(&Series::of(Time::from_secs(0), Step::MINUTE, samples), &task);
        let (forecast, explanation) = (fitted.predict(), fitted.explain());
        let shown = text(&forecast, &explanation, Step::MINUTE, Some(55.0));
        assert!(shown.contains("60 min") && shown.contains('█') && shown.contains("95 % held"), "{shown}");
        let rows: Vec<String> = csv(&forecast, Step::MINUTE).lines().map(str::to_owned).collect();
        assert_eq!(rows.len(), 1 + 2 * LEVELS.len());
        assert!(rows[1].starts_with("1970-01-01T04:59:00Z,60,0.5,"), "{}", rows[1]);
        let page = html(&forecast, Step::MINUTE, &[(-1.0, 50.0), (0.0, 55.0)]);
        assert_eq!(page.matches("<polygon").count(), LEVELS.len() - 1);
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }

    #[test]
    fn a_day_ahead_has_24_hours_in_local_time() {
        let samples = (0..3 * 1440).map(|i| Sample::Valid(if i / 60 % 24 == 9 { 90.0 } else { 30.0 }));
        let history = Series::of(Time::from_secs(0), Step::MINUTE, samples);
        let ahead = crate::forecast::day_ahead(&history, &crate::series::Calendar::new("UTC", Step::MINUTE)).unwrap();
        let shown = day(&ahead, &jiff::tz::TimeZone::get("Europe/Berlin").unwrap());
        let rows: Vec<&str> = shown.lines().filter(|l| l.contains('█')).collect();
        assert!(rows.len() == 24 && rows[0].starts_with("Sun 01:00"), "{shown}");
        assert_eq!(rows.iter().filter(|r| r.contains("90.0")).count(), 1, "{shown}");
        let fan = of_day(&ahead);
        assert_eq!((fan.windows[0].horizon, fan.windows.len()), (0, 96));
    }
}
