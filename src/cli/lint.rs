//! `forescale lint`: mistakes in objects around scaling and nodes, from files or a cluster.

use crate::clock::{Clock, SystemClock};
use crate::error::{Failure, Problem, did_you_mean};
use crate::lint::{Context, Finding, Object, Report, Severity, lint, objects, sarif};
use crate::units::parse_duration;
use anyhow::anyhow;
use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

/// Find mistakes in NodePools, HPAs, ScaledObjects, PriorityClasses, PodDisruptionBudgets, quotas, pod templates
/// and Forescale's own annotations.
///
/// Files may hold several documents, Lists, and kinds that are not known: those are skipped and counted. Each finding
/// says what happens at run time, and YAML that does what is meant. docs/lint.md has every rule.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// YAML or JSON of Kubernetes objects (- for standard input)
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Look at the objects of the cluster, too
    #[cfg(feature = "daemon")]
    #[arg(long)]
    cluster: bool,
    /// Where people work whose hours budgets are meant for
    #[arg(long, value_name = "ZONE", value_parser = super::zone)]
    time_zone: Option<String>,
    /// Replicas of the forecast peak: of one workload, or N alone for each; objects that name no namespace may be of any
    #[arg(long, value_name = "[[NAMESPACE/]NAME=]N", value_parser = peak)]
    peak_replicas: Vec<(String, u32)>,
    /// A running daemon that is asked for the peak of each workload's day ahead; --peak-replicas goes before it
    #[cfg(feature = "daemon")]
    #[arg(long, value_name = "URL")]
    peaks_from: Option<String>,
    /// From a decision to serving, and the lead of the warm pool
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    lead_time: Option<Duration>,
    /// Print JSON
    #[arg(long, conflicts_with = "sarif")]
    json: bool,
    /// Print SARIF 2.1.0
    #[arg(long)]
    sarif: bool,
    #[cfg(feature = "daemon")]
    #[command(flatten)]
    access: super::cluster::ClusterArgs,
}

