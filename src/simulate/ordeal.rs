//! The same fault for three autoscalers beside each other: what it leaves unserved, and what it costs.

use super::cluster::{Cluster, WorkloadSpec};
use super::hpa::SYNC;
use super::operator::{Operator, OptIn};
use super::pods::StartDelay;
use crate::demand::{Capacities, Usage};
use crate::plan::SourceState;
use crate::rng;
use crate::series::{Sample, Series};
use crate::units::{Replicas, Step, Time};
use rand::Rng as _;
use serde::Serialize;
use std::time::Duration;

/// Minutes of a day.
const DAY: u64 = 1440;
/// Days that are known before the ones that are scored.
const DAYS: u64 = 8;
/// Days that are scored; what goes wrong goes wrong on the first of them, or on the day before.
const SCORED: u64 = 7;
/// The load's peak is at noon, in minutes of the day.
const NOON: u64 = 720;
/// The load at its peak, in what one replica serves.
const PEAK: f64 = 40.0;
/// What one replica serves.
const CAPACITY: f64 = 10.0;
/// What a replica of the weaker version serves of that.
const WEAKER: f64 = 0.7;
/// The autoscalers' target, percent of what a replica serves.
const TARGET: f64 = 0.8;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// Nothing.
    None,
    /// No metric at all for two hours around the peak.
    MetricsLost,
    /// The autoscaler is away for three minutes at the peak, and comes back without memory.
    Restart,
    /// The day before was measured at ten times the truth.
    PoisonedDay,
    /// At the first noon a new version is rolled out, of which a replica serves 70 % of what it did.
    WeakerVersion,
}

/// Who scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaler {
    /// Forescale above an HPA.
    Forescale,
    /// An HPA on a metric of its pods: without the metric nothing changes.
    Hpa,
    /// An HPA on KEDA's external metric: a query without a result is zero, as by KEDA's default.
    Keda,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ordeal {
    /// What went wrong.
    pub trouble: Trouble,
    /// Who scaled.
    pub scaler: Scaler,
    /// Unserved over offered work of the week.
    pub unserved_fraction: f64,
    /// Hours of pods of the week.
    pub replica_hours: f64,
    /// Minutes in which some work went unserved.
    pub late_minutes: u64,
}

/// Every trouble for every autoscaler, on the same load with the same pods.
pub fn ordeals(seed: u64) -> Vec<Ordeal> {
    let troubles =
        [Trouble::None, Trouble::MetricsLost, Trouble::Restart, Trouble::PoisonedDay, Trouble::WeakerVersion];
    let scalers = [Scaler::Forescale, Scaler::Hpa, Scaler::Keda];
    troubles.iter().flat_map(|t| scalers.iter().map(|s| ordeal(seed, *t, *s))).collect()
}

fn loads(seed: u64) -> Vec<f64> {
    let mut rng = rng::stream(seed, "ordeal");
    let load = |minute: u64| {
        let day = (minute as f64 / DAY as f64 * std::f64::consts::TAU).cos();
        // a quarter of the peak at midnight
        PEAK * CAPACITY * (0.625 - 0.375 * day)
    };
    (0..(DAYS + SCORED) * DAY).map(|m| load(m) * rng.random_range(0.95..1.05)).collect()
}

/// What the pods of a cluster use, and what a replica is learned to serve from it. A replica uses 0.1 cores idle and 0.7 at
/// its capacity.
struct Meter {
    learned: Capacities,
    version: &'static str,
    strength: f64,
}

impl Meter {
    fn new() -> Meter {
        Meter { learned: Capacities::new(0.7, Some(0.8)), version: "old", strength: 1.0 }
    }

    /// A minute of `load` on `ready` replicas. What a replica can be counted on for.
    fn read(&mut self, load: f64, ready: Replicas) -> Option<f64> {
        let each = load / f64::from(ready.max(1)) / (CAPACITY * self.strength);
        let cores = f64::from(ready) * (0.1 + 0.6 * each.min(1.1));
        let versions = [(self.version.to_owned(), (Some(f64::from(ready)), Some(cores)))].into();
        self.learned.learn(&Usage { load: Some(load), replicas: Some(f64::from(ready)), versions });
        self.learned.in_force(&[(self.version.to_owned(), ready)].into())
    }
}

