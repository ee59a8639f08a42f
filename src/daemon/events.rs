//! Kubernetes Events on the workload: few, each said once, never a reason to stop.

use crate::actuate::{Call, chain};
use crate::actuate::{FIELD_MANAGER, WriteError};
use crate::clock::Deadline;
use crate::policy::{Workload, WorkloadKind};
use crate::units::Time;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tokio::sync::mpsc;

/// Events that wait to be sent; more are dropped.
const QUEUE: usize = 256;
/// Longest text of an event (the API's own limit is 1,024 bytes).
const NOTE_MAX: usize = 1000;
/// The same text about the same workload is said again after this time at the earliest, unless it was over in between.
const AGAIN: Duration = Duration::from_secs(300);
/// Pause between two events.
const PAUSE: Duration = Duration::from_millis(200);
/// Texts remembered at most.
const REMEMBERED: usize = 10_000;

/// What an event is about; shown as its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A floor rose, or would have.
    FloorRaised,
    /// A floor fell, or the user's own value is back.
    FloorLowered,
    /// Nothing is lowered, and why.
    Held,
    /// Annotations or the objects around cannot be used.
    BadAnnotation,
    /// A source fails, or its samples are old.
    SourceDown,
    /// It answers again.
    SourceRecovered,
    /// No forecast: reacting only.
    Fallback,
    /// A third party changes the value.
    Contested,
    /// Pods cannot be created.
    Blocked,
    /// A write was refused.
    WriteFailed,
    /// The kill switch is on: nothing is written.
    Stopped,
    /// It is off again.
    Resumed,
    /// A NodePool is kept from voluntary disruption, or would be.
    Guarded,
    /// A guard has lapsed and is cleared away.
    GuardCleared,
    /// A third party takes guards away.
    GuardContested,
    /// No guard can be written, and why.
    GuardRefused,
    /// Nodes will expire within a ramp.
    ExpiryAhead,
    /// A warm pool is not as it should be.
    WarmPool,
    /// What the hours ahead will want does not fit.
    Infeasible,
    /// A replica of the new version serves far less than one of the version before.
    Regressed,
    /// The load only follows the replicas: nothing is raised any more.
    NoGain,
}

impl Kind {
    fn warning(self) -> bool {
        match self {
            Kind::FloorRaised
            | Kind::FloorLowered
            | Kind::Held
            | Kind::SourceRecovered
            | Kind::Fallback
            | Kind::Resumed
            | Kind::Guarded
            | Kind::GuardCleared => false,
            Kind::BadAnnotation
            | Kind::SourceDown
            | Kind::Contested
            | Kind::Blocked
            | Kind::WriteFailed
            | Kind::Stopped
            | Kind::GuardContested
            | Kind::GuardRefused
            | Kind::ExpiryAhead
            | Kind::WarmPool
            | Kind::Infeasible
            | Kind::Regressed
            | Kind::NoGain => true,
        }
    }
}

/// An object that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A workload.
    Workload(Workload),
    /// A NodePool of Karpenter's.
    NodePool(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Workload(workload) => workload.fmt(f),
            Subject::NodePool(name) => write!(f, "NodePool {name}"),
        }
    }
}

/// Where an event goes.
#[derive(Debug, Clone)]
pub struct Regarding {
    /// The object.
    pub subject: Subject,
    /// Its uid.
    pub uid: String,
}

struct Message {
    regarding: Regarding,
    kind: Kind,
    note: String,
    at: Time,
}

/// Sends events in the background.
pub struct Events {
    queue: mpsc::Sender<Message>,
    said: std::sync::Mutex<Said>,
}

/// What was said a moment ago: by object, kind and text.
#[derive(Default)]
struct Said(BTreeMap<(Subject, Kind, String), Deadline>);

impl Said {
    /// True when it is to be said, which is then remembered.
    fn news(&mut self, subject: &Subject, kind: Kind, note: &str) -> bool {
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, until| !until.passed());
        }
        let key = (subject.clone(), kind, note.to_owned());
        // floors are news each time they move
        let moved = matches!(kind, Kind::FloorRaised | Kind::FloorLowered);
        if !moved && self.0.get(&key).is_some_and(|until| !until.passed()) || self.0.len() >= REMEMBERED {
            return false;
        }
        self.0.insert(key, Deadline::after(AGAIN));
        true
    }

    /// It is over: should it come back, it is news.
    fn over(&mut self, subject: &Subject, kind: Kind) {
        self.0.retain(|(of, k, _), _| of != subject || *k != kind);
    }
}

