//! What nobody answers for any more, given back.

use super::acting::Intent;
use super::events::{Kind, Regarding, Subject};
use super::ticker::Ticker;
use crate::actuate::Site;
use crate::config::Mode;
use crate::observe::Watched;
use crate::units::MAX_REPLICAS;
use std::time::Duration;

/// So long a new copy leaves expired floors alone that it may still renew.
const GRACE: Duration = Duration::from_secs(15 * 60);

impl Ticker {
    /// Gives back what nobody answers for: the workload is gone, has opted out, or its floor has expired.
    pub(super) fn sweep(&mut self) {
        if !self.right.held() || !self.cluster.synced(&Watched::ALL) {
            return;
        }
        if self.config.mode != Mode::Act {
            return self.tell_left();
        }
        let now = self.clock.now();
        let ledgers = self.cluster.ledgers();
        let releasing = &self.releasing;
        self.leaving.retain(|w, _| releasing.contains(w) || ledgers.iter().any(|(of, _, _)| of == w));
        for (workload, target, ledger) in ledgers {
            let expired = ledger.expires <= now;
            let (leave, edition) = match self.tended.get(&workload) {
                None => (false, Default::default()),
                Some((tended, _)) => {
                    let mode = tended.mode(&self.config);
                    let elsewhere = tended.sight.target.as_ref().is_ok_and(|t| t.target != target);
                    let leave = match mode {
                        _ if elsewhere => false,
                        Some(Mode::Observe) => false,
                        // wrong annotations change nothing until the floor's time is over
                        None => !expired,
                        Some(Mode::Act) => !expired || self.started.ago() < GRACE || tended.writing,
                    };
                    (leave, tended.edition())
                }
            };
            if leave || self.cluster.stopped(&workload.namespace).is_some() || self.releasing.contains(&workload) {
                continue;
            }
            tracing::info!(%workload, "gives the user's values back");
            self.releasing.insert(workload.clone());
            let site = Site { workload, target, max_replicas: MAX_REPLICAS };
            self.actor.start(site, Intent::Release, edition, Duration::ZERO);
        }
    }

    /// Mode observe writes nothing, so a floor of mode act before it stays until somebody takes it away: says how.
    fn tell_left(&mut self) {
        for (workload, _, ledger) in self.cluster.ledgers() {
            if !self.left.insert(workload.clone()) {
                continue;
            }
            let note = format!(
                "a floor of {} of mode act still stands; mode observe writes nothing, so it stays: forescale release {} {}",
                ledger.floor, workload.namespace, workload.name
            );
            let uid = self.tended.get(&workload).map(|(t, _)| t.sight.uid.clone()).unwrap_or_default();
            self.events.say(
                &Regarding { subject: Subject::Workload(workload), uid },
                Kind::Held,
                note,
                self.clock.now(),
            );
        }
    }
}