fn ordeal(seed: u64, trouble: Trouble, scaler: Scaler) -> Ordeal {
    let (first, start) = (Time::from_secs(0), DAYS * DAY);
    let loads = loads(seed);
    let poison = |minute: u64| trouble == Trouble::PoisonedDay && (start - DAY..start).contains(&minute);
    let measured = |minute: u64, load: f64| if poison(minute) { 10.0 * load } else { load };
    let history = loads.iter().enumerate().take(start as usize).map(|(m, v)| Sample::Valid(measured(m as u64, *v)));
    let history = Series::of(first + Step::MINUTE.duration(), Step::MINUTE, history);
    let start_delay =
        StartDelay { p50: Duration::from_secs(45), p95: Duration::from_secs(90), longest: Duration::from_secs(120) };
    let spec = WorkloadSpec { capacity_per_replica: CAPACITY, min_replicas: 2, max_replicas: 200, start_delay };
    let now = first + Step::MINUTE.times(start as usize);
    let mut cluster = Cluster::new(now, spec, Some(CAPACITY * TARGET), 15, seed);
    cluster.set_external(scaler == Scaler::Keda);
    let opt_in = OptIn {
        capacity_per_replica: CAPACITY,
        lead_time: Duration::from_secs(180),
        unserved_budget: 0.001,
        time_zone: "UTC".into(),
    };
    let mut operator = (scaler == Scaler::Forescale).then(|| Operator::learn(&history, &cluster, &opt_in));
    let mut meter = Meter::new();
    for minute in 0..SCORED * DAY {
        if trouble == Trouble::WeakerVersion && minute == NOON {
            (meter.version, meter.strength) = ("new", WEAKER);
            cluster.set_strength(WEAKER);
        }
        let load = loads.get((start + minute) as usize).copied().unwrap_or(0.0);
        let lost = trouble == Trouble::MetricsLost && (NOON - 60..NOON + 60).contains(&minute);
        let away = trouble == Trouble::Restart && (NOON..NOON + 3).contains(&minute);
        let reading = match scaler {
            Scaler::Keda if lost => Some(0.0),
            _ if lost => None,
            Scaler::Hpa | Scaler::Keda if away => None,
            _ => Some(load),
        };
        if away && scaler != Scaler::Forescale {
            cluster.restart_controller();
        }
        for _ in 0..60 / SYNC.as_secs() {
            cluster.step_reading(load, reading);
        }
        if let Some(operator) = operator.as_mut().filter(|_| !away) {
            if trouble == Trouble::Restart && minute == NOON + 3 {
                operator.restart();
            }
            let (samples, source) = if lost {
                (vec![Sample::Missing], SourceState::Failing { error: "connection refused".into() })
            } else {
                (vec![Sample::Valid(load)], SourceState::Fresh)
            };
            if trouble == Trouble::WeakerVersion
                && let Some(capacity) = meter.read(load, cluster.deployment.ready(cluster.now()))
            {
                operator.count_on(capacity);
            }
            operator.turn(cluster.now(), samples, source, &mut cluster);
        }
    }
    let books = cluster.books();
    Ordeal {
        trouble,
        scaler,
        unserved_fraction: books.unserved_fraction(),
        replica_hours: books.replica_hours,
        late_minutes: books.late_minutes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::LazyLock;

    static ALL: LazyLock<Vec<Ordeal>> = LazyLock::new(|| ordeals(1));

    fn of(trouble: Trouble, scaler: Scaler) -> &'static Ordeal {
        ALL.iter().find(|o| o.trouble == trouble && o.scaler == scaler).unwrap()
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "a minute without optimization; the core is tested with it")]
    fn a_loss_of_metrics_at_the_peak_starves_keda_and_not_us() {
        let all = &*ALL;
        let lost = |s| of(Trouble::MetricsLost, s).unserved_fraction;
        assert!(lost(Scaler::Keda) > 0.01, "two hours of a week: {all:#?}");
        assert!(lost(Scaler::Forescale) <= lost(Scaler::Hpa), "{all:#?}");
        let restart = of(Trouble::Restart, Scaler::Forescale).unserved_fraction;
        assert!(restart <= of(Trouble::None, Scaler::Forescale).unserved_fraction + 1e-4, "{all:#?}");
        let poisoned = of(Trouble::PoisonedDay, Scaler::Forescale).unserved_fraction;
        assert!(poisoned <= of(Trouble::PoisonedDay, Scaler::Hpa).unserved_fraction, "{all:#?}");
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "a minute without optimization; the core is tested with it")]
    fn a_weaker_version_is_learned_and_gets_more_replicas() {
        let ours = of(Trouble::WeakerVersion, Scaler::Forescale);
        let alone = of(Trouble::WeakerVersion, Scaler::Hpa);
        assert!(alone.unserved_fraction > 0.05, "an HPA on requests goes on as before: {alone:?}");
        assert!(ours.unserved_fraction < 0.01, "an hour until it is known: {ours:?}");
        let mut meter = Meter::new();
        (0..200).for_each(|minute| {
            meter.read(200.0 + f64::from(minute % 60), 30);
        });
        (meter.version, meter.strength) = ("new", WEAKER);
        (0..60).for_each(|minute| {
            meter.read(150.0 + f64::from(minute), 30);
        });
        let told = meter.learned.regression().unwrap();
        assert!((told.now / told.before / WEAKER - 1.0).abs() < 0.06, "no line before, so a little too low: {told:?}");
    }

    #[test]
    #[cfg_attr(debug_assertions, ignore = "a minute without optimization; the core is tested with it")]
    fn after_a_day_of_ten_times_the_load_the_next_week_is_planned_as_ever() {
        let hours = |trouble| of(trouble, Scaler::Forescale);
        let (poisoned, never) = (hours(Trouble::PoisonedDay), hours(Trouble::None));
        let ratio = poisoned.replica_hours / never.replica_hours;
        assert!((0.95..1.15).contains(&ratio), "{ratio}: {poisoned:?} {never:?}");
        assert!(poisoned.unserved_fraction <= never.unserved_fraction + 1e-4, "{poisoned:?} {never:?}");
    }
}