impl Events {
    /// Starts the sender; it ends with this value.
    pub fn start(client: Client, identity: String) -> Events {
        let (queue, messages) = mpsc::channel(QUEUE);
        tokio::spawn(send(client, identity, messages));
        Events { queue, said: std::sync::Mutex::default() }
    }

    /// Says it, unless the same was said a moment ago or too much waits.
    pub fn say(&self, regarding: &Regarding, kind: Kind, note: impl Into<String>, at: Time) {
        let mut note: String = note.into();
        while note.len() > NOTE_MAX {
            note.pop();
        }
        if !self.said().news(&regarding.subject, kind, &note) {
            return;
        }
        tracing::info!(about = %regarding.subject, event = ?kind, "{note}");
        if self.queue.try_send(Message { regarding: regarding.clone(), kind, note, at }).is_err() {
            tracing::debug!("an event was dropped: too many wait");
        }
    }

    /// What this kind of event told of a workload is over: should it come back, it is said again at once.
    pub fn over(&self, regarding: &Regarding, kind: Kind) {
        self.said().over(&regarding.subject, kind);
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn send(client: Client, identity: String, mut messages: mpsc::Receiver<Message>) {
    let mut complained = false;
    let mut number = 0u64;
    while let Some(message) = messages.recv().await {
        number += 1;
        let namespace = namespace(&message.regarding.subject).to_owned();
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        let event = event(&message, &identity, number);
        let sent = tokio::time::timeout(Duration::from_secs(10), api.create(&PostParams::default(), &event)).await;
        let error = match sent {
            Ok(Ok(_)) => {
                complained = false;
                None
            }
            Ok(Err(error)) => {
                let call =
                    Call { verb: "create", resource: "events".into(), object: message.regarding.subject.to_string() };
                let words = chain(&error);
                Some(match WriteError::of(call, error) {
                    WriteError::Refused { .. } => words,
                    other => other.to_string(),
                })
            }
            Err(_) => Some("no answer within 10 s".into()),
        };
        if let Some(error) = error
            && !complained
        {
            complained = true;
            tracing::warn!(%error, "events cannot be written");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The namespace of an event: its object's, or "default" where that has none.
fn namespace(subject: &Subject) -> &str {
    match subject {
        Subject::Workload(workload) => &workload.namespace,
        Subject::NodePool(_) => "default",
    }
}

fn event(message: &Message, identity: &str, number: u64) -> Event {
    let Regarding { subject, uid } = &message.regarding;
    let (api_version, kind, name) = match subject {
        Subject::Workload(w) if w.kind == WorkloadKind::Deployment => ("apps/v1", "Deployment", &w.name),
        Subject::Workload(w) => ("apps/v1", "StatefulSet", &w.name),
        Subject::NodePool(name) => ("karpenter.sh/v1", "NodePool", name),
    };
    let millis = message.at.millis();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{millis:x}{number:x}")),
            namespace: Some(namespace(subject).into()),
            ..ObjectMeta::default()
        },
        action: Some("Scale".into()),
        reason: Some(format!("{:?}", message.kind)),
        note: Some(message.note.clone()),
        type_: Some(if message.kind.warning() { "Warning" } else { "Normal" }.into()),
        event_time: Some(MicroTime(Timestamp::from_millisecond(millis).unwrap_or_default())),
        reporting_controller: Some(FIELD_MANAGER.into()),
        reporting_instance: Some(identity.into()),
        regarding: Some(ObjectReference {
            api_version: Some(api_version.into()),
            kind: Some(kind.into()),
            name: Some(name.clone()),
            namespace: matches!(subject, Subject::Workload(_)).then(|| namespace(subject).into()),
            uid: Some(uid.clone()),
            ..ObjectReference::default()
        }),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_outage_is_told_and_one_that_lasts_is_not_repeated() {
        let web = |name: &str| {
            Subject::Workload(Workload { namespace: "shop".into(), name: name.into(), kind: WorkloadKind::Deployment })
        };
        let mut said = Said::default();
        assert!(said.news(&web("a"), Kind::SourceDown, "connection refused"));
        assert!(!said.news(&web("a"), Kind::SourceDown, "connection refused"), "said a moment ago");
        assert!(said.news(&web("b"), Kind::SourceDown, "connection refused"), "another workload");
        said.over(&web("a"), Kind::SourceDown);
        assert!(said.news(&web("a"), Kind::SourceDown, "connection refused"), "it was over: a second outage");
        assert!(!said.news(&web("b"), Kind::SourceDown, "connection refused"), "this one lasts");
        assert!(said.news(&web("a"), Kind::FloorRaised, "to 5") && said.news(&web("a"), Kind::FloorRaised, "to 5"));
    }
}
