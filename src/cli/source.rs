//! Recorded load from a Prometheus or CloudWatch source that the command line names.

use crate::clock::{Clock, SystemClock};
use crate::error::{Failure, Problem, shorten};
use crate::history::backfill::{self, Track};
use crate::history::prometheus::{Auth, Prometheus, SourceOptions};
use crate::history::{Points, Query, SourceError};
use crate::rng;
use crate::units::{Step, Time, duration, parse_duration};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Steps that one command may ask for: three years of minutes.
const MAX_STEPS: usize = 1_600_000;

const HEADING: &str = "History from Prometheus";

/// A query of a Prometheus HTTP API (also Thanos, Mimir, VictoriaMetrics) in place of a file.
#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// URL of the Prometheus HTTP API, without /api/v1
    #[arg(long, help_heading = HEADING, group = "server", value_name = "URL", requires = "query")]
    source_url: Option<String>,
    /// PromQL, or CloudWatch metric spec, whose value is the load: one series
    #[arg(long, help_heading = HEADING, value_name = "QUERY", requires = "server", conflicts_with = "history")]
    query: Option<String>,
    /// How far back to ask
    #[arg(long, help_heading = HEADING, default_value = "14d", value_parser = parse_duration, value_name = "DURATION")]
    since: Duration,
    /// Spacing of the samples
    #[arg(long, help_heading = HEADING, default_value = "1m", value_parser = step, value_name = "DURATION")]
    step: Step,
    /// File with a bearer token
    #[arg(long, help_heading = HEADING, value_name = "FILE", conflicts_with = "user")]
    bearer_token_file: Option<PathBuf>,
    /// User of basic authentication
    #[arg(long, help_heading = HEADING, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// File with the password of basic authentication
    #[arg(long, help_heading = HEADING, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Header to send, such as X-Scope-OrgID=tenant; may be given several times
    #[arg(long, help_heading = HEADING, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// PEM certificates that sign the server's
    #[arg(long, help_heading = HEADING, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    #[cfg(feature = "cloudwatch")]
    #[command(flatten)]
    cloudwatch: super::cloudwatch::CloudwatchArgs,
}

fn step(text: &str) -> Result<Step, String> {
    let wanted = parse_duration(text)?;
    let secs = u32::try_from(wanted.as_secs()).ok().filter(|s| Duration::from_secs(u64::from(*s)) == wanted);
    secs.and_then(Step::from_secs).ok_or_else(|| "expected whole seconds, from 1s to 1d".into())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

impl SourceArgs {
    fn options(&self) -> SourceOptions {
        let auth = match (&self.bearer_token_file, &self.user, &self.password_file) {
            (Some(file), _, _) => Auth::BearerTokenFile(file.clone()),
            (None, Some(user), Some(file)) => Auth::Basic { user: user.clone(), password_file: file.clone() },
            _ => Auth::None,
        };
        SourceOptions {
            auth,
            headers: self.header.iter().cloned().collect::<BTreeMap<_, _>>(),
            ca_file: self.ca_file.clone(),
            ..SourceOptions::new(self.source_url.clone().unwrap_or_default())
        }
    }

    async fn fill(
        &self,
        tracks: &mut [Track],
        now: Time,
        rounds: usize,
        show: &mut (dyn FnMut(backfill::Progress) + Send),
    ) -> Result<Vec<backfill::Filled>, Failure> {
        #[cfg(feature = "cloudwatch")]
        if self.cloudwatch.cloudwatch_region.is_some() {
            let source = self.cloudwatch.source().await?;
            let filled = backfill::fill(&source, tracks, now, rounds, show).await;
            eprintln!("{}", super::cloudwatch::cost(&source.meter()));
            return Ok(filled);
        }
        let source = Prometheus::new("--source-url", self.options(), rng::fresh_seed()).map_err(Failure::Usage)?;
        Ok(backfill::fill(&source, tracks, now, rounds, show).await)
    }

    /// Asks for the whole span up to now: name for messages, points, step.
    pub(super) fn read(&self) -> Result<(String, Points, Step), Failure> {
        let text = self.query.clone().unwrap_or_default();
        let steps = self.step.cover(self.since);
        if steps > MAX_STEPS {
            let found = format!("{steps}");
            return Err(Problem::new("--since", format!("at most {MAX_STEPS} steps of --step"), found).into());
        }
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime for the network")?;
        let mut tracks = [Track::new(Query { id: "query".into(), text: text.clone() }, self.step, self.since)];
        let bar = bar();
        let now = SystemClock.now();
        let mut show = |progress: backfill::Progress| {
            bar.set_length(progress.total as u64);
            bar.set_position(progress.done as u64);
        };
        let filled = runtime.block_on(self.fill(&mut tracks, now, steps, &mut show))?;
        bar.finish_and_clear();
        let [track] = tracks;
        for warning in filled.iter().flat_map(|f| &f.warnings) {
            eprintln!("warning: {}: {warning}", shorten(&text));
        }
        if let Some(error) = filled.into_iter().find_map(|f| f.error) {
            return Err(match error {
                SourceError::Refused(problem) => Failure::Usage(vec![problem]),
                error => Failure::Failed(error.into()),
            });
        }
        let points = track.points().clone();
        let name = format!("--query {}", shorten(&text));
        if points.is_empty() {
            let expected = format!("samples in the {} before {now}", duration::format(self.since));
            return Err(Problem::new(name, expected, "none")
                .help("try the query in the source's own page: is a label misspelt, or the retention shorter?")
                .into());
        }
        Ok((name, points, self.step))
    }
}

/// On a terminal only; indicatif draws nothing elsewhere.
fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} samples {eta}") {
        bar.set_style(style);
    }
    bar
}
