//! What a ResourceQuota still admits, in pods.

use crate::units::Replicas;
use std::collections::BTreeMap;

/// A ResourceQuota that is about pods which serve until they are told to end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QuotaView {
    /// Its name.
    pub name: String,
    /// `status.hard`: amounts in base units by entry, such as `pods` or `requests.cpu`.
    pub hard: BTreeMap<String, f64>,
    /// `status.used`, likewise; what is not there counts as 0.
    pub used: BTreeMap<String, f64>,
}

impl QuotaView {
    /// More pods of these `requests` (base units) that it admits, and the entry that runs out first. None: it says nothing
    /// of what they ask for; entries for other things, such as limits, are left out.
    pub fn leaves(&self, requests: &BTreeMap<String, f64>) -> Option<(Replicas, &str)> {
        let entries = self.hard.iter().filter_map(|(entry, hard)| {
            let each = match entry.as_str() {
                "pods" | "count/pods" => 1.0,
                _ => {
                    let resource = entry.strip_prefix("requests.").unwrap_or(entry);
                    *requests.get(resource).filter(|each| **each > 0.0)?
                }
            };
            let used = self.used.get(entry).copied().unwrap_or(0.0);
            // float noise is not worth a pod
            let left = ((hard - used) / each + 1e-6).floor();
            Some((left.clamp(0.0, f64::from(Replicas::MAX)) as Replicas, entry.as_str()))
        });
        entries.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
        pairs.iter().map(|(r, n)| (r.to_string(), *n)).collect()
    }

    #[test]
    fn the_tightest_entry_counts() {
        let quota = |hard: &[(&str, f64)], used: &[(&str, f64)]| QuotaView {
            name: "q".into(),
            hard: amounts(hard),
            used: amounts(used),
        };
        let requests = amounts(&[("cpu", 0.5), ("nvidia.com/gpu", 1.0)]);
        let cpu = quota(&[("requests.cpu", 10.0), ("limits.cpu", 1.0)], &[("requests.cpu", 8.2)]);
        assert_eq!(cpu.leaves(&requests), Some((3, "requests.cpu")), "1.8 cores for pods of half a core");
        let both = quota(&[("cpu", 10.0), ("pods", 20.0)], &[("cpu", 8.2), ("pods", 18.0)]);
        assert_eq!(both.leaves(&requests), Some((2, "pods")));
        let gpu = quota(&[("requests.nvidia.com/gpu", 4.0)], &[("requests.nvidia.com/gpu", 6.0)]);
        assert_eq!(gpu.leaves(&requests), Some((0, "requests.nvidia.com/gpu")), "more is used than may be");
        assert_eq!(quota(&[("requests.memory", 1e9)], &[]).leaves(&requests), None, "no pod asks for it");
    }
}
