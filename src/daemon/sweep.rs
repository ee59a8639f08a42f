//! What nobody answers for any more, given back.

use super::acting::{Intent, Urgency};
use super::events::{Kind, Regarding, Subject};
use super::ticker::Ticker;
use crate::actuate::{Actions, Outcome, Site};
use crate::config::Mode;
use crate::observe::Watched;
use crate::plan::Plan;
use crate::units::{MAX_REPLICAS, Time};
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
            let (intent, edition) = match self.tended.get(&workload) {
                // over the limit of workloads: it has not opted out
                None if self.showing.refuses(&workload) => (expired.then_some(Intent::Expire), Default::default()),
                None => (Some(Intent::Release), Default::default()),
                Some((tended, _)) => {
                    let mode = tended.mode(&self.config);
                    let elsewhere = tended.sight.target.as_ref().is_ok_and(|t| t.target != target);
                    let intent = match mode {
                        _ if elsewhere => Some(Intent::Release),
                        Some(Mode::Observe) => Some(Intent::Release),
                        // wrong annotations change nothing until the floor's time is over
                        None => expired.then_some(Intent::Expire),
                        Some(Mode::Act) => {
                            let plan = tended.decision.as_ref().map(|d| &d.plan).zip(tended.actions(now));
                            let answered = tended.acts(&self.config) && plan.is_some_and(|(p, a)| answers(now, p, &a));
                            let leave = self.started.ago() < GRACE || tended.writing || answered;
                            (expired && !leave).then_some(Intent::Expire)
                        }
                    };
                    (intent, tended.edition())
                }
            };
            let Some(intent) = intent else { continue };
            if self.cluster.stopped(&workload.namespace).is_some() || self.releasing.contains(&workload) {
                continue;
            }
            tracing::info!(%workload, "gives the user's values back");
            self.releasing.insert(workload.clone());
            let site = Site { workload, target, max_replicas: MAX_REPLICAS };
            self.actor.start(site, intent, Urgency::Other, edition, Duration::ZERO);
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

/// True where a plan still holds and has something to say about the floor that stands: the next tick renews it, or gives it
/// back. After an outage of the API its time may be over although nobody has stopped deciding.
fn answers(now: Time, plan: &Plan, actions: &Actions) -> bool {
    now < plan.valid_until && (!actions.writes.is_empty() || actions.outcome != Outcome::Kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actuate::{Ledger, Target, TargetView, actions};
    use crate::plan::{Parts, Reason};

    #[test]
    fn a_floor_whose_time_ran_out_in_an_outage_is_its_plans_as_long_as_that_holds() {
        let at = |secs: i64| Time::from_secs(1_800_000_000 + secs);
        let plan = |valid_until| Plan {
            replicas: 8,
            reason: Reason::Forecast,
            parts: Parts::default(),
            valid_until,
            wake: valid_until,
        };
        let text = r#"{"original":2,"floor":8,"reason":"forecast","expires":"2027-01-15T08:00:00Z"}"#;
        let ledger = Ledger::parse(text).unwrap();
        assert_eq!(ledger.expires, at(0));
        let view = |target, replicas| TargetView {
            floor: Some(8).filter(|_| target != Target::Scale),
            target,
            max_replicas: 20,
            replicas,
            ledger: Some(ledger.clone()),
        };
        let holds = |plan: &Plan, view: &TargetView| answers(at(60), plan, &actions(at(60), plan, view));
        let hpa = view(Target::Hpa { name: "web".into() }, 8);
        assert!(holds(&plan(at(900)), &hpa));
        assert!(!holds(&plan(at(60)), &hpa), "the plan's time is over too");
        assert!(holds(&plan(at(900)), &view(Target::Scale, 8)));
        assert!(!holds(&plan(at(900)), &view(Target::Scale, 0)), "switched off by hand: nothing renews it");
    }
}
