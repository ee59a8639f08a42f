//! The API objects of one workload in the simulated cluster, and what a write of ours does to them.

use super::pods::Deployment;
use crate::actuate::{Ledger, LedgerError, Target, TargetView, Write};
use crate::units::Replicas;

/// The HPA object, as far as anyone here reads or writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HpaObject {
    /// `spec.minReplicas`. None: not set, which the API takes for 1.
    pub min_replicas: Option<Replicas>,
    /// `spec.maxReplicas`.
    pub max_replicas: Replicas,
    /// `metadata.resourceVersion`: counts the writes.
    pub resource_version: u64,
    /// False: there is no autoscaler, and this is the workload's own object.
    pub autoscaled: bool,
    /// The ledger as it reads from its annotation. None: there is no such annotation.
    ledger: Option<Result<Ledger, LedgerError>>,
}

impl HpaObject {
    /// A fresh object of the user's.
    pub fn new(min_replicas: Option<Replicas>, max_replicas: Replicas, autoscaled: bool) -> HpaObject {
        HpaObject { min_replicas, max_replicas, resource_version: 1, autoscaled, ledger: None }
    }

    /// The bounds that the HPA controller works with.
    pub fn bounds(&self) -> (Replicas, Replicas) {
        (self.min_replicas.unwrap_or(1), self.max_replicas)
    }

    /// Our ledger, as it reads from the annotation's text. An unreadable one is an error of the object.
    pub fn ledger(&self) -> Result<Option<&Ledger>, LedgerError> {
        self.ledger.as_ref().map(|l| l.as_ref().map_err(Clone::clone)).transpose()
    }

    fn annotate(&mut self, ledger: &Ledger) {
        // through the text, as in a real object
        self.ledger = Some(Ledger::parse(&ledger.to_text()));
    }

    /// The lower bound that the user set himself, whether or not ours stands above it; what someone else has written since is theirs.
    pub fn users_minimum(&self) -> Replicas {
        let original = match self.ledger() {
            Ok(Some(ledger)) if self.min_replicas == Some(ledger.floor) => ledger.original,
            _ => self.min_replicas,
        };
        original.unwrap_or(1)
    }

    /// Our floor where it is in force: what someone else has written is theirs, even while our ledger remembers it.
    pub fn our_floor(&self, deployment: &Deployment) -> Option<Replicas> {
        self.view(deployment).ok()?.our_floor()
    }

    /// The value that stands where we write.
    pub fn standing(&self, deployment: &Deployment) -> Replicas {
        if self.autoscaled { self.bounds().0 } else { deployment.replicas() }
    }

    /// What [`crate::actuate::actions`] is given of this object and its Deployment.
    pub fn view(&self, deployment: &Deployment) -> Result<TargetView, LedgerError> {
        Ok(TargetView {
            target: if self.autoscaled { Target::Hpa { name: "web".into() } } else { Target::Scale },
            floor: self.min_replicas.filter(|_| self.autoscaled),
            max_replicas: self.max_replicas,
            replicas: deployment.replicas(),
            ledger: self.ledger()?.cloned(),
        })
    }

    /// Someone else than us sets the value: a user, or a GitOps tool that puts its own back.
    pub fn edit(&mut self, value: Replicas, deployment: &mut Deployment) {
        if self.autoscaled {
            self.min_replicas = Some(value);
        } else {
            deployment.scale(value);
        }
        self.resource_version += 1;
    }

    /// Carries out one write of ours.
    pub fn apply(&mut self, write: &Write, deployment: &mut Deployment) {
        match write {
            Write::Floor { replicas, ledger } => {
                match self.autoscaled {
                    true => self.min_replicas = Some(*replicas),
                    false => deployment.scale(*replicas),
                }
                self.annotate(ledger);
            }
            Write::Ledger { ledger } => self.annotate(ledger),
            Write::Restore { original } => {
                self.ledger = None;
                match original {
                    Some(replicas) if !self.autoscaled => deployment.scale(*replicas),
                    _ if self.autoscaled => self.min_replicas = *original,
                    _ => {}
                }
            }
            // the workload is another object than its autoscaler
            Write::Scale { replicas } => return deployment.scale(*replicas),
        }
        self.resource_version += 1;
    }
}
