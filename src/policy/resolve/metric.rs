//! The metrics that a workload scales on → loads with the capacity of one replica.

use super::{Resolver, title};
use crate::config::{SourceConfig, SourceKind, Template, pod_names, unknown_source};
use crate::error::{Problem, without_credentials};
use crate::policy::annotations::{GivenCapacity, PREFIX};
use crate::policy::cloudwatch::{self, CloudwatchLoad};
use crate::policy::{
    AutoscalerView, HpaView, LoadMetric, MetricSelector, MetricTarget, MetricView, ScaledObjectView, TriggerView,
    UsageQueries, WorkloadKind, load,
};

impl Resolver<'_> {
    /// Every load that is known: the annotation's, or all that the autoscaler scales on and that can be used.
    /// Beside them the work slots of a replica, where headroom is to follow square-root staffing.
    pub(super) fn metrics(&mut self, autoscaler: Option<&AutoscalerView>) -> (Vec<LoadMetric>, Option<f64>) {
        let slots = self.slots(autoscaler);
        let metrics = match &self.annotations.load_query {
            Some(query) => self.annotated(query.clone(), autoscaler).into_iter().collect(),
            None => self.scaled_on(autoscaler, slots),
        };
        (metrics, slots)
    }

    fn scaled_on(&mut self, autoscaler: Option<&AutoscalerView>, slots: Option<f64>) -> Vec<LoadMetric> {
        let found = match autoscaler {
            Some(AutoscalerView::HorizontalPodAutoscaler(hpa)) => self.of_hpa(hpa, slots.is_some()),
            Some(AutoscalerView::ScaledObject(keda)) => self.of_scaled_object(keda),
            None => Vec::new(),
        };
        let (mut metrics, mut skipped) = (Vec::new(), Vec::new());
        for metric in found {
            match metric {
                Ok(metric) => metrics.push(metric),
                Err(problem) => skipped.push(problem),
            }
        }
        self.override_capacity(&mut metrics, slots);
        if metrics.is_empty() && self.annotations.schedule.is_empty() {
            if skipped.is_empty() {
                skipped.push(self.no_load(autoscaler));
            }
            self.problems.append(&mut skipped);
        }
        for problem in skipped {
            let mut text = format!("skipped: expected {}; found {}", problem.expected, problem.found);
            if !problem.help.is_empty() {
                text.push_str(&format!("; {}", problem.help));
            }
            self.note(problem.at, text);
        }
        metrics
    }

    fn no_load(&self, autoscaler: Option<&AutoscalerView>) -> Problem {
        let (at, found) = match autoscaler {
            Some(autoscaler) => (format!("{} of {}", title(autoscaler), self.at), "no metric"),
            None => (self.at.clone(), "no query, and no autoscaler whose scaleTargetRef names it"),
        };
        Problem::new(at, "a metric that is a load", found).help(format!(
            "add {PREFIX}load-query with {PREFIX}capacity-per-replica (or {PREFIX}schedule for fixed hours alone)"
        ))
    }

    fn annotated(&mut self, query: String, autoscaler: Option<&AutoscalerView>) -> Option<LoadMetric> {
        let at = self.annotation("load-query");
        let name = self.source(&at, None).map_err(|problem| self.problems.push(problem)).ok()?;
        let source = self.config.sources.get(&name)?;
        if !source.allow_annotation_queries {
            let problem = Problem::new(at, "no query: the config forbids it for this source", query).help(format!(
                "have an administrator add a template under [queries.metrics], or set sources.{name}.allow_annotation_queries"
            ));
            self.problems.push(problem);
            return None;
        }
        if autoscaler.is_some() {
            self.note(&at, "used in place of the autoscaler's own metrics");
        }
        let tenant = match &source.kind {
            SourceKind::Prometheus(prometheus) if prometheus.enforce_namespace => {
                Some(self.view.workload.namespace.clone())
            }
            _ => None,
        };
        let (capacity, learned) = match self.annotations.capacity_per_replica? {
            GivenCapacity::Load(capacity) => (Some(capacity), None),
            GivenCapacity::Learned => {
                (None, Some(self.usage(self.annotations.staffed).map_err(|p| self.problems.push(p)).ok()?))
            }
        };
        let metric = self.load(&at, name, query, capacity).map_err(|problem| self.problems.push(problem)).ok()?;
        Some(LoadMetric { tenant, learned, ..metric })
    }

    /// `capacity-per-replica` without a query holds for the one metric there is.
    fn override_capacity(&mut self, metrics: &mut [LoadMetric], slots: Option<f64>) {
        let Some(given) = self.annotations.capacity_per_replica else { return };
        match (metrics, given) {
            ([metric], GivenCapacity::Load(capacity)) => metric.capacity_per_replica = capacity,
            ([metric], GivenCapacity::Learned) => match self.usage(slots.is_some()) {
                Ok(_) if self.is_cores(metric) => {
                    let at = self.annotation("capacity-per-replica");
                    self.note(at, "the load is cores, so the target says exactly what a replica serves: not learned");
                }
                Ok(usage) => metric.learned = Some(usage),
                Err(problem) => self.problems.push(problem),
            },
            ([], _) => {}
            (several, _) => {
                let at = self.annotation("capacity-per-replica");
                let problem = Problem::new(at, "one metric that it is the capacity for", format!("{}", several.len()))
                    .help(format!("remove it, or choose the load with {PREFIX}load-query"));
                self.problems.push(problem);
            }
        }
    }

    /// The source of a metric: the one that its template names, the annotation's, the config's, the only one.
    fn source(&self, at: &str, template: Option<&str>) -> Result<String, Problem> {
        let sources = &self.config.sources;
        let (place, name) = match (template, &self.annotations.source, self.config.workloads.source.as_deref()) {
            (Some(name), _, _) | (None, None, Some(name)) => (at.to_string(), name.to_string()),
            (None, Some(name), _) => (self.annotation("source"), name.clone()),
            (None, None, None) if sources.is_empty() => {
                return Err(
                    Problem::new(at, "a source", "none in the config").help("add [sources.<name>] to the config")
                );
            }
            (None, None, None) => {
                let names = sources.keys().cloned().collect::<Vec<_>>().join(", ");
                return Err(Problem::new(at, "one source", names)
                    .help(format!("name one in {PREFIX}source, or in workloads.source of the config")));
            }
        };
        match sources.contains_key(&name) {
            true => Ok(name),
            false => Err(unknown_source(&place, &name, sources.keys())),
        }
    }

    /// A load that nothing speaks against. A metric spec is judged where its language is read.
    fn load(
        &mut self,
        at: &str,
        source: String,
        query: String,
        capacity: impl Into<Option<f64>>,
    ) -> Result<LoadMetric, Problem> {
        let promql = self.config.sources.get(&source).is_none_or(|s| matches!(s.kind, SourceKind::Prometheus(_)));
        if let Some(reason) = load::refusal(&query).filter(|_| promql) {
            let expected = "a load: a sum offered from outside, such as requests/s or total cores";
            return Err(Problem::new(at, expected, format!("{reason}, which falls when replicas are added: {query}"))
                .help("give the sum, and the capacity of one replica"));
        }
        if promql && load::hides_missing(&query) {
            self.note(at, "`or vector(0)` makes missing samples read as zero: without it, a gap is seen as a gap");
        }
        let capacity = capacity.into();
        if let Some(capacity) = capacity.filter(|c| !(c.is_finite() && *c > 0.0)) {
            return Err(Problem::new(at, "a target above 0", capacity.to_string()));
        }
        Ok(LoadMetric { source, query, capacity_per_replica: capacity.unwrap_or(0.0), tenant: None, learned: None })
    }

    fn of_hpa(&mut self, hpa: &HpaView, full: bool) -> Vec<Result<LoadMetric, Problem>> {
        let at = format!("HorizontalPodAutoscaler {} of {}", hpa.name, self.at);
        hpa.metrics
            .iter()
            .enumerate()
            .map(|(i, metric)| {
                let at = format!("{at}: spec.metrics[{i}]");
                match metric {
                    MetricView::Resource { resource, container, target } => {
                        self.cpu(&at, resource, container.as_deref(), *target, full)
                    }
                    MetricView::Pods { metric, selector, target } => self.named(&at, metric, *target, "", selector),
                    MetricView::Object { metric, selector, described, target } => {
                        self.named(&at, metric, *target, described, selector)
                    }
                    MetricView::External { metric, selector, target } => self.named(&at, metric, *target, "", selector),
                }
            })
            .collect()
    }

    fn cpu(
        &mut self,
        at: &str,
        resource: &str,
        container: Option<&str>,
        target: MetricTarget,
        full: bool,
    ) -> Result<LoadMetric, Problem> {
        if resource != "cpu" {
            return Err(Problem::new(at, "a resource that follows the load (cpu)", resource)
                .help("the autoscaler itself goes on looking at it"));
        }
        let capacity = match target {
            MetricTarget::AverageValue(value) => value,
            MetricTarget::UtilizationPercent(_) if full => self.request(at, container)?,
            MetricTarget::UtilizationPercent(percent) => f64::from(percent) / 100.0 * self.request(at, container)?,
            MetricTarget::Value(_) => return Err(whole_target(at)),
        };
        let source = self.source(at, None)?;
        let query = self.fill(&self.config.queries.cpu, "cpu", container, "", &MetricSelector::default());
        self.load(at, source, query, capacity)
    }

    /// True where the load is what the pods use.
    fn is_cores(&self, metric: &LoadMetric) -> bool {
        let cores = self.fill(&self.config.queries.cpu, "cpu", None, "", &MetricSelector::default());
        metric.query == cores
    }

    /// Work slots of a replica: the cores it asks for. None: headroom is what the capacity contains.
    fn slots(&mut self, autoscaler: Option<&AutoscalerView>) -> Option<f64> {
        if !self.annotations.staffed {
            return None;
        }
        let at = self.annotation("headroom");
        let cpu = |m: &MetricView| matches!(m, MetricView::Resource { resource, target: MetricTarget::UtilizationPercent(_), .. } if resource == "cpu");
        let known = self.annotations.capacity_per_replica.is_some()
            || matches!(autoscaler, Some(AutoscalerView::HorizontalPodAutoscaler(hpa)) if hpa.metrics.iter().all(cpu));
        if !known {
            let help = format!(
                "how much headroom the autoscaler's targets contain is not known: give {PREFIX}capacity-per-replica"
            );
            let expected = "cpu utilization targets, or the capacity of a fully used replica";
            self.problems.push(Problem::new(at, expected, "other targets").help(help));
            return None;
        }
        let cores = self.request(&at, None).map_err(|problem| self.problems.push(problem)).ok()?;
        Some(cores.round().max(1.0))
    }

    /// Where the usage of the pods is read; `full`: a replica is to use all of its requests.
    fn usage(&self, full: bool) -> Result<UsageQueries, Problem> {
        /// Share of its requests that a replica uses at its capacity: room for what a step's mean hides.
        const SHARE: f64 = 0.7;
        let at = self.annotation("capacity-per-replica");
        let request = self.request(&at, None)?;
        let limits: Option<Vec<f64>> = self.view.containers.iter().map(|c| c.cpu_limit).collect();
        let source = self.source(&at, None)?;
        if !self.config.sources.get(&source).is_some_and(|s| matches!(s.kind, SourceKind::Prometheus(_))) {
            return Err(Problem::new(at, "a Prometheus source, where the usage of pods is read", source)
                .help("give the load that one replica serves"));
        }
        let fill = |template: &Template, container: &str| {
            template.fill(|name| match name {
                "namespace" => Some(self.view.workload.namespace.clone()),
                "workload" => Some(self.view.workload.name.clone()),
                "container" => Some(container.to_owned()),
                _ => None,
            })
        };
        Ok(UsageQueries {
            source,
            cores: fill(&self.config.queries.cpu, ".+"),
            replicas: fill(&self.config.queries.pods, ".+"),
            full: if full { request } else { SHARE * request },
            limit: self.view.pod.cpu_limit.or(limits.map(|l| l.iter().sum())),
        })
    }

    /// CPU request, in cores, of the container or of the pod, as an HPA takes it.
    /// Source: `calculateRequests` in Kubernetes' pkg/controller/podautoscaler/replica_calculator.go.
    fn request(&self, at: &str, container: Option<&str>) -> Result<f64, Problem> {
        if let (None, Some(request)) = (container, self.view.pod.cpu_request.filter(|r| *r > 0.0)) {
            return Ok(request);
        }
        let wanted: Vec<_> =
            self.view.containers.iter().filter(|c| container.is_none_or(|name| c.name == name)).collect();
        if wanted.is_empty() {
            let names: Vec<&str> = self.view.containers.iter().map(|c| c.name.as_str()).collect();
            let expected = format!("a container of the pod template ({})", names.join(", "));
            return Err(Problem::new(at, expected, container.unwrap_or("no container at all")));
        }
        wanted.iter().try_fold(0.0, |sum, c| match c.cpu_request {
            Some(request) if request > 0.0 => Ok(sum + request),
            _ => Err(Problem::new(
                format!("{}: container {}", self.at, c.name),
                "a cpu request, of which the autoscaler's utilization is a share",
                "none",
            )
            .help("set resources.requests.cpu")),
        })
    }

    fn named(
        &mut self,
        at: &str,
        metric: &str,
        target: MetricTarget,
        described: &str,
        selector: &MetricSelector,
    ) -> Result<LoadMetric, Problem> {
        let capacity = match target {
            MetricTarget::AverageValue(value) => value,
            MetricTarget::Value(_) => return Err(whole_target(at)),
            MetricTarget::UtilizationPercent(_) => {
                return Err(Problem::new(at, "an AverageValue target", "a utilization of a metric without requests"));
            }
        };
        let Some(template) = self.config.queries.metrics.get(metric) else {
            let labels = selector.expressions.is_empty().then_some(&selector.labels);
            if let Some(load) = labels.and_then(|labels| cloudwatch::external(at, metric, labels, capacity)) {
                return self.in_cloudwatch(at, load?);
            }
            let expected =
                format!("a query template for metric {metric} in the config (an HPA doesn't say its adapter's query)");
            let help = format!(
                "add to the config: [queries.metrics.{metric:?}] query = 'sum(rate({metric}{{namespace=\"{{namespace}}\",pod=~\"{{pods}}\"}}[2m]))'"
            );
            return Err(Problem::new(at, expected, "none").help(help));
        };
        if !selector.is_empty() && !template.query.text().contains("{labels}") {
            let found = format!(
                "{} without {{labels}}, so of series that the autoscaler doesn't look at",
                template.query.text()
            );
            return Err(Problem::new(at, format!("a query of {metric} that takes its selector"), found)
                .help("write {labels} behind the last matcher of the template"));
        }
        let source = self.source(at, template.source.as_deref())?;
        let query = self.fill(&template.query, metric, None, described, selector);
        self.load(at, source, query, capacity)
    }

    fn fill(
        &self,
        template: &Template,
        metric: &str,
        container: Option<&str>,
        described: &str,
        selector: &MetricSelector,
    ) -> String {
        let workload = &self.view.workload;
        template.fill(|name| {
            Some(match name {
                "namespace" => workload.namespace.clone(),
                "workload" => workload.name.clone(),
                "pods" => pod_names(&workload.name, workload.kind == WorkloadKind::StatefulSet),
                "container" => container.unwrap_or(".+").to_string(),
                "metric" => metric.to_string(),
                "object" => described.rsplit('/').next().unwrap_or_default().to_string(),
                "labels" => selector.matchers(),
                _ => return None,
            })
        })
    }

    fn of_scaled_object(&mut self, keda: &ScaledObjectView) -> Vec<Result<LoadMetric, Problem>> {
        let at = format!("ScaledObject {} of {}", keda.name, self.at);
        keda.triggers
            .iter()
            .enumerate()
            .map(|(i, trigger)| {
                let at = format!("{at}: spec.triggers[{i}]");
                // cpu and memory are the HPA's own metrics, beside what KEDA makes of the others
                match keda.formula && !matches!(trigger.kind.as_str(), "cpu" | "memory") {
                    true => Err(Problem::new(
                        at,
                        "a trigger that is scaled on by itself",
                        "one in a formula (scalingModifiers)",
                    )
                    .help(format!("give {PREFIX}load-query and {PREFIX}capacity-per-replica"))),
                    false => self.trigger(&at, trigger),
                }
            })
            .collect()
    }

    fn trigger(&mut self, at: &str, trigger: &TriggerView) -> Result<LoadMetric, Problem> {
        match trigger.kind.as_str() {
            "prometheus" => {}
            "cpu" => return self.cpu_trigger(at, trigger),
            "aws-cloudwatch" | "aws-sqs-queue" if trigger.metric_type.as_deref() == Some("Value") => {
                return Err(whole_target(at));
            }
            "aws-cloudwatch" => return self.in_cloudwatch(at, cloudwatch::aws_cloudwatch(at, &trigger.metadata)?),
            "aws-sqs-queue" => return self.in_cloudwatch(at, cloudwatch::aws_sqs_queue(at, &trigger.metadata)?),
            "cron" => {
                return Err(Problem::new(at, "a trigger whose metric is a load", "cron: hours, not load")
                    .help("KEDA goes on applying it; `forescale import` turns it into a schedule"));
            }
            kind => {
                return Err(Problem::new(
                    at,
                    "a trigger whose metric is a load (prometheus, cpu, aws-cloudwatch, aws-sqs-queue)",
                    kind,
                )
                .help(format!("KEDA goes on looking at it; {PREFIX}load-query can give its load")));
            }
        }
        let of = |key: &str| {
            trigger.metadata.get(key).map(|v| v.trim()).filter(|v| !v.is_empty()).ok_or_else(|| {
                Problem::new(format!("{at}: metadata"), key, "none")
                    .help("a value from authenticationRef cannot be read here")
            })
        };
        if trigger.metric_type.as_deref() == Some("Value") {
            return Err(whole_target(at));
        }
        let (address, query, threshold) = (of("serverAddress")?, of("query")?, of("threshold")?);
        let source = self.by_address(at, address)?;
        let capacity = threshold
            .parse::<f64>()
            .ok()
            .filter(|t| *t > 0.0 && t.is_finite())
            .ok_or_else(|| Problem::new(format!("{at}: metadata.threshold"), "a number above 0", threshold))?;
        self.load(at, source, query.to_string(), capacity)
    }

    /// KEDA's cpu trigger is HPA's metric in other words.
    fn cpu_trigger(&mut self, at: &str, trigger: &TriggerView) -> Result<LoadMetric, Problem> {
        let value = trigger.metadata.get("value").map(String::as_str).unwrap_or_default();
        let kind = trigger.metric_type.as_deref().or(trigger.metadata.get("type").map(String::as_str));
        let target = match kind {
            Some("AverageValue") => crate::units::Quantity::parse(value).ok().map(|q| MetricTarget::AverageValue(q.0)),
            _ => value.parse().ok().map(MetricTarget::UtilizationPercent),
        };
        let target =
            target.ok_or_else(|| Problem::new(format!("{at}: metadata.value"), "a percentage or cores", value))?;
        self.cpu(at, "cpu", trigger.metadata.get("containerName").map(String::as_str), target, false)
    }

    /// A load of CloudWatch, from the configured source of its region.
    fn in_cloudwatch(&mut self, at: &str, load: CloudwatchLoad) -> Result<LoadMetric, Problem> {
        let region_of = |source: &SourceConfig| match &source.kind {
            SourceKind::Cloudwatch(cloudwatch) => Some(cloudwatch.region.clone()),
            SourceKind::Prometheus(_) => None,
        };
        // a source without a region takes that of its pod, which is the cluster's
        let fits = |source: &SourceConfig| {
            region_of(source).is_some_and(|own| own.is_none() || load.region.is_none() || own == load.region)
        };
        let sources = &self.config.sources;
        let chosen =
            self.annotations.source.as_ref().filter(|name| sources.get(*name).is_some_and(&fits)).map(String::as_str);
        let exact = || sources.iter().find(|(_, s)| region_of(s).is_some_and(|r| r.is_some() && r == load.region));
        let any = || sources.iter().find(|(_, s)| fits(s));
        let found = chosen.or_else(|| exact().or_else(any).map(|(name, _)| name.as_str())).map(str::to_owned);
        let Some(source) = found else {
            let region = load.region.as_deref().unwrap_or("its region");
            return Err(Problem::new(at, format!("a source of kind cloudwatch in {region} in the config"), "none")
                .help(format!("add [sources.aws] with kind = \"cloudwatch\" and region = \"{region}\"")));
        };
        if load.backlog {
            self.note(
                at,
                "the load is a backlog, which falls as replicas are added; what is sent to the queue foretells better: \
                 give load-query and capacity-per-replica",
            );
        }
        self.load(at, source, load.query, load.capacity)
    }

    /// The configured source behind an address; others aren't asked, whoever names them.
    fn by_address(&self, at: &str, address: &str) -> Result<String, Problem> {
        let bare = |url: &str| url.trim_end_matches('/').to_string();
        let url_of = |source: &SourceConfig| match &source.kind {
            SourceKind::Prometheus(prometheus) => Some(bare(&prometheus.url)),
            SourceKind::Cloudwatch(_) => None,
        };
        let there = |source: &SourceConfig| url_of(source).is_some_and(|url| url == bare(address));
        let names: Vec<&String> = self.config.sources.iter().filter(|(_, s)| there(s)).map(|(name, _)| name).collect();
        let at = format!("{at}: metadata.serverAddress");
        match (self.annotations.source.as_ref().filter(|name| names.contains(name)), names.as_slice()) {
            (Some(chosen), _) => Ok(chosen.clone()),
            (None, [one]) => Ok((*one).clone()),
            (None, []) => {
                let known: Vec<String> = self.config.sources.values().filter_map(url_of).collect();
                let expected = format!("the URL of a configured source ({})", known.join(", "));
                Err(Problem::new(at, expected, without_credentials(address))
                    .help("add it under [sources.<name>] if it is to be asked"))
            }
            (None, several) => {
                // tenants behind one URL: whose series are meant cannot be told
                let several = several.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
                Err(Problem::new(at, "the URL of one configured source", several)
                    .help(format!("name one in {PREFIX}source")))
            }
        }
    }
}

/// A `Value` target speaks of the whole, so it says nothing of what one replica serves.
fn whole_target(at: &str) -> Problem {
    Problem::new(
        at,
        "an AverageValue target, which is what one replica serves",
        "a Value target, which is of the whole",
    )
    .help(format!("use AverageValue, or give {PREFIX}load-query and {PREFIX}capacity-per-replica"))
}
