//! Holidays and events on the command line.

use crate::config::read_calendar;
use crate::error::{Failure, Problem};
use crate::occasion::{self, Effect, OCCASIONS_MAX, Occasion};

/// Days and hours that are not like others.
#[derive(Debug, clap::Args)]
pub struct CalendarArgs {
    /// iCalendar file whose events are public holidays, unless one says X-FORESCALE:x3 or the like
    #[arg(long, value_name = "FILE")]
    calendar: Vec<String>,
    /// "2026-11-27T18:00/2026-11-27T23:00 x3", with like=DATE, holiday or exclude instead of x3
    #[arg(long, value_name = "EVENT")]
    event: Vec<String>,
}

impl CalendarArgs {
    /// All of them, files first.
    pub fn occasions(&self) -> Result<Vec<Occasion>, Failure> {
        let (mut occasions, mut problems) = (Vec::new(), Vec::new());
        for file in &self.calendar {
            match read_calendar(file, Effect::Holiday) {
                Ok(read) => occasions.extend(read),
                Err(found) => problems.extend(found),
            }
        }
        for text in &self.event {
            match occasion::parse(text, None) {
                Ok(read) => occasions.extend(read),
                Err(expected) => problems.push(Problem::new("--event", expected.join(", and "), text.as_str())),
            }
        }
        if occasions.len() > OCCASIONS_MAX {
            problems.push(Problem::new(
                "--calendar",
                format!("at most {OCCASIONS_MAX} events"),
                occasions.len().to_string(),
            ));
        }
        if problems.is_empty() { Ok(occasions) } else { Err(Failure::Usage(problems)) }
    }
}
