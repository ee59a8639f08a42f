//! The demo in the terminal: an opening, a line an hour, a table at the end.

use crate::actuate::Outcome;
use crate::error::Failure;
use crate::simulate::{Comparison, Contestant, Frame};
use crate::units::{Replicas, Time, duration, replicas_for};
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// Where lines go and what they look like.
pub(super) struct Terminal {
    quiet: bool,
    json: bool,
    colour: bool,
}

impl Terminal {
    /// `quiet`: no lines while it runs. `json`: lines go to standard error, so that standard output is JSON alone.
    pub(super) fn new(quiet: bool, json: bool) -> Terminal {
        let terminal = if json { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Terminal { quiet, json, colour: terminal && wanted }
    }

    fn line(&self, line: &str) {
        if self.quiet {
            return;
        }
        // a reader that has gone away (`| head`) is no reason to stop
        let _ = if self.json { writeln!(std::io::stderr(), "{line}") } else { writeln!(std::io::stdout(), "{line}") };
    }

    fn paint(&self, code: &str, text: String) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text }
    }

    /// What is played, and how long learning took.
    pub(super) fn opening(&mut self, comparison: &Comparison, until: Time, seed: u64, learned: Duration) {
        let scenario = comparison.scenario();
        let from = comparison.now();
        self.line(&self.paint("1", format!("Forescale demo: {}", scenario.title)));
        self.line(&format!(
            "  {} from {} to {}; pods are ready after {} (half) to {} (slowest); seed {seed}",
            scenario.workload_name,
            moment(from, comparison),
            moment(until, comparison),
            duration::format(scenario.workload.start_delay.p50),
            duration::format(scenario.workload.start_delay.longest),
        ));
        if let Some(nodes) = scenario.nodes {
            self.line(&format!(
                "  a node holds {} pods and is ready after {} (half) to {} (slowest); Forescale keeps a warm pool",
                nodes.pods_per_node,
                duration::format(nodes.start_delay.p50),
                duration::format(nodes.start_delay.longest),
            ));
        }
        self.line(&format!("  learned the days before in {:.1} s", learned.as_secs_f64()));
    }

    /// Where the page is.
    #[cfg(feature = "daemon")]
    pub(super) fn page(&mut self, port: u16) {
        self.line(&format!("  live page: {}   (Ctrl-C ends)", self.paint("4", format!("http://127.0.0.1:{port}/"))));
        self.line("");
    }

    /// A line an hour.
    pub(super) fn frame(&mut self, frame: &Frame, comparison: &Comparison) {
        if self.quiet || frame.at.secs() % 3600 != 0 {
            return;
        }
        let needs = replicas_for(frame.load, comparison.scenario().workload.capacity_per_replica);
        let worlds = comparison.worlds();
        let world = |c: Contestant| {
            let ready = frame.last(c).map_or(0, |row| row.ready);
            let late = worlds.iter().find(|w| w.contestant == c).map_or(0, |w| w.books.late_minutes);
            let text = format!("{ready:>3} ready, {late} min late");
            if ready < needs { self.paint("31", text) } else { text }
        };
        self.line(&format!(
            "{}  load {:>7} needs {needs:>3} | Forescale {}, floor {} ({}) | HPA alone {}",
            moment(frame.at, comparison),
            thousands(frame.load),
            world(Contestant::Forescale),
            frame.floor,
            word(frame.reason()),
            world(Contestant::HpaAlone),
        ));
    }

    /// The table, or JSON.
    pub(super) fn result(&mut self, comparison: &Comparison, seed: u64, stopped: bool) -> Result<(), Failure> {
        let worlds = comparison.worlds();
        let scenario = comparison.scenario();
        let text = if self.json {
            let json = serde_json::json!({
                "scenario": scenario,
                "seed": seed,
                "until": comparison.now(),
                "stopped_early": stopped,
                "results": worlds,
            });
            json.to_string()
        } else {
            let hours = comparison.now().since(scenario.live_from).as_secs_f64() / 3600.0;
            let until = if stopped { " (stopped early)" } else { "" };
            const WIDTH: usize = 24;
            let mut table = format!(
                "\n{:<WIDTH$} {:>15} {:>14} {:>11} {:>16} {:>13}\n",
                format!("{hours:.0} h played{until}"),
                "unserved work",
                "replica-hours",
                "node-hours",
                "scaling actions",
                "late minutes"
            );
            for world in &worlds {
                let books = &world.books;
                table.push_str(&format!(
                    "{:<WIDTH$} {:>13.3} % {:>14} {:>11} {:>16} {:>13}\n",
                    world.name,
                    world.unserved_fraction * 100.0,
                    thousands(books.replica_hours),
                    thousands(books.node_hours),
                    books.scaling_actions,
                    books.late_minutes
                ));
            }
            table
        };
        let mut out = std::io::stdout();
        match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(anyhow::Error::from(e).into()),
            _ => Ok(()),
        }
    }
}

/// The lines of a log about what Forescale did, if it did something.
pub(super) fn events(frame: &Frame) -> Vec<String> {
    let floor = || {
        let before: Replicas = frame.last(Contestant::Forescale)?.floor;
        match frame.turn.outcome? {
            Outcome::Raised | Outcome::Lowered => {
                Some(format!("floor {before} → {} ({})", frame.floor, word(frame.reason())))
            }
            Outcome::Released => Some(format!("floor released to the user's {}", frame.floor)),
            Outcome::Kept => None,
            Outcome::Yielded => Some("a change by hand stands".into()),
            Outcome::Contested => Some("the floor is contested: stopped".into()),
        }
    };
    let pool = || {
        let sizing = frame.turn.pool.as_ref().filter(|p| p.slots != frame.slots_before)?;
        Some(format!("warm pool {} → {} slots ({})", frame.slots_before, sizing.slots, word(sizing.reason)))
    };
    floor().into_iter().chain(pool()).collect()
}

/// A reason's name, as docs and metrics have it.
fn word(reason: impl serde::Serialize) -> String {
    serde_json::to_value(reason).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn moment(at: Time, comparison: &Comparison) -> String {
    let zone = jiff::tz::TimeZone::get(&comparison.scenario().time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
    at.timestamp().to_zoned(zone).strftime("%a %H:%M").to_string()
}

/// A whole number with its thousands apart.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && out != "-" {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(thousands(0.4), "0");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(1234.5), "1,234");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }
}
