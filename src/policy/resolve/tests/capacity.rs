//! Capacity that is learned, and headroom.

use super::*;

/// A query with `auto`, and what else is given.
fn learned(more: &[(&str, &str)]) -> WorkloadView {
    let fixed = [("mode", "act"), ("load-query", "sum(x)"), ("capacity-per-replica", "auto"), ("max-replicas", "9")];
    workload(&fixed.iter().chain(more).copied().collect::<Vec<_>>(), vec![])
}

#[test]
fn auto_reads_the_usage_of_the_pods() {
    let mut view = learned(&[]);
    view.containers[0].cpu_limit = Some(1.0);
    view.containers[1].cpu_limit = Some(0.25);
    let metric = resolve(&view, &config("")).unwrap().unwrap().policy.metrics.remove(0);
    let usage = metric.learned.unwrap();
    assert_eq!(metric.capacity_per_replica, 0.0, "nothing says it until it is learned");
    assert!((usage.full - 0.7 * 0.6).abs() < 1e-9 && usage.limit == Some(1.25), "{usage:?}");
    assert!(usage.cores.contains(r#"namespace="shop",pod=~"{pods}""#), "{}", usage.cores);
    assert!(usage.replicas.starts_with("count(") && usage.replicas.contains("{pods}"), "{}", usage.replicas);
    view.containers[1].cpu_limit = None;
    let metric = resolve(&view, &config("")).unwrap().unwrap().policy.metrics.remove(0);
    assert_eq!(metric.learned.unwrap().limit, None, "one container without a limit: no limit");
}

#[test]
fn auto_beside_a_target_holds_the_target_until_it_is_learned_and_is_exact_for_cores() {
    let auto = [("mode", "act"), ("capacity-per-replica", "auto")];
    let named = hpa(vec![pods("http_requests", MetricTarget::AverageValue(50.0))]);
    let config = config("");
    let metric = resolve(&workload(&auto, vec![named]), &config).unwrap().unwrap().policy.metrics.remove(0);
    assert_eq!((metric.capacity_per_replica, metric.learned.is_some()), (50.0, true));
    let cores = hpa(vec![cpu(MetricTarget::UtilizationPercent(70))]);
    let resolved = resolve(&workload(&auto, vec![cores]), &config).unwrap().unwrap();
    assert!(resolved.policy.metrics[0].learned.is_none());
    assert!(resolved.notes[0].text.contains("not learned"), "{:?}", resolved.notes);
}

#[test]
fn auto_needs_requests() {
    let mut view = learned(&[]);
    view.containers[1].cpu_request = None;
    assert!(problems(&view)[0].contains("expected a cpu request"), "{:?}", problems(&view));
}

#[test]
fn headroom_auto_undoes_a_flat_utilization() {
    let staffed = [("mode", "act"), ("headroom", "auto")];
    let cores = || vec![hpa(vec![cpu(MetricTarget::UtilizationPercent(60))])];
    let mut view = workload(&staffed, cores());
    view.containers[0].cpu_request = Some(3.9);
    let policy = resolve(&view, &config("")).unwrap().unwrap().policy;
    assert_eq!((policy.metrics[0].capacity_per_replica, policy.slots), (4.0, Some(4.0)), "all of 4 cores");
    let flat = resolve(&workload(&[("mode", "act")], cores()), &config("")).unwrap().unwrap().policy;
    assert_eq!((flat.metrics[0].capacity_per_replica, flat.slots), (0.6 * 0.6, None));
    let learned = resolve(&learned(&[("headroom", "auto")]), &config("")).unwrap().unwrap().policy;
    assert_eq!(learned.metrics[0].learned.as_ref().map(|l| l.full), Some(0.6));
    let named = workload(&staffed, vec![hpa(vec![pods("http_requests", MetricTarget::AverageValue(50.0))])]);
    assert!(problems(&named)[0].contains("headroom: expected cpu utilization targets"), "{:?}", problems(&named));
}
