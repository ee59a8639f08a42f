//! Writes of a copy that is deposed while they are on their way.

use super::Life;
use crate::actuate::{Write, warrant};
use crate::plan::{Observation, Plan, Room};
use crate::simulate::faults::Episode;
use crate::simulate::source::Told;
use crate::units::Time;
use std::time::Duration;

/// A deposed copy's write is on its way for less than this.
const LATE_SECONDS: f64 = 60.0;

/// What a deposed copy has decided, with the version of the object that it saw.
pub(super) struct Late {
    decided: Time,
    version: u64,
    edition: u64,
    writes: Vec<Write>,
}

impl Life {
    /// What a copy that is about to be deposed decides.
    pub(super) fn decided(&mut self, minute: u64, now: Time, told: &Told, room: Room) -> (Late, Observation, Plan) {
        let (seen, bounds) = (self.observation(now, room), self.bounds());
        let capacity = self.cluster.spec().capacity_per_replica;
        let plan = self.mind.decide(minute, now, bounds, seen.clone(), told, capacity);
        let (version, edition) = (self.cluster.hpa.resource_version, self.edition);
        let late = Late { decided: self.cluster.now(), version, edition, writes: self.writes(minute, now, &plan) };
        (late, seen, plan)
    }

    /// A deposed copy's write arrives. It does not know that it is deposed; age, edition and version fence it.
    pub(super) fn arrives(&mut self, minute: u64, episode: Episode, late: &Late) {
        let age = self.cluster.now().since(late.decided) + Duration::from_secs_f64(episode.degree * LATE_SECONDS);
        if warrant(age, late.edition, self.edition).is_err() || late.version != self.cluster.hpa.resource_version {
            return;
        }
        if age >= Duration::from_secs(30) || late.edition != self.edition {
            self.witness.accuse("I6", minute, format!("a write was made {} s after its decision", age.as_secs()));
        }
        self.carry_out(&late.writes);
    }
}
