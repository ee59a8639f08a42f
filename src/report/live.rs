//! The JSON behind the live page: what has happened since a given instant, and how it stands.

use crate::forecast::QuantileForecast;
use crate::plan::Reason;
use crate::units::{Replicas, Time};
use serde::Serialize;
use std::time::Duration;

/// Points kept at most: 14 days of minutes.
const MAX_POINTS: usize = 14 * 1440;
/// Events kept at most.
const MAX_EVENTS: usize = 200;
/// The quantile levels that the page draws.
const LEVELS: [f64; 3] = [0.5, 0.9, 0.99];

/// What never changes while a page is open. Times are milliseconds since 1970.
#[derive(Debug, Clone, Serialize)]
pub struct Subject {
    /// Headline.
    pub title: String,
    /// namespace/name.
    pub workload: String,
    /// Unit of the load.
    pub unit: String,
    /// The first instant shown.
    pub from: Millis,
    /// The last instant that will be shown. None: there is no end.
    pub until: Option<Millis>,
    /// Simulated seconds per second. None: it is real time.
    pub speed: Option<f64>,
    /// Load units that one replica serves.
    pub capacity_per_replica: f64,
    /// Decision to serving, in seconds.
    pub lead_seconds: u64,
    /// IANA zone in which times are shown.
    pub time_zone: String,
    /// The clusters, in the order of [`Point::ready`]; the first is Forescale's.
    pub worlds: Vec<String>,
}

/// Milliseconds since 1970, as JavaScript likes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Millis(pub i64);

impl From<Time> for Millis {
    fn from(at: Time) -> Millis {
        Millis(at.millis())
    }
}

/// Quantiles of the largest load of the window that begins at `at`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Band {
    /// The window's first instant.
    pub at: Millis,
    /// The 0.5, 0.9 and 0.99 quantile.
    pub q: [f64; LEVELS.len()],
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Its instant.
    pub at: Millis,
    /// The load. None: it is missing, which is not zero.
    pub load: Option<f64>,
    /// The forecast made at this step for one lead time ahead.
    pub band: Option<Band>,
    /// Ready replicas of each cluster.
    pub ready: Vec<Replicas>,
    /// Forescale's floor.
    pub floor: Replicas,
    /// Nodes of each cluster.
    pub nodes: Vec<u32>,
    /// Free slots that Forescale's warm pool holds ready.
    pub warm: Replicas,
    /// What binds the floor.
    pub reason: Reason,
}

/// A line of the page's log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// When.
    pub at: Millis,
    /// What.
    pub text: String,
}

/// One line of the page's table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Account {
    /// Whose.
    pub name: String,
    /// Unserved over offered work.
    pub unserved_fraction: f64,
    /// Hours of replicas.
    pub replica_hours: f64,
    /// Hours of nodes.
    pub node_hours: f64,
    /// Changes of the replica count.
    pub scaling_actions: u64,
    /// Minutes with unserved work.
    pub late_minutes: u64,
}

/// The whole story so far, bounded.
#[derive(Debug, Clone)]
pub struct Live {
    subject: Subject,
    points: std::collections::VecDeque<Point>,
    fan: Vec<Band>,
    events: std::collections::VecDeque<Event>,
    accounts: Vec<Account>,
    done: bool,
}

impl Live {
    /// Nothing has happened yet.
    pub fn new(subject: Subject) -> Live {
        Live {
            subject,
            points: Default::default(),
            fan: Vec::new(),
            events: Default::default(),
            accounts: Vec::new(),
            done: false,
        }
    }

    /// One more step; `forecast` as of its instant.
    pub fn push(&mut self, mut point: Point, forecast: Option<&QuantileForecast>, step: Duration) {
        let bands = forecast.filter(|f| f.abstains.is_none()).map(|f| bands(f, step)).unwrap_or_default();
        let lead = Millis(point.at.0 + self.subject.lead_seconds as i64 * 1000);
        point.band = bands.iter().find(|b| b.at >= lead).copied();
        self.fan = bands;
        if self.points.len() == MAX_POINTS {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// One more line of the log.
    pub fn note(&mut self, at: Time, text: String) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Event { at: at.into(), text });
    }

    /// The table as it stands.
    pub fn set_accounts(&mut self, accounts: Vec<Account>) {
        self.accounts = accounts;
    }

    /// Nothing more will happen.
    pub fn finish(&mut self) {
        self.done = true;
    }

    /// True once nothing more will happen.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The answer to the page: everything later than `since`, and how it stands.
    pub fn answer(&self, since: Millis) -> serde_json::Value {
        let first_point = self.points.partition_point(|p| p.at <= since);
        let first_event = self.events.partition_point(|e| e.at <= since);
        serde_json::json!({
            "subject": self.subject,
            "points": self.points.range(first_point..).collect::<Vec<_>>(),
            "events": self.events.range(first_event..).collect::<Vec<_>>(),
            "fan": self.fan,
            "accounts": self.accounts,
            "done": self.done,
        })
    }
}

fn bands(forecast: &QuantileForecast, step: Duration) -> Vec<Band> {
    let band = |w: &crate::forecast::WindowForecast| Band {
        at: (forecast.origin + step * u32::try_from(w.horizon).unwrap_or(u32::MAX)).into(),
        q: LEVELS.map(|level| w.at(level)),
    };
    forecast.windows.iter().map(band).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::WindowForecast;

    #[test]
    fn an_answer_holds_what_is_new_and_the_band_lies_one_lead_ahead() {
        let subject = Subject {
            title: "t".into(),
            workload: "a/b".into(),
            unit: "requests/s".into(),
            from: Millis(0),
            until: None,
            speed: None,
            capacity_per_replica: 10.0,
            lead_seconds: 180,
            time_zone: "UTC".into(),
            worlds: vec!["Forescale".into()],
        };
        let mut live = Live::new(subject);
        let forecast = QuantileForecast {
            origin: Time::from_secs(60),
            windows: [3, 15].map(|horizon| WindowForecast { horizon, values: [horizon as f64; 9] }).to_vec(),
            abstains: None,
        };
        for s in [60, 120] {
            let point = Point {
                at: Time::from_secs(s).into(),
                load: Some(5.0),
                band: None,
                ready: vec![1],
                floor: 1,
                nodes: vec![1],
                warm: 0,
                reason: Reason::Forecast,
            };
            live.push(point, (s == 60).then_some(&forecast), Duration::from_secs(60));
        }
        let all = live.answer(Millis(0));
        assert_eq!(all["points"].as_array().unwrap().len(), 2);
        assert_eq!(all["points"][0]["band"], serde_json::json!({ "at": 240_000, "q": [3.0, 3.0, 3.0] }));
        assert_eq!(all["fan"], serde_json::json!([]), "the newest step has no forecast");
        assert_eq!(live.answer(Millis(60_000))["points"].as_array().unwrap().len(), 1);
    }
}