#[cfg(feature = "daemon")]
const EXAMPLES: &str = "Examples:
  forescale lint k8s/*.yaml
  helm template . | forescale lint - --time-zone Europe/Berlin --peak-replicas shop/web=80
  forescale lint --cluster --peaks-from http://127.0.0.1:8080
  forescale lint k8s/*.yaml --sarif > lint.sarif

Exit codes: 0 clean, 1 findings, 2 usage or a file that cannot be read.";
#[cfg(not(feature = "daemon"))]
const EXAMPLES: &str = "Examples:
  forescale lint k8s/*.yaml
  helm template . | forescale lint - --time-zone Europe/Berlin --peak-replicas shop/web=80
  forescale lint k8s/*.yaml --sarif > lint.sarif

Exit codes: 0 clean, 1 findings, 2 usage or a file that cannot be read.";

fn peak(text: &str) -> Result<(String, u32), String> {
    let (name, number) = text.rsplit_once('=').unwrap_or(("*", text));
    let number =
        number.parse().map_err(|_| format!("expected a number of replicas such as shop/web=80; found {text:?}"))?;
    Ok((name.to_owned(), number))
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for file in &args.files {
        match read(file) {
            Ok(found) => all.extend(found),
            Err(problem) => problems.push(problem),
        }
    }
    #[cfg(feature = "daemon")]
    if args.cluster {
        all.extend(from_cluster(args)?);
    }
    #[cfg(feature = "daemon")]
    let nothing = args.files.is_empty() && !args.cluster;
    #[cfg(not(feature = "daemon"))]
    let nothing = args.files.is_empty();
    if nothing {
        let expected = if cfg!(feature = "daemon") { "files, - or --cluster" } else { "files or -" };
        return Err(Problem::new("lint", expected, "none").into());
    }
    let zone = args.time_zone.as_deref().and_then(|zone| jiff::tz::TimeZone::get(zone).ok());
    let context = Context {
        time_zone: zone,
        peak_replicas: peaks(args)?,
        lead_time: args.lead_time,
        now: SystemClock.now().secs(),
    };
    if problems.is_empty() {
        problems.extend(args.peak_replicas.iter().filter_map(|(name, _)| unmatched(name, &all)));
    }
    let report = lint(&all, &context);
    match (args.json, args.sarif) {
        (true, _) => super::print_json(&report)?,
        (_, true) => super::print_json(&sarif(&report, env!("CARGO_PKG_VERSION")))?,
        _ => super::print(&text(&report))?,
    }
    match (problems.is_empty(), report.findings.len()) {
        (false, _) => Err(Failure::Usage(problems)),
        (true, 0) => Ok(()),
        (true, n) => Err(Failure::Failed(anyhow!("{n} findings"))),
    }
}

/// What to say of a name that no workload, and no target of an autoscaler, bears: its peak would be looked at by nobody.
fn unmatched(name: &str, all: &[Object]) -> Option<Problem> {
    let own = |o: &Object| match o.kind.as_str() {
        "Deployment" | "StatefulSet" => Some(o.name.clone()),
        "HorizontalPodAutoscaler" | "ScaledObject" => Some(o.root.get("spec.scaleTargetRef.name")?.words()),
        _ => None,
    };
    let owned: Vec<(&Object, String)> = all.iter().filter_map(|o| Some((o, own(o)?))).collect();
    if name == "*" || owned.iter().any(|(o, own)| o.is_meant(name, own)) {
        return None;
    }
    let problem = Problem::new("--peak-replicas", "a workload among the objects, as [NAMESPACE/]NAME", name);
    let known = owned.iter().map(|(o, own)| match name.split_once('/') {
        Some((namespace, _)) if !o.is_placed() => format!("{namespace}/{own}"),
        Some(_) => format!("{}/{own}", o.namespace),
        None => own.clone(),
    });
    let known: Vec<String> = known.collect();
    let near = did_you_mean(name, known.iter().map(String::as_str));
    Some(problem.help(near.map(|near| format!("did you mean {near}?")).unwrap_or_default()))
}

/// What is given first, then what a daemon forecasts.
fn peaks(args: &Args) -> Result<Vec<(String, u32)>, Failure> {
    #[allow(unused_mut, reason = "without the daemon there is nobody to ask")]
    let mut peaks = args.peak_replicas.clone();
    #[cfg(feature = "daemon")]
    if let Some(url) = &args.peaks_from {
        let statez = super::statez::DaemonArgs::at(url).statez()?;
        peaks.extend(statez.workloads.iter().filter_map(|w| Some((w.workload.to_string(), w.peak_ahead?))));
    }
    Ok(peaks)
}

fn read(file: &PathBuf) -> Result<Vec<Object>, Problem> {
    let name = file.display().to_string();
    let mut text = String::new();
    match name.as_str() {
        "-" => std::io::stdin().read_to_string(&mut text).map(drop),
        _ => std::fs::read_to_string(file).map(|content| text = content),
    }
    .map_err(|e| Problem::new(&name, "a readable YAML or JSON file of UTF-8 text", e.to_string()))?;
    objects(&name, &text)
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    for f in &report.findings {
        let Finding { file, line, column, rule, object, field, message, happens, instead, .. } = f;
        let severity = match f.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let _ = writeln!(out, "{file}:{line}:{column}: {severity} [{rule}] {object} {field}: {message}");
        let _ = writeln!(out, "  at run time: {happens}");
        if !instead.is_empty() {
            let _ = writeln!(out, "  instead:\n    {}", instead.replace('\n', "\n    "));
        }
    }
    let _ = writeln!(
        out,
        "{} findings in {} objects; {} of other kinds skipped",
        report.findings.len(),
        report.checked,
        report.skipped
    );
    out
}

/// Kinds that are asked for in a cluster: group, versions of which the first one served is read, kind.
#[cfg(feature = "daemon")]
const ASKED: [(&str, &[&str], &str); 10] = [
    ("karpenter.sh", &["v1"], "NodePool"),
    ("autoscaling", &["v2"], "HorizontalPodAutoscaler"),
    ("keda.sh", &["v1alpha1"], "ScaledObject"),
    ("scheduling.k8s.io", &["v1"], "PriorityClass"),
    ("policy", &["v1"], "PodDisruptionBudget"),
    ("apps", &["v1"], "Deployment"),
    ("apps", &["v1"], "StatefulSet"),
    ("", &["v1"], "ResourceQuota"),
    ("", &["v1"], "LimitRange"),
    ("autoscaling.x-k8s.io", &["v1beta1", "v1alpha1"], "CapacityBuffer"),
];

#[cfg(feature = "daemon")]
fn from_cluster(args: &Args) -> Result<Vec<Object>, Failure> {
    use super::cluster::{greet, runtime};
    use crate::actuate::chain;
    use anyhow::Context as _;
    use kube::api::{Api, DynamicObject, ListParams};
    use kube::core::{ApiResource, GroupVersionKind};
    crate::telemetry::start_log();
    let runtime = runtime()?;
    let found = runtime.block_on(async {
        let client = args.access.client().await?;
        greet(&client).await?;
        let mut all = Vec::new();
        let resources = |(group, versions, kind): (&'static str, &'static [&'static str], &'static str)| {
            versions.iter().map(move |version| ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind)))
        };
        let mut read = None;
        for resource in ASKED.into_iter().flat_map(resources) {
            if read.as_ref() == Some(&resource.plural) {
                continue;
            }
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let list = match api.list(&ListParams::default()).await {
                Ok(list) => list.items,
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                Err(error) => return Err(Failure::Failed(anyhow!("list {}: {}", resource.plural, chain(&error)))),
            };
            read = Some(resource.plural.clone());
            for mut object in list {
                object.types = Some(kube::core::TypeMeta {
                    api_version: resource.api_version.clone(),
                    kind: resource.kind.clone(),
                });
                object.metadata.managed_fields = None;
                let name = object.metadata.name.clone().unwrap_or_default();
                let place = match &object.metadata.namespace {
                    Some(namespace) => format!("cluster/{}/{namespace}/{name}", resource.plural),
                    None => format!("cluster/{}/{name}", resource.plural),
                };
                let text = serde_json::to_string_pretty(&object).context("cannot be shown as JSON")?;
                all.extend(objects(&place, &text)?.into_iter().map(|object| Object { live: true, ..object }));
            }
        }
        Ok(all)
    });
    runtime.shutdown_background();
    found
}
