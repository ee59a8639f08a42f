//! Kubernetes resource quantities: "500m", "2", "1Gi", "1e3".
//! Source: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

/// A quantity in base units (cores, bytes, requests/s).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Quantity(pub f64);

/// A quantity that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a Kubernetes quantity such as 500m, 2 or 1Gi; found {0:?}")]
pub struct QuantityError(pub String);

impl Quantity {
    /// Reads a quantity. Negative and non-finite values are refused.
    pub fn parse(text: &str) -> Result<Quantity, QuantityError> {
        let text = text.trim();
        let bad = || QuantityError(crate::error::shorten(text));
        const SUFFIXES: [(&str, f64); 15] = [
            ("Ki", 1024.0),
            ("Mi", 1_048_576.0),
            ("Gi", 1_073_741_824.0),
            ("Ti", 1_099_511_627_776.0),
            ("Pi", 1_125_899_906_842_624.0),
            ("Ei", 1_152_921_504_606_846_976.0),
            ("n", 1e-9),
            ("u", 1e-6),
            ("m", 1e-3),
            ("k", 1e3),
            ("M", 1e6),
            ("G", 1e9),
            ("T", 1e12),
            ("P", 1e15),
            ("E", 1e18),
        ];
        let (number, scale) = SUFFIXES
            .iter()
            .find_map(|(suffix, scale)| text.strip_suffix(suffix).map(|n| (n, *scale)))
            .unwrap_or((text, 1.0));
        if number.is_empty() || !number.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == '+') {
            return Err(bad());
        }
        let value: f64 = number.parse().map_err(|_| bad())?;
        let value = value * scale;
        if value.is_finite() && value >= 0.0 { Ok(Quantity(value)) } else { Err(bad()) }
    }
}

/// What one pod asks for of a resource, as the scheduler and a quota count it. `first`: its init containers in their order, each
/// with whether it goes on beside the others; `together`: of its containers.
/// Source: <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>
pub fn of_pod(first: impl Iterator<Item = (bool, f64)>, together: f64) -> f64 {
    let (sidecars, largest) = first.fold((0.0, 0.0_f64), |(sidecars, largest), (sidecar, amount)| match sidecar {
        true => (sidecars + amount, largest),
        false => (sidecars, largest.max(sidecars + amount)),
    });
    (sidecars + together).max(largest)
}

/// What a pod asks for that has resources as a whole, too. `of_its_own`: its request and its limit as a whole; `containers`: what its
/// containers ask for together, None where none does.
/// Source: `defaultPodRequests` in Kubernetes' pkg/apis/core/v1/defaults.go.
pub fn of_whole_pod(of_its_own: [Option<f64>; 2], containers: Option<f64>) -> Option<f64> {
    let [request, limit] = of_its_own;
    request.or(containers).or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (text, value) in [("500m", 0.5), ("2", 2.0), ("1.5", 1.5), ("1Ki", 1024.0), ("3k", 3000.0), ("1e3", 1000.0)]
        {
            assert_eq!(Quantity::parse(text), Ok(Quantity(value)), "{text}");
        }
        for text in ["", "m", "-1", "x", "inf", "NaN", "1Q"] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_sidecar_counts_beside_what_comes_after_it() {
        let first = [(false, 3.0), (true, 1.0), (false, 2.5)];
        assert_eq!(of_pod(first.into_iter(), 1.0), 3.5, "the last init container beside the sidecar");
        assert_eq!(of_pod(first.into_iter(), 4.0), 5.0, "all containers beside the sidecar");
        assert_eq!(of_pod([].into_iter(), 0.5), 0.5);
    }

    #[test]
    fn a_limit_of_a_whole_pod_is_no_request_where_a_container_asks() {
        let (two, three) = (Some(2.0), Some(3.0));
        assert_eq!(of_whole_pod([two, three], Some(1.0)), two);
        assert_eq!(of_whole_pod([None, three], Some(1.0)), Some(1.0));
        assert_eq!(of_whole_pod([None, three], None), three);
        assert_eq!(of_whole_pod([None, None], None), None);
    }
}
