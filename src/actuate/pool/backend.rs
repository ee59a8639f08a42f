//! Which back end a pool has, and how one goes without leaving anything behind.

use crate::config::BackendChoice;
use crate::units::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What a pool is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// CapacityBuffers in this version.
    CapacityBuffer(String),
    /// Deployments of placeholders.
    Placeholders,
}

impl Backend {
    /// For metrics and people.
    pub fn name(&self) -> &'static str {
        match self {
            Backend::CapacityBuffer(_) => "capacity-buffer",
            Backend::Placeholders => "placeholders",
        }
    }
}

/// A CapacityBuffer that nobody has said a word about for so long is not acted on: the gate is off.
pub const GATE_WAIT: Duration = Duration::from_secs(120);
/// A buffer of 0 that is not reported empty for so long is deleted all the same.
pub const EMPTY_WAIT: Duration = Duration::from_secs(120);
/// Versions that are understood, the better first.
const VERSIONS: [&str; 2] = ["v1beta1", "v1alpha1"];

/// Chooses. `served`: versions of CapacityBuffer that the cluster has; `silent`: buffers of ours were not acted on. The
/// second is why it is not what one would expect. None: nothing that is asked for can be had.
pub fn choose(choice: BackendChoice, served: &[String], silent: bool) -> (Option<Backend>, Option<String>) {
    let version = VERSIONS.iter().find(|v| served.iter().any(|s| s == *v)).map(|v| v.to_string());
    let off = || {
        format!(
            "the cluster has CapacityBuffers but nothing acts on them within {} s: the feature gate CapacityBuffer is off",
            GATE_WAIT.as_secs()
        )
    };
    match (choice, version) {
        (BackendChoice::Placeholders, _) => (Some(Backend::Placeholders), None),
        (BackendChoice::Auto, Some(_)) if silent => (Some(Backend::Placeholders), Some(off())),
        (BackendChoice::Auto, None) => (Some(Backend::Placeholders), None),
        (BackendChoice::CapacityBuffer, Some(v)) if silent => (Some(Backend::CapacityBuffer(v)), Some(off())),
        (BackendChoice::Auto | BackendChoice::CapacityBuffer, Some(v)) => (Some(Backend::CapacityBuffer(v)), None),
        (BackendChoice::CapacityBuffer, None) => {
            let why = format!("the cluster serves no CapacityBuffer of {}", VERSIONS.join(" or "));
            (None, Some(why))
        }
    }
}

/// What a CapacityBuffer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferView {
    /// When it was made.
    pub created: Time,
    /// `spec.replicas`.
    pub replicas: u32,
    /// Somebody has said something about it: it has a condition.
    pub heard: bool,
    /// `Provisioning` is False with the reason `BufferEmpty`.
    pub empty: bool,
    /// `Provisioning` is True: the nodes are bought, which is not that they are there.
    pub bought: bool,
    /// What `ReadyForProvisioning` complains of.
    pub problem: Option<String>,
}

impl BufferView {
    /// From the object.
    pub fn of(object: &Value) -> Option<BufferView> {
        let created = Time::parse(object.pointer("/metadata/creationTimestamp")?.as_str()?).ok()?;
        let conditions =
            object.pointer("/status/conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let condition = |kind: &str| conditions.iter().find(|c| c["type"] == kind);
        let provisioning = condition("Provisioning");
        let ready = condition("ReadyForProvisioning").filter(|c| c["status"] == "False");
        Some(BufferView {
            created,
            replicas: object
                .pointer("/spec/replicas")
                .and_then(Value::as_u64)
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(0),
            heard: provisioning.is_some() || condition("ReadyForProvisioning").is_some(),
            empty: provisioning.is_some_and(|c| c["reason"] == "BufferEmpty"),
            bought: provisioning.is_some_and(|c| c["status"] == "True"),
            problem: ready.map(|c| {
                let text = |field: &str| c[field].as_str().unwrap_or_default().to_owned();
                format!("{}: {}", text("reason"), text("message"))
            }),
        })
    }

    /// Nothing acts on it.
    pub fn silent(&self, now: Time) -> bool {
        !self.heard && self.replicas > 0 && now.since(self.created) >= GATE_WAIT
    }
}

/// The next step of taking a buffer away. Deleting one that is not empty leaves its node for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Set its replicas to 0.
    Empty,
    /// Wait for `BufferEmpty`.
    Wait,
    /// Delete it, and its PodTemplate.
    Delete,
}

/// See [`Leave`]. `emptied`: since when its replicas are 0.
pub fn leave(now: Time, view: &BufferView, emptied: Option<Time>) -> Leave {
    match () {
        () if !view.heard || (view.replicas == 0 && view.empty) => Leave::Delete,
        () if view.replicas > 0 => Leave::Empty,
        () if emptied.is_some_and(|since| now.since(since) >= EMPTY_WAIT) => Leave::Delete,
        () => Leave::Wait,
    }
}
