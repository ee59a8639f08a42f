//! The metrics of an HPA → what a load is made from.

use crate::error::Problem;
use crate::policy::{MetricSelector, MetricTarget, MetricView};
use crate::units::Quantity;
use k8s_openapi::api::autoscaling::v2 as hpa;

/// One entry of `spec.metrics`. Errors: at `place`, what was expected and found.
pub(super) fn metric(spec: &hpa::MetricSpec, place: &dyn Fn() -> String) -> Result<MetricView, Problem> {
    let target = |t: &hpa::MetricTarget| target(t, place);
    let missing = || Problem::new(place(), format!("the block of a {} metric in spec.metrics", spec.type_), "none");
    Ok(match spec.type_.as_str() {
        "Resource" => {
            let m = spec.resource.as_ref().ok_or_else(missing)?;
            MetricView::Resource { resource: m.name.clone(), container: None, target: target(&m.target)? }
        }
        "ContainerResource" => {
            let m = spec.container_resource.as_ref().ok_or_else(missing)?;
            let container = Some(m.container.clone());
            MetricView::Resource { resource: m.name.clone(), container, target: target(&m.target)? }
        }
        "Pods" => {
            let m = spec.pods.as_ref().ok_or_else(missing)?;
            MetricView::Pods {
                metric: m.metric.name.clone(),
                selector: selector(&m.metric),
                target: target(&m.target)?,
            }
        }
        "Object" => {
            let m = spec.object.as_ref().ok_or_else(missing)?;
            MetricView::Object {
                metric: m.metric.name.clone(),
                selector: selector(&m.metric),
                described: format!("{}/{}", m.described_object.kind, m.described_object.name),
                target: target(&m.target)?,
            }
        }
        "External" => {
            let m = spec.external.as_ref().ok_or_else(missing)?;
            MetricView::External {
                metric: m.metric.name.clone(),
                selector: selector(&m.metric),
                target: target(&m.target)?,
            }
        }
        other => {
            let expected = "Resource, ContainerResource, Pods, Object or External in spec.metrics[].type";
            return Err(Problem::new(place(), expected, other));
        }
    })
}

fn selector(metric: &hpa::MetricIdentifier) -> MetricSelector {
    let Some(selector) = &metric.selector else { return MetricSelector::default() };
    let expressions = selector.match_expressions.iter().flatten();
    MetricSelector {
        labels: selector.match_labels.clone().unwrap_or_default(),
        expressions: expressions
            .map(|e| (e.key.clone(), e.operator.clone(), e.values.clone().unwrap_or_default()))
            .collect(),
    }
}

fn target(t: &hpa::MetricTarget, place: &dyn Fn() -> String) -> Result<MetricTarget, Problem> {
    let number = |q: &k8s_openapi::apimachinery::pkg::api::resource::Quantity| {
        Quantity::parse(&q.0).map(|q| q.0).map_err(|e| Problem::new(place(), "a quantity in spec.metrics[]", e.0))
    };
    let none = || Problem::new(place(), format!("the value of a {} target in spec.metrics[]", t.type_), "none");
    Ok(match t.type_.as_str() {
        "Utilization" => {
            let percent = t.average_utilization.and_then(|n| u32::try_from(n).ok());
            MetricTarget::UtilizationPercent(percent.ok_or_else(none)?)
        }
        "AverageValue" => MetricTarget::AverageValue(number(t.average_value.as_ref().ok_or_else(none)?)?),
        _ => MetricTarget::Value(number(t.value.as_ref().ok_or_else(none)?)?),
    })
}
