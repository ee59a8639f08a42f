//! Which copy writes: a Lease of coordination.k8s.io, renewed by its holder, taken over when it has been silent.
//!
//! The protocol is client-go's: a copy that does not hold the lease waits until it has not seen it change for the
//! lease's duration on its own monotonic clock; every write carries the resourceVersion that was read. The holder
//! counts its right to write from *before* the request that renewed it, and gives it up earlier than others may take it.

use crate::actuate::{Call, WriteError};
use crate::clock::{Clock, Deadline};
use crate::config;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Whether this copy may write, and until when. Cheap to clone and to ask.
#[derive(Debug, Clone, Default)]
pub struct Right(Arc<Mutex<Standing>>);

#[derive(Debug, Clone, Default)]
struct Standing {
    until: Option<Deadline>,
    holder: String,
    error: Option<String>,
}

impl Right {
    /// True while a write is allowed.
    pub fn held(&self) -> bool {
        self.read().until.is_some_and(|until| !until.passed())
    }

    /// Who holds the lease, as last seen. Empty: nobody.
    pub fn holder(&self) -> String {
        self.read().holder
    }

    /// What went wrong with the lease last, if it still does.
    pub fn error(&self) -> Option<String> {
        self.read().error
    }

    /// Err with the reason where a write is not allowed.
    pub fn check(&self) -> Result<(), String> {
        let standing = self.read();
        match standing.until {
            Some(until) if !until.passed() => Ok(()),
            Some(_) => Err("the lease was not renewed in time".into()),
            None if standing.holder.is_empty() => Err("nobody holds the lease yet".into()),
            None => Err(format!("the lease is held by {}", standing.holder)),
        }
    }

    fn read(&self) -> Standing {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, standing: Standing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}

/// Stands for election.
pub struct Elector {
    api: Api<Lease>,
    config: config::Lease,
    identity: String,
    clock: Arc<dyn Clock>,
    right: Right,
    /// The version that was seen last, and since when.
    seen: Option<(String, Deadline)>,
}

impl Elector {
    /// An elector under this identity (the pod's name).
    pub fn new(client: Client, config: config::Lease, identity: String, clock: Arc<dyn Clock>) -> Elector {
        let api = Api::namespaced(client, &config.namespace);
        Elector { api, config, identity, clock, right: Right::default(), seen: None }
    }

    /// The right to write.
    pub fn right(&self) -> Right {
        self.right.clone()
    }

    /// Stands for election until told to stop, then gives the lease back.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let round = tokio::time::timeout(self.config.duration / 2, self.round());
            let result = tokio::select! {
                result = round => result,
                () = super::told_to_stop(&mut stop) => break,
            };
            let error = match result {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("{}: no answer from the API server in time", self.call("get"))),
            };
            if let Some(error) = error {
                let before = self.right.read();
                if before.error.as_ref() != Some(&error) {
                    tracing::warn!(%error, "lease");
                }
                self.right.set(Standing { error: Some(error), ..before });
            }
            let pause = self.config.duration / 5;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = super::told_to_stop(&mut stop) => break,
            }
        }
        if self.right.held() {
            let release = tokio::time::timeout(Duration::from_secs(2), self.release()).await;
            if !matches!(release, Ok(Ok(()))) {
                tracing::warn!("the lease could not be given back; it lapses by itself");
            }
        }
        self.right.set(Standing::default());
    }

    fn call(&self, verb: &'static str) -> Call {
        let object = format!("{}/{}", self.config.namespace, self.config.name);
        Call { verb, resource: "leases".into(), object }
    }

    /// One look, and one write where there is something to win or to keep.
    async fn round(&mut self) -> Result<(), WriteError> {
        let before = Deadline::now();
        let found = self.api.get_opt(&self.config.name).await.map_err(|e| WriteError::of(self.call("get"), e))?;
        let Some(mut lease) = found else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.config.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.spec(0)),
            };
            return match self.api.create(&PostParams::default(), &lease).await {
                Ok(_) => {
                    self.won(before);
                    Ok(())
                }
                // somebody was quicker
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
                Err(error) => Err(WriteError::of(self.call("create"), error)),
            };
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != version) {
            self.seen = Some((version, before));
        }
        let silent = self.seen.as_ref().map_or(Duration::ZERO, |(_, since)| since.ago());
        let theirs = u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
        let ours = holder == self.identity;
        if !ours && !holder.is_empty() && silent < Duration::from_secs(theirs) {
            self.right.set(Standing { until: None, holder, error: None });
            return Ok(());
        }
        let transitions = spec.lease_transitions.unwrap_or(0);
        let mut renewed = self.spec(if ours { transitions } else { transitions.saturating_add(1) });
        if ours {
            renewed.acquire_time = spec.acquire_time;
        }
        lease.spec = Some(renewed);
        match self.api.replace(&self.config.name, &PostParams::default(), &lease).await {
            Ok(_) => {
                self.won(before);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(WriteError::of(self.call("update"), error)),
        }
    }

    fn won(&mut self, before: Deadline) {
        if !self.right.held() {
            tracing::info!(identity = %self.identity, "holds the lease: this copy writes");
        }
        // others wait for the whole duration from when they saw the renewal, which is later than `before`
        let until = before.later(self.config.duration * 2 / 3);
        self.right.set(Standing { until: Some(until), holder: self.identity.clone(), error: None });
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::from_millisecond(self.clock.now().millis()).unwrap_or_default());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.config.duration.as_secs().max(1)).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    /// Leaves the lease without a holder, so that another copy need not wait.
    async fn release(&self) -> Result<(), kube::Error> {
        let mut lease = self.api.get(&self.config.name).await?;
        let spec = lease.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
            return Ok(());
        }
        let transitions = spec.lease_transitions.unwrap_or(0);
        lease.spec =
            Some(LeaseSpec { holder_identity: None, lease_duration_seconds: Some(1), ..self.spec(transitions) });
        self.api.replace(&self.config.name, &PostParams::default(), &lease).await.map(drop)
    }
}
