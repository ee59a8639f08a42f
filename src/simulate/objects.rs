//! The API objects of one workload in the simulated cluster, and what a write of ours does to them.

use super::pods::Deployment;
use crate::actuate::{LEDGER, Ledger, Target, TargetView, Write};
use crate::units::Replicas;
use std::collections::BTreeMap;

/// The HPA object, as far as anyone here reads or writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HpaObject {
    /// `spec.minReplicas`. None: not set, which the API takes for 1.
    pub min_replicas: Option<Replicas>,
    /// `spec.maxReplicas`.
    pub max_replicas: Replicas,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.resourceVersion`: counts the writes.
    pub resource_version: u64,
}

impl HpaObject {
    /// A fresh object of the user's.
    pub fn new(min_replicas: Option<Replicas>, max_replicas: Replicas) -> HpaObject {
        HpaObject { min_replicas, max_replicas, annotations: BTreeMap::new(), resource_version: 1 }
    }

    /// The bounds that the HPA controller works with.
    pub fn bounds(&self) -> (Replicas, Replicas) {
        (self.min_replicas.unwrap_or(1), self.max_replicas)
    }

    /// Our ledger, read from the annotation's text as from a real object. An unreadable one is an error of the object.
    pub fn ledger(&self) -> Result<Option<Ledger>, crate::actuate::LedgerError> {
        self.annotations.get(LEDGER).map(|text| Ledger::parse(text)).transpose()
    }

    /// The lower bound that the user set himself, whether or not ours stands above it.
    pub fn users_minimum(&self) -> Replicas {
        let original = match self.ledger() {
            Ok(Some(ledger)) => ledger.original,
            _ => self.min_replicas,
        };
        original.unwrap_or(1)
    }

    /// Our floor if it is in force: a ledger's value that someone else has overwritten is not.
    pub fn our_floor(&self) -> Option<Replicas> {
        let ledger = self.ledger().ok().flatten()?;
        let theirs = ledger.yielded_until.is_some() || self.min_replicas != Some(ledger.floor);
        (!theirs).then_some(ledger.floor)
    }

    /// What [`crate::actuate::actions`] is given of this object and its Deployment.
    pub fn view(&self, deployment: &Deployment) -> Result<TargetView, crate::actuate::LedgerError> {
        Ok(TargetView {
            target: Target::Hpa { name: "web".into() },
            floor: self.min_replicas,
            max_replicas: self.max_replicas,
            replicas: deployment.replicas(),
            ledger: self.ledger()?,
        })
    }

    /// Someone else than us sets `spec.minReplicas`: a user, or a GitOps tool that puts its own value back.
    pub fn edit(&mut self, min_replicas: Option<Replicas>) {
        self.min_replicas = min_replicas;
        self.resource_version += 1;
    }

    /// Carries out one write of ours.
    pub fn apply(&mut self, write: &Write, deployment: &mut Deployment) {
        match write {
            Write::Floor { replicas, ledger } => {
                self.min_replicas = Some(*replicas);
                self.annotations.insert(LEDGER.into(), ledger.to_text());
            }
            Write::Ledger { ledger } => {
                self.annotations.insert(LEDGER.into(), ledger.to_text());
            }
            Write::Restore { original } => {
                self.min_replicas = *original;
                self.annotations.remove(LEDGER);
            }
            Write::Scale { replicas } => {
                deployment.scale(*replicas);
                return;
            }
        }
        self.resource_version += 1;
    }
}
