//! The error of the median against a full fit of MSTL and AutoETS (`augurs`) at every hour, and against persistence (the better of the
//! newest value and the largest of the last 5 minutes).
//!
//!     cargo bench --no-default-features --bench mstl -- TRACE.csv...
//!
//! Traces of minutes. Scored are days 8 to the end, days 3 to the end of traces shorter than 10 days, one origin an hour. MSTL has periods of a day, and of a
//! week where there are two, and is fitted to the last 14 days of 5-minute maxima.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark may fail")]

use augurs::ets::AutoETS;
use augurs::mstl::MSTLModel;
use augurs::{Fit, Predict};
use forescale::forecast::{Task, fit};
use forescale::history::csv;
use forescale::series::{Series, grid};
use forescale::units::Step;
use rayon::prelude::*;
use std::path::Path;

const HORIZONS: [usize; 3] = [3, 15, 60];
const WINDOW: usize = 5;
const DAY: usize = 1440;

/// Sums of absolute errors at each horizon: ours, MSTL's, those of the newest value and of the largest of the last window.
type Errors = [[f64; 4]; 3];

/// Expected largest loads of windows 5 minutes apart, the first one step ahead.
fn mstl(loads: &[f64]) -> Option<Vec<f64>> {
    let from = loads.len().saturating_sub(14 * DAY);
    let tops: Vec<f64> = loads[from..].rchunks(WINDOW).rev().map(|w| w.iter().copied().fold(0.0, f64::max)).collect();
    let periods = if tops.len() > 2 * 2016 + 2 - 4 { vec![288, 2016] } else { vec![288] };
    let trend = AutoETS::non_seasonal().into_trend_model();
    let fitted = MSTLModel::new(periods, trend).fit(&tops).ok()?;
    Some(fitted.predict(HORIZONS[2] / WINDOW + 1, None).ok()?.point)
}

fn errors(path: &str) -> Errors {
    let points = csv::read(Path::new(path)).unwrap();
    let series = grid(&points, Step::MINUTE).unwrap();
    let samples: Vec<_> = series.iter().collect();
    let days = samples.len() / DAY;
    let first = if days < 10 { 2 } else { 7 } * DAY;
    let task = Task {
        step: Step::MINUTE,
        horizons: HORIZONS.to_vec(),
        window: WINDOW,
        time_zone: "UTC".into(),
        occasions: Vec::new(),
    };
    let mut fitted = fit(&Series::new(series.at(0), Step::MINUTE, 1), &task);
    let (mut loads, mut errors) = (Vec::new(), Errors::default());
    for (i, (at, sample)) in samples.iter().enumerate() {
        fitted.observe(*at, *sample);
        // MSTL takes no hole
        loads.push(sample.valid().or(loads.last().copied()).unwrap_or(0.0));
        if i < first || !i.is_multiple_of(60) || sample.valid().is_none() {
            continue;
        }
        let Some(path) = mstl(&loads) else { continue };
        let forecast = fitted.predict();
        for (h, horizon) in HORIZONS.iter().enumerate() {
            let Some(ahead) = samples.get(i + horizon..i + horizon + WINDOW) else { continue };
            let Some(top) = ahead.iter().try_fold(0.0f64, |top, (_, s)| Some(top.max(s.valid()?))) else { continue };
            let place = (horizon - 1) as f64 / WINDOW as f64;
            let (low, share) = (place as usize, place.fract());
            let theirs = (path[low] + share * (path[(low + 1).min(path.len() - 1)] - path[low])).max(0.0);
            let recent = loads[loads.len() - WINDOW..].iter().copied().fold(0.0, f64::max);
            let said = [forecast.windows[h].values[0], theirs, loads[loads.len() - 1], recent];
            errors[h].iter_mut().zip(said).for_each(|(sum, said)| *sum += (said - top).abs());
        }
    }
    errors
}

fn main() {
    let traces: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let mut rows: Vec<(String, Errors)> = traces.par_iter().map(|path| (path.clone(), errors(path))).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    println!(
        "| trace | 3 min: MSTL+ETS | persistence | 15 min: MSTL+ETS | persistence | 60 min: MSTL+ETS | persistence |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut logs = [[0.0; 2]; 3];
    for (path, errors) in &rows {
        let name =
            Path::new(path).file_name().and_then(|n| n.to_str()).unwrap_or(path).split('.').next().unwrap_or(path);
        let cells: Vec<String> = (0..3)
            .flat_map(|h| [(h, 0, errors[h][1]), (h, 1, errors[h][2].min(errors[h][3]))])
            .map(|(h, other, theirs)| {
                let ratio = errors[h][0] / theirs;
                logs[h][other] += ratio.ln();
                format!("{ratio:.2}")
            })
            .collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
    let means: Vec<String> = logs.iter().flatten().map(|l| format!("{:.2}", (l / rows.len() as f64).exp())).collect();
    println!("| geometric mean | {} |", means.join(" | "));
}
